"""The embedding engine: whatever the model, texts in, checked vectors out, in order."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

from embedpipe.embedding.backend import LimitedModel, Limits, Retry
from embedpipe.embedding.call import Call
from embedpipe.embedding.check import unit
from embedpipe.embedding.flow import Batch, Flow, adrive, drive
from embedpipe.embedding.limiter import RateLimiter
from embedpipe.embedding.models import backend, named
from embedpipe.embedding.overlong import OnTooLong
from embedpipe.embedding.planning import Planner
from embedpipe.embedding.recall import Recall
from embedpipe.embedding.results import EmbeddingAttempt, EmbeddingBatch, EmbeddingResult
from embedpipe.embedding.sending import Progress, Sender
from embedpipe.embedding.stores import CacheLike, opened
from embedpipe.embedding.wrapped import LangChainEmbeddings, LlamaIndexEmbedding
from embedpipe.errors import EmbeddingError, EmbedPipeError, InputError, TokenLimitError
from embedpipe.text import clean as cleaning
from embedpipe.types import EmbeddingModel, Kind, ModelSpec, Vectors


class EmbeddingGenerator:
    """Embeds texts with one model: validated, each distinct text once, batched, retried, checked, in order.

    `model` is a name ("text-embedding-3-small", "all-MiniLM-L6-v2", a folder, "openai:...", "local:...", "cohere:...")
    or a backend, or embeddings of LangChain or LlamaIndex. `api_key`, `base_url` and `dimensions` go to a provider's
    model. `cache` is a folder, a redis:// URL or anything with `get_many` and `put_many`. `max_retries` is short for
    `Retry(attempts=max_retries + 1)`. `on_too_long` says what becomes of a text over the model's limit: "split" gives
    the mean of its pieces' vectors weighted by their tokens, at length 1; "truncate" embeds its beginning and logs it;
    "error" raises `TokenLimitError`. `clean_text` cleans every text first, `normalize` brings every vector to
    length 1.

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
    ) -> None:
        self._settings = {
            "cache": cache,
            "limits": limits,
            "retry": retry,
            "max_retries": max_retries,
            "on_too_long": on_too_long,
            "clean_text": clean_text,
            "normalize": normalize,
        }
        if isinstance(model, str):
            chosen = named(model, api_key=api_key, base_url=base_url, dimensions=dimensions)
        else:
            chosen = backend(model)
        self.model: EmbeddingModel = chosen
        self.limits = limits or (chosen.limits if isinstance(chosen, LimitedModel) else Limits())
        self.retry = retry or Retry()
        if max_retries is not None:
            self.retry = replace(self.retry, attempts=max_retries + 1)
        self._planner = Planner(chosen, self.limits, on_too_long)
        self._sender = Sender(chosen, limiter=RateLimiter(self.limits), retry=self.retry)
        self._cache = None if cache is None else opened(cache)
        self._clean = clean_text
        self._normalize = normalize

    @cached_property
    def spec(self) -> ModelSpec:
        """What the vectors are: the model's own specification, normalised where that was asked for."""
        return replace(self.model.spec, normalized=True) if self._normalize else self.model.spec

    @cached_property
    def _recall(self) -> Recall | None:
        """Made late, since only the model's specification tells what a key is."""
        return Recall(self._cache, self.spec, on_too_long=self._planner.on_too_long) if self._cache else None

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
        call, flow = self._open(texts, kind, strict=True)
        drive(flow, partial(self._send, call, Progress()), concurrency=self.limits.concurrency)
        return _whole(texts, call, flow, self.spec)

    async def agenerate_batch(self, texts: Sequence[str], kind: Kind = "document") -> EmbeddingBatch:
        """As `generate_batch`."""
        call, flow = await asyncio.to_thread(self._open, texts, kind, strict=True)
        await adrive(flow, partial(self._asend, call, Progress()), concurrency=self.limits.concurrency)
        return _whole(texts, call, flow, self.spec)

    def attempt(self, texts: Sequence[str], kind: Kind = "document") -> EmbeddingAttempt:
        """What can be embedded, and the error of every other text by its position; raises for no text."""
        call, flow = self._open(texts, kind)
        drive(flow, partial(self._send, call, Progress()), concurrency=self.limits.concurrency)
        return _attempt(texts, call, flow, self.spec)

    async def aattempt(self, texts: Sequence[str], kind: Kind = "document") -> EmbeddingAttempt:
        """As `attempt`."""
        call, flow = await asyncio.to_thread(self._open, texts, kind)
        await adrive(flow, partial(self._asend, call, Progress()), concurrency=self.limits.concurrency)
        return _attempt(texts, call, flow, self.spec)

    def _open(self, texts: Sequence[str], kind: Kind, *, strict: bool = False) -> tuple[Call, Flow]:
        if isinstance(texts, str):
            raise InputError("A sequence of texts was expected, and a single text came. Use generate for one text.")
        if self._clean:
            texts = [_cleaned(text) for text in texts]
        call = Call.of(texts, kind=kind, dimensions=self.spec.dimensions)
        if strict and call.invalid:
            raise merged(call.invalid)
        missing = self._recall.look_up(call) if self._recall else range(len(call.texts))
        planned = self._planner.plan(call, missing)
        if strict and call.errors:
            raise merged(call.failures)
        return call, Flow(planned)

    def _send(self, call: Call, progress: Progress, batch: Batch) -> EmbeddingError | None:
        try:
            vectors = self._sender.send(
                batch.texts, call.kind, tokens=sum(batch.tokens), progress=progress, tried=call.tried
            )
        except EmbeddingError as error:
            return error
        self._take(call, batch, vectors)
        return None

    async def _asend(self, call: Call, progress: Progress, batch: Batch) -> EmbeddingError | None:
        try:
            vectors = await self._sender.asend(
                batch.texts, call.kind, tokens=sum(batch.tokens), progress=progress, tried=call.tried
            )
        except EmbeddingError as error:
            return error
        await asyncio.to_thread(self._take, call, batch, vectors)
        return None

    def _take(self, call: Call, batch: Batch, vectors: Vectors) -> None:
        whole = call.fill(batch, unit(vectors) if self._normalize else vectors)
        if self._recall and whole:
            self._recall.keep(call, whole)

    def __repr__(self) -> str:
        return f"EmbeddingGenerator({self.model!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.model, self._settings)


