"""An embedding model whose calls are batched with each other, so that all requests of a server share its batches."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from time import monotonic

from embedpipe._forking import PerProcess
from embedpipe.embedding import EmbeddingResponse, LimitedModel, Limits, RemoteModel, TokenCountingModel, find_unusable
from embedpipe.errors import EmbeddingError, EmbedPipeError, ProviderError, RateLimitError, TokenLimitError
from embedpipe.server.settings import ServerSettings
from embedpipe.server.web.batching import Batcher, OnBatch
from embedpipe.types import EmbeddingModel, Kind, ModelSpec, Vectors

_PROVIDER_CHARACTERS = 400_000
FAULT_S = 60.0
"""How long a provider's fault is reported. Without requests nothing else would show that it is over."""


def _concerns_all(error: EmbeddingError) -> bool:
    """Return whether the model itself fails. False for errors of these texts alone and for a busy provider."""
    if isinstance(error, ProviderError):
        return error.status not in (400, 413, 422)
    return not isinstance(error, RateLimitError | TokenLimitError) and not error.inputs


class BatchedModel:
    """A model for event loops that puts texts of several calls into one batch.

    A local model runs in a thread of its own, one batch at a time. A provider gets as many batches at once as its
    limits allow. Limits and token counts are those of `model`.
    """

    def __init__(self, model: EmbeddingModel, settings: ServerSettings, *, on_batch: OnBatch | None = None) -> None:
        self._model = model
        self._fault: str | None = None
        self._failed_at = 0.0  # on the monotonic clock
        self._limits = model.limits if isinstance(model, LimitedModel) else Limits()
        self._remote = remote = isinstance(model, RemoteModel)
        at_once = self._limits.concurrency if remote or isinstance(model, LimitedModel) else 1
        self._at_once = at_once
        self._threads: PerProcess[ThreadPoolExecutor] = PerProcess()
        self.batcher = Batcher(
            run=self._noted,
            batch_texts=self._limits.batch_items if remote else min(settings.batch_texts, self._limits.batch_items),
            batch_characters=_PROVIDER_CHARACTERS if remote else settings.batch_characters,
            concurrency=at_once,
            together=settings.dynamic_batching,
            on_batch=on_batch,
        )
        if isinstance(model, TokenCountingModel):
            self.counter, self.special_tokens = model.counter, model.special_tokens

    @property
    def spec(self) -> ModelSpec:
        return self._model.spec

    @property
    def limits(self) -> Limits:
        """Return the model's limits, but without a limit of concurrent calls: the batches are limited instead."""
        return replace(self._limits, concurrency=2**16)

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        """Return (n, d) float32 vectors without batching, for callers without an event loop."""
        return self._model.embed(texts, kind)

    def fetch(self, texts: Sequence[str], kind: Kind) -> EmbeddingResponse:
        """Embed without batching. See `embed`."""
        return EmbeddingResponse(vectors=self.embed(texts, kind))

    async def afetch(self, texts: Sequence[str], kind: Kind) -> EmbeddingResponse:
        """Return (n, d) float32 vectors, embedded together with the texts of other calls."""
        return EmbeddingResponse(vectors=await self.batcher.embed(texts, kind))

    async def fault(self) -> str | None:
        """Return the error of the last batch, None if it succeeded.

        An idle local model is tried with one word. A provider bills each word, so it is not tried. Its error is
        forgotten after a minute.
        """
        if self._remote and monotonic() - self._failed_at > FAULT_S:
            return None
        if not self._remote and self.batcher.idle:
            with suppress(EmbedPipeError):
                await self.afetch(["health"], "query")
        return self._fault

    async def aclose(self) -> None:
        """Wait for the batches in progress, then stop the threads."""
        await self.batcher.aclose()
        self._pool().shutdown()

    def __repr__(self) -> str:
        return f"BatchedModel({self._model!r})"

    async def _noted(self, texts: Sequence[str], kind: Kind) -> Vectors:
        try:
            vectors = await (self._send(texts, kind) if self._remote else self._run(texts, kind))
        except EmbeddingError as error:
            if _concerns_all(error):
                self._fault, self._failed_at = str(error), monotonic()
            raise
        self._fault = None
        return vectors

    async def _run(self, texts: Sequence[str], kind: Kind) -> Vectors:
        return await asyncio.get_running_loop().run_in_executor(self._pool(), self._embedded, texts, kind)

    def _pool(self) -> ThreadPoolExecutor:
        return self._threads.get(lambda: ThreadPoolExecutor(self._at_once, "embedpipe-model"))

    def _embedded(self, texts: Sequence[str], kind: Kind) -> Vectors:
        try:
            vectors = self._model.embed(texts, kind)
        except EmbedPipeError:
            raise
        except Exception as error:
            raise EmbeddingError(f"{self.spec.name} failed with {type(error).__name__}: {error}") from error
        return _shaped(vectors, texts, self.spec)

    async def _send(self, texts: Sequence[str], kind: Kind) -> Vectors:
        assert isinstance(self._model, RemoteModel)  # noqa: S101 - the constructor has checked it
        reply = await self._model.afetch(texts, kind)
        return _shaped(reply.vectors, texts, self.spec)


def _shaped(vectors: Vectors, texts: Sequence[str], spec: ModelSpec) -> Vectors:
    """Keep bad vectors as they are. The request that one belongs to fails, and the others do not."""
    return find_unusable(vectors, expected=len(texts), spec=spec)[0]
