"""The embedding engine: whatever the model, texts in, checked vectors out, in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, cast

from embedpipe._forking import Given
from embedpipe._providers import Endpoint
from embedpipe._threads import in_thread
from embedpipe.embedding import catalogue
from embedpipe.embedding.backend import LimitedModel, Limits, Retry
from embedpipe.embedding.cache.caches import CacheLike, opened
from embedpipe.embedding.engine.assembly import attempted, merged, whole
from embedpipe.embedding.engine.cache_lookup import Recall
from embedpipe.embedding.engine.compressing import Compressor, checked_compressor, compressed_spec
from embedpipe.embedding.engine.flow import Aside, Failed, Flow, RequestBatch, adrive, at_once, drive
from embedpipe.embedding.engine.planning import Planner
from embedpipe.embedding.engine.rate_limiter import Limiter, RateLimiter
from embedpipe.embedding.engine.request import Call
from embedpipe.embedding.engine.results import EmbeddingAttempt, EmbeddingBatch, EmbeddingResult
from embedpipe.embedding.engine.sending import Arrivals, Progress, Sender, Tries
from embedpipe.embedding.engine.truncation import OnTooLong
from embedpipe.embedding.providers.frameworks import LangChainEmbeddings, LlamaIndexEmbedding
from embedpipe.embedding.providers.registry import backend, named
from embedpipe.embedding.vectors import unit
from embedpipe.errors import ConfigurationError, EmbeddingError, InputError
from embedpipe.metrics.spans import Observers, span
from embedpipe.text import clean as cleaning
from embedpipe.types import EmbeddingModel, Kind, ModelSpec, Vectors

_FEW, _SHORT = 16, 4000
"""Texts, and their characters, that take a fraction of a millisecond to check and count."""


class EmbeddingGenerator:
    """Embeds texts with one model: validated, each distinct text once, batched, retried, checked, in order.

    `model` is a name ("text-embedding-3-small", "all-MiniLM-L6-v2", a folder, "openai:...", "local:...", "cohere:...")
    or a backend, or embeddings of LangChain or LlamaIndex. `api_key`, `base_url` and `dimensions` go to a provider's
    model. `cache` is a folder, a redis:// URL or anything with `get_many` and `put_many`. `max_retries` is short for
    `Retry(attempts=max_retries + 1)`. `on_too_long` says what becomes of a text over the model's limit: "split" gives
    the mean of its pieces' vectors weighted by their tokens, at length 1; "truncate" embeds its beginning and logs it;
    "error" raises `TokenLimitError`. `clean_text` cleans every text first, `normalize` brings every vector to length 1,
    a `compressor` of `embedpipe.compression` makes it shorter; the cache keeps the model's own vectors, so that another
    compressor costs no request. `metrics` is an observer of `embedpipe.metrics`, such as an `EmbeddingMetrics`, or
    several in a list.

    Safe to share between threads and event loops. A pickle holds no key: it is read from the environment again.
    """

    def __init__(
        self,
        model: str | EmbeddingModel | LangChainEmbeddings | LlamaIndexEmbedding = "text-embedding-3-small",
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        dimensions: int | None = None,
        cache: CacheLike | None = None,
        max_retries: int | None = None,
        limits: Limits | None = None,
        retry: Retry | None = None,
        on_too_long: OnTooLong = "split",
        clean_text: bool = False,
        normalize: bool = False,
        compressor: Compressor | None = None,
        metrics: Observers | None = None,
    ) -> None:
        self._cache = None if cache is None else opened(cache)
        self._compressor = checked_compressor(compressor)
        self._settings = {
            "cache": self._cache,
            "limits": limits,
            "retry": retry,
            "max_retries": max_retries,
            "on_too_long": on_too_long,
            "clean_text": clean_text,
            "normalize": normalize,
            "compressor": self._compressor,
            "metrics": metrics,
        }
        self.source: Mapping[str, Any] = {}
        """How a named model was named; empty for a backend object or with a compressor. No key, no user of a URL."""
        if isinstance(model, str):
            if compressor is None:
                self.source = {
                    "model": model,
                    "base_url": Endpoint(base_url, variable="").url,
                    "dimensions": dimensions,
                }
            chosen = named(model, api_key=api_key, base_url=base_url, dimensions=dimensions)
        else:
            chosen = backend(model)
        self.model: EmbeddingModel = chosen
        self._given = Given(chosen)
        self.limits = limits or (chosen.limits if isinstance(chosen, LimitedModel) else Limits())
        self.retry = retry or Retry()
        if max_retries is not None:
            self.retry = replace(self.retry, attempts=max_retries + 1)
        self._planner = Planner(chosen, self.limits, on_too_long)
        self._sender = Sender(
            chosen, limiter=RateLimiter(self.limits), retry=self.retry, concurrency=self.limits.concurrency
        )
        self._progress = Progress()
        self._clean = clean_text
        self._normalize = normalize
        self._metrics = metrics
        self._used = False

    @property
    def spec(self) -> ModelSpec:
        """What the vectors are: the model's own specification, normalised and compressed where that was asked for.

        Raises `ConfigurationError` for a compressor that was made for another model's vectors.
        """
        return self._specs[1]

    @cached_property
    def _specs(self) -> tuple[ModelSpec, ModelSpec]:
        """What the vectors are before they are compressed, as the cache keeps them, and after."""
        spec = self._sender.spec()
        base = replace(spec, normalized=True) if self._normalize else spec
        return base, base if self._compressor is None else compressed_spec(base, self._compressor)

    @cached_property
    def _recall(self) -> Recall | None:
        """Made late, since only the model's specification tells what a key is."""
        return Recall(self._cache, self._specs[0], on_too_long=self._planner.on_too_long) if self._cache else None

    def keeping_to(self, limiter: Limiter) -> EmbeddingGenerator:
        """A generator like this one whose requests wait for `limiter`, which others may share."""
        other = _rebuild(self.model, self._settings)
        other._sender = Sender(  # noqa: SLF001 - one of its kind
            self.model, limiter=limiter, retry=self.retry, concurrency=self.limits.concurrency
        )
        return other

    def generate(self, text: str, kind: Kind = "document") -> EmbeddingResult:
        """The text's vector, (d,) float32. Errors as `generate_batch`."""
        return self.generate_batch([text], kind)[0]

    async def agenerate(self, text: str, kind: Kind = "document") -> EmbeddingResult:
        """As `generate`."""
        return (await self.agenerate_batch([text], kind))[0]

    def generate_batch(self, texts: Sequence[str], kind: Kind = "document") -> EmbeddingBatch:
        """Vectors (n, d) float32 in the texts' order.

        `InputError` for a text that is empty or no text and `TokenLimitError` for one that is too long, before anything
        is sent. Where sending fails, every other batch is still sent (and cached), and then an `EmbeddingError` is
        raised whose `inputs` are the positions that failed; `attempt` hands back the others as well.
        """
        with self._calling(texts):
            call, flow = self._open(texts, kind, strict=True)
            drive(flow, partial(self._send, call), concurrency=self.limits.concurrency)
            return whole(texts, call, flow, self.spec, self._compressor)

    async def agenerate_batch(self, texts: Sequence[str], kind: Kind = "document") -> EmbeddingBatch:
        """As `generate_batch`."""
        with self._calling(texts):
            aside = self._aside(texts)
            call, flow = await aside(self._open, texts, kind, strict=True)
            await adrive(flow, partial(self._asend, call, aside), concurrency=self.limits.concurrency, aside=aside)
            self._used |= bool(texts)  # then all is loaded
            return cast(EmbeddingBatch, await aside(whole, texts, call, flow, self.spec, self._compressor))

    def attempt(self, texts: Sequence[str], kind: Kind = "document") -> EmbeddingAttempt:
        """What can be embedded, and the error of every other text by its position; raises for no text."""
        with self._calling(texts):
            call, flow = self._open(texts, kind)
            drive(flow, partial(self._send, call), concurrency=self.limits.concurrency)
            return attempted(texts, call, flow, self.spec, self._compressor)

    async def aattempt(self, texts: Sequence[str], kind: Kind = "document") -> EmbeddingAttempt:
        """As `attempt`."""
        with self._calling(texts):
            aside = self._aside(texts)
            call, flow = await aside(self._open, texts, kind)
            await adrive(flow, partial(self._asend, call, aside), concurrency=self.limits.concurrency, aside=aside)
            self._used |= bool(texts)  # then all is loaded
            return cast(EmbeddingAttempt, await aside(attempted, texts, call, flow, self.spec, self._compressor))

    def _open(self, texts: Sequence[str], kind: Kind, *, strict: bool = False) -> tuple[Call, Flow]:
        if isinstance(texts, str):
            raise InputError("A sequence of texts was expected, and a single text came. Use generate for one text.")
        if kind not in ("document", "query"):
            raise InputError(f"kind expected 'document' or 'query', got {kind!r:.100}.")
        if self._clean:
            texts = [_cleaned(text) for text in texts]
        call = Call.of(texts, kind=kind, dimensions=self._specs[0].dimensions)
        if strict and call.invalid:
            raise merged(call.invalid)
        missing: Sequence[int] = range(len(call.texts))
        if self._recall:
            with span("embed.cache", texts=len(call.texts), **self._labels) as looked_up:
                missing = self._recall.look_up(call)
                looked_up.note(hits=len(call.texts) - len(missing))
        planned: Iterable[RequestBatch] = self._planner.plan(call, missing)
        if self._planner.on_too_long == "error":
            planned = list(planned)  # all of them, before anything is sent
        if strict and call.errors:
            raise merged(call.failures)
        return call, Flow(planned)

    def _send(self, call: Call, batch: RequestBatch) -> Failed | None:
        tries, arrivals = Tries(call), Arrivals(batch)
        error: EmbeddingError | None = None
        try:
            with self._requesting(batch, tries):
                self._sender.send(arrivals, call.kind, progress=self._progress, tried=tries)
        except EmbeddingError as caught:
            error = caught
        if arrivals.arrived and not batch.probe:
            self._take(call, *arrivals.arrived)
        return Failed(arrivals.rest, error) if error else None

    def _aside(self, texts: Sequence[Any]) -> Aside:
        """Where a call's own work is done: on the event loop only what is short, once all is loaded that it needs."""
        few = self._used and self._cache is None and len(texts) <= _FEW
        short = few and sum(len(text) for text in texts if isinstance(text, str)) <= _SHORT
        return at_once if short else in_thread

    async def _asend(self, call: Call, aside: Aside, batch: RequestBatch) -> Failed | None:
        tries, arrivals = Tries(call), Arrivals(batch)
        error: EmbeddingError | None = None
        try:
            with self._requesting(batch, tries):
                await self._sender.asend(arrivals, call.kind, progress=self._progress, tried=tries)
        except EmbeddingError as caught:
            error = caught
        if arrivals.arrived and not batch.probe:
            await aside(self._take, call, *arrivals.arrived)
        return Failed(arrivals.rest, error) if error else None

    @contextmanager
    def _calling(self, texts: Sequence[str]) -> Iterator[None]:
        with span("embed", to=self._metrics, texts=len(texts), content=texts) as called:
            try:
                yield
            finally:
                if "_specs" in vars(self):  # asked for here, it could load the model on an event loop
                    called.note(**self._labels)

    @contextmanager
    def _requesting(self, batch: RequestBatch, tries: Tries) -> Iterator[None]:
        with span("embed.request", texts=len(batch), content=batch.texts, **self._labels) as sent:
            try:
                yield
                sent.note(tokens=sum(batch.tokens), price_per_million=self._price)  # what fails is not charged
            finally:
                sent.note(retries=max(tries.last - 1, 0))

    @cached_property
    def _labels(self) -> Mapping[str, Any]:
        return {"model": self.spec.name, "provider": getattr(self.model, "provider", "")}

    @cached_property
    def _price(self) -> float:
        known = catalogue.find(self.spec.name)
        return known.price_per_million if known else 0.0

    def _take(self, call: Call, batch: RequestBatch, vectors: Vectors) -> None:
        complete = call.fill(batch, unit(vectors) if self._normalize else vectors)
        if self._recall and complete:
            self._recall.keep(call, complete)

    def __repr__(self) -> str:
        return f"EmbeddingGenerator({self.model!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.model, self._settings)


def checked_generator(value: object) -> EmbeddingGenerator:
    """The generator itself; `ConfigurationError` for anything else, such as a model's name."""
    if not isinstance(value, EmbeddingGenerator):
        raise ConfigurationError(
            f"An EmbeddingGenerator was expected, got {value!r:.100}. Make one first: EmbeddingGenerator(model)."
        )
    return value


def _cleaned(text: Any) -> Any:
    return (
        cleaning.clean_text(text) if isinstance(text, str) else text
    )  # what is no text is refused later, with its position


def _rebuild(model: EmbeddingModel, settings: Mapping[str, Any]) -> EmbeddingGenerator:
    return EmbeddingGenerator(model, **settings)