def _cleaned(text: Any) -> Any:
    return (
        cleaning.clean_text(text) if isinstance(text, str) else text
    )  # what is no text is refused later, with its position


def _rebuild(model: EmbeddingModel, settings: Mapping[str, Any]) -> EmbeddingGenerator:
    return EmbeddingGenerator(model, **settings)


def _attempt(texts: Sequence[str], call: Call, flow: Flow, spec: ModelSpec) -> EmbeddingAttempt:
    call.fail(flow.errors)
    errors = call.failures
    positions = [position for position in range(len(texts)) if position not in errors]
    return EmbeddingAttempt(
        batch=_batch(texts, call, spec, positions=positions),
        positions=positions,
        errors=errors,
        requests=call.requests,
        retries=call.retries,
    )


def _whole(texts: Sequence[str], call: Call, flow: Flow, spec: ModelSpec) -> EmbeddingBatch:
    call.fail(flow.errors)
    if errors := call.failures:
        raise merged(errors)
    return _batch(texts, call, spec, positions=range(len(texts)))


def _batch(texts: Sequence[str], call: Call, spec: ModelSpec, *, positions: Sequence[int]) -> EmbeddingBatch:
    numbers = [call.numbers[position] for position in positions]
    plain = len(numbers) == len(call.texts) == len(call.numbers)
    return EmbeddingBatch(
        texts=texts if len(numbers) == len(texts) else [texts[position] for position in positions],
        vectors=call.vectors if plain else call.vectors[numbers],
        token_counts=call.counts if plain else call.counts[numbers],
        cached=call.cached if plain else call.cached[numbers],
        model=spec.name,
    )


def merged(errors: Mapping[int, EmbedPipeError]) -> EmbedPipeError:
    """The first of the errors, with every position that failed in its message and in `inputs`."""
    first = copy.copy(next(iter(errors.values())))
    positions = tuple(errors)
    if len(positions) > 1:
        shown = ", ".join(map(str, positions[:10])) + (", ..." if len(positions) > 10 else "")
        first.args = (f"{first} ({len(positions)} inputs failed: {shown})",)
    if isinstance(first, TokenLimitError):
        counts = [
            count for error in errors.values() if isinstance(error, TokenLimitError) for count in error.token_counts
        ]
        first.token_counts = tuple(counts)
    if isinstance(first, EmbeddingError):
        first.inputs = positions
    first.__cause__ = next(iter(errors.values())).__cause__
    return first
