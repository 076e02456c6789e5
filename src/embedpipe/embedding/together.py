"""Providers that embed the chunks of a document together: what their backends share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from embedpipe.embedding.backend import EmbeddingResponse
from embedpipe.embedding.openai import OpenAIModel

_TOGETHER: ContextVar[bool] = ContextVar("embedpipe_together", default=False)


class ContextualModel(OpenAIModel):
    """A model that embeds chunks in the context of their document, where the provider is asked to."""

    def fetch_document(self, chunks: Sequence[str]) -> EmbeddingResponse:
        """Do the same as `fetch` for the chunks of one document, in their order."""
        with _asked_together():
            return self.fetch(chunks, "document")

    async def afetch_document(self, chunks: Sequence[str]) -> EmbeddingResponse:
        """As `fetch_document`, on the running event loop."""
        with _asked_together():
            return await self.afetch(chunks, "document")

    @property
    def _together(self) -> bool:
        """Whether the texts of the request under way are the chunks of one document."""
        return _TOGETHER.get()


@contextmanager
def _asked_together() -> Iterator[None]:
    token = _TOGETHER.set(True)
    try:
        yield
    finally:
        _TOGETHER.reset(token)
