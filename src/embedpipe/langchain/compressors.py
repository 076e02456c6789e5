"""A reranker as LangChain's document compressor."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import ConfigDict, Field, SkipValidation, field_validator

from embedpipe._threads import in_thread
from embedpipe.reranking import as_reranker
from embedpipe.types import Chunk, Reranker, SearchResult


class EmbedPipeReranker(BaseDocumentCompressor):
    """Orders documents with any reranker that a service takes, and keeps the `top_n` best, or all where that is None.

    Each comes back as a copy whose metadata has its rerank score under `relevance_score`, as LangChain's own rerankers
    do it. What cannot be a reranker is refused by pydantic; raises what the reranker raises.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    reranker: SkipValidation[Reranker] = Field(exclude=True)
    top_n: int | None = Field(default=None, ge=1)

    @field_validator("reranker", mode="before")
    @classmethod
    def _wrapped(cls, value: object) -> Reranker:
        return as_reranker(value)

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """The best documents, best first."""
        reranked = self.reranker.rerank(query, [_result(place, document) for place, document in enumerate(documents)])
        return [_scored(documents[int(result.id)], result) for result in reranked[: self.top_n]]

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """As `compress_documents`, in a thread."""
        return await in_thread(self.compress_documents, documents, query, callbacks)


def _result(place: int, document: Document) -> SearchResult:
    """The document as a result whose id is its place; what came first is taken as the better."""
    chunk = Chunk.whole(document.page_content, id=str(place), metadata=document.metadata)
    return SearchResult(chunk=chunk, score=1 / (1 + place))


def _scored(document: Document, result: SearchResult) -> Document:
    metadata = {**document.metadata, "relevance_score": result.rerank_score}
    return document.model_copy(update={"metadata": metadata})
