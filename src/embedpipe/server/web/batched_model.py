"""A backend whose calls are batched with each other, so that all of a server's requests share the model's passes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from time import monotonic

from embedpipe._forking import PerProcess
from embedpipe.embedding import (
    EmbeddingResponse,
    LimitedModel,
    Limits,
    RemoteModel,
    TokenCountingModel,
    parted,
)
from embedpipe.errors import EmbeddingError, EmbedPipeError, ProviderError, RateLimitError, TokenLimitError
from embedpipe.server.settings import ServerSettings
from embedpipe.server.web.batching import Batcher, OnBatch
from embedpipe.types import EmbeddingModel, Kind, ModelSpec, Vectors

_PROVIDER_CHARACTERS = 400_000
FAULT_S = 60.0
"""How long a provider's fault is believed in. Who sends no requests meanwhile would else never see that it is over."""


def _concerns_all(error: EmbeddingError) -> bool:
    """Whether the model fails, and not with these texts alone or for being busy."""
    if isinstance(error, ProviderError):
        return error.status not in (400, 413, 422)
    return not isinstance(error, RateLimitError | TokenLimitError) and not error.inputs


class BatchedModel:
    """`model` as a backend for event loops, whose calls go through it in batches.

    A local model runs in a thread of its own, one batch at a time; a provider's gets as many at once as its own limits
    say. Limits and token counts are the model's own.
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
        """The model's own; calls are as many at once as come, since the batches are what is bounded."""
        return replace(self._limits, concurrency=2**16)

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        """(n, d) float32, past the batches: for whoever has no event loop."""
        return self._model.embed(texts, kind)

    def fetch(self, texts: Sequence[str], kind: Kind) -> EmbeddingResponse:
        """As `embed`."""
        return EmbeddingResponse(vectors=self.embed(texts, kind))

    async def afetch(self, texts: Sequence[str], kind: Kind) -> EmbeddingResponse:
        """(n, d) float32, by way of the batches."""
        return EmbeddingResponse(vectors=await self.batcher.embed(texts, kind))

    async def fault(self) -> str | None:
        """Return what kept the last batch from being embedded; None where nothing did.

        An idle local model embeds a word for it. Of a provider's, which is paid by the word, nothing is asked; its
        fault is forgotten after a minute.
        """
        if self._remote and monotonic() - self._failed_at > FAULT_S:
            return None
        if not self._remote and self.batcher.idle:
            with suppress(EmbedPipeError):
                await self.afetch(["health"], "query")
        return self._fault

    async def aclose(self) -> None:
        """Waits for what is at the model."""
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
        assert isinstance(self._model, RemoteModel)  # noqa: S101 - chosen for these alone
        reply = await self._model.afetch(texts, kind)
        return _shaped(reply.vectors, texts, self.spec)


def _shaped(vectors: Vectors, texts: Sequence[str], spec: ModelSpec) -> Vectors:
    """Leave a text's bad vector to the request that it belongs to, so that it costs no other one."""
    return parted(vectors, expected=len(texts), spec=spec)[0]
