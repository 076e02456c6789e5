"""`EmbeddingGenerator`: choose a model by name or object, say how it is used, embed texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from embedpipe._checks import checked_count, checked_items, checked_kind, shown
from embedpipe._forking import Given
from embedpipe._providers import Endpoint, Retry
from embedpipe.embedding.backend import LimitedModel, Limits
from embedpipe.embedding.cache import CacheLike, open_cache
from embedpipe.embedding.engine import (
    Compressor,
    EmbeddingAttempt,
    EmbeddingBatch,
    EmbeddingEngine,
    EmbeddingResult,
    EngineOptions,
    Limiter,
    OnTooLong,
    checked_compressor,
)
from embedpipe.embedding.providers import LangChainEmbeddings, LlamaIndexEmbedding, as_model, model_named
from embedpipe.embedding.roles import ExtraBody
from embedpipe.errors import ConfigurationError
from embedpipe.metrics.spans import Observers
from embedpipe.types import ChunkedText, EmbeddingModel, Kind, ModelSpec


class EmbeddingGenerator:
    """Embeds texts with one model: validated, each distinct text once, batched, retried, checked, in order.

    Safe to share between threads and event loops. A pickle holds no key: it is read from the environment again.

    Args:
        model: A name, a backend (`embedpipe.types.EmbeddingModel`), or embeddings of LangChain or LlamaIndex. A name is
            one of the catalogue ("text-embedding-3-small", "all-MiniLM-L6-v2"), a folder, a repository of the hub
            ("owner/name"), or states its provider ("openai:...", "local:...", "cohere:...", or that of an installed
            package).
        api_key: The provider's key. By default it is read from the provider's environment variable.
        base_url: Where the provider is reached, such as a server of your own that speaks OpenAI's interface.
        dimensions: Shorter vectors, from a provider's model that can shorten them.
        query_prompt: Put before each question, for a model that is given by name. By default the model's own prompt.
        document_prompt: As `query_prompt`, for documents.
        extra_body: Further fields of a provider's request, by kind: `{"query": {...}, "document": {...}}`.
        cache: A folder, a redis:// URL, or an object with `get_many` and `put_many`. It keeps the model's own vectors,
            so that another `compressor` costs no request.
        max_retries: Short for `retry=Retry(attempts=max_retries + 1)`.
        limits: How much is sent at once and in a minute. By default the model's own limits.
        retry: When a failed request is sent again.
        on_too_long: What happens to a text with more tokens than the model takes. "split" embeds its pieces and returns
            the mean of their vectors, weighted by their tokens, at length 1. "truncate" embeds its beginning and logs a
            warning. "error" raises `TokenLimitError`.
        clean_text: Clean every text first.
        normalize: Bring every vector to length 1.
        compressor: Makes every vector shorter: an `EmbeddingCompressor` or `Truncation` of `embedpipe.compression`.
        metrics: An observer of `embedpipe.metrics`, such as an `EmbeddingMetrics`, or a list of observers.

    Raises:
        ConfigurationError: If an option does not fit the model.
        UnknownModelError: If there is no model of that name.
    """

    def __init__(
        self,
        model: str | EmbeddingModel | LangChainEmbeddings | LlamaIndexEmbedding = "text-embedding-3-small",
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        dimensions: int | None = None,
        query_prompt: str | None = None,
        document_prompt: str | None = None,
        extra_body: ExtraBody | None = None,
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
        self.source: Mapping[str, Any] = {}
        """How a named model was named; empty for a backend object or with a compressor. No key, no user of a URL."""
        roles = {"query_prompt": query_prompt, "document_prompt": document_prompt, "extra_body": extra_body}
        roles = {name: value for name, value in roles.items() if value is not None}
        if isinstance(model, str):
            if compressor is None:
                url = Endpoint(base_url, variable="").url
                self.source = {"model": model, "base_url": url, "dimensions": dimensions, **roles}
            model = model_named(model, api_key=api_key, base_url=base_url, dimensions=dimensions, **roles)
        elif roles:
            raise ConfigurationError(f"{', '.join(roles)} needs a model that is given by name. Set it in the model.")
        self.model: EmbeddingModel = as_model(model)
        self._given = Given(self.model)
        if limits is None:
            limits = self.model.limits if isinstance(self.model, LimitedModel) else Limits()
        self.limits = limits
        self.retry = checked_kind("retry", Retry() if retry is None else retry, Retry, error=ConfigurationError)
        if max_retries is not None:
            retries = checked_count("max_retries", max_retries, least=0, error=ConfigurationError)
            self.retry = replace(self.retry, attempts=retries + 1)
        self._options = EngineOptions(
            limits=self.limits,
            retry=self.retry,
            cache=None if cache is None else open_cache(cache),
            on_too_long=on_too_long,
            clean_text=clean_text,
            normalize=normalize,
            compressor=checked_compressor(compressor),
            metrics=metrics,
        )
        self._engine = EmbeddingEngine(self.model, self._options)

    @property
    def spec(self) -> ModelSpec:
        """What the vectors are: the model's own specification, normalised and compressed if that was asked for.

        Raises:
            ConfigurationError: If the compressor was made for another model's vectors.
        """
        return self._engine.spec

    def keeping_to(self, limiter: Limiter) -> EmbeddingGenerator:
        """Return a generator like this one whose requests wait for `limiter`, which others may share."""
        other = _rebuild(self.model, self._options)
        other._engine.sender.limiter = limiter  # noqa: SLF001 - one of its kind
        return other

    def generate(self, text: str, kind: Kind = "document") -> EmbeddingResult:
        """Embed one text, as `generate_batch`. The result's `embedding` is (d,) float32."""
        return self._engine.embed([text], kind, strict=True).batch[0]

    async def agenerate(self, text: str, kind: Kind = "document") -> EmbeddingResult:
        """As `generate`."""
        return (await self._engine.aembed([text], kind, strict=True)).batch[0]

    def generate_batch(self, texts: Sequence[str], kind: Kind = "document") -> EmbeddingBatch:
        """Embed texts, in their order.

        If a request fails for good, every other one is still sent, and its vectors go into the cache. `attempt` also
        returns them.

        Args:
            texts: The texts. None of them may be empty.
            kind: What the texts are: "document" or "query". Some models embed the two differently.

        Returns:
            A batch whose `vectors` are (n, d) float32.

        Raises:
            InputError: If a text is empty or is not text. Nothing is sent then.
            TokenLimitError: If a text is too long, with on_too_long="error". Nothing is sent then.
            EmbeddingError: If texts could not be embedded. Its `inputs` are their positions.
        """
        return self._engine.embed(texts, kind, strict=True).batch

    async def agenerate_batch(self, texts: Sequence[str], kind: Kind = "document") -> EmbeddingBatch:
        """As `generate_batch`."""
        return (await self._engine.aembed(texts, kind, strict=True)).batch

    def attempt(self, texts: Sequence[str], kind: Kind = "document") -> EmbeddingAttempt:
        """Embed what can be embedded. No text raises: its error is in the attempt's `errors`, by position.

        Raises:
            InputError: If `texts` is a single text, or `kind` is neither "document" nor "query".
        """
        return self._engine.embed(texts, kind, strict=False)

    async def aattempt(self, texts: Sequence[str], kind: Kind = "document") -> EmbeddingAttempt:
        """As `attempt`."""
        return await self._engine.aembed(texts, kind, strict=False)

    def attempt_late(self, documents: Sequence[ChunkedText]) -> EmbeddingAttempt:
        """Embed the chunks of each document in its context (late chunking), as `attempt`.

        Positions in the attempt are those of all chunks, one document after another.

        Raises:
            ConfigurationError: If the model cannot do that.
        """
        return self._engine.embed_late(documents)

    async def aattempt_late(self, documents: Sequence[ChunkedText]) -> EmbeddingAttempt:
        """As `attempt_late`."""
        return await self._engine.aembed_late(documents)

    def forget(self, texts: Sequence[str]) -> int:
        """Delete the vectors of these texts from the cache. Those of late chunking stay.

        Returns:
            How many entries there were. 0 without a cache.

        Raises:
            ConfigurationError: If the cache cannot delete.
        """
        return self._engine.forget(checked_items("texts", texts, str))

    def __repr__(self) -> str:
        return f"EmbeddingGenerator({self.model!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.model, self._options)


def checked_generator(value: object) -> EmbeddingGenerator:
    """Return the generator itself.

    Raises:
        ConfigurationError: If it is anything else, such as a model's name.
    """
    if not isinstance(value, EmbeddingGenerator):
        raise ConfigurationError(f"{shown(value)} is not an EmbeddingGenerator. Pass EmbeddingGenerator(model).")
    return value


def _rebuild(model: EmbeddingModel, options: EngineOptions) -> EmbeddingGenerator:
    return EmbeddingGenerator(model, **{field.name: getattr(options, field.name) for field in fields(options)})
