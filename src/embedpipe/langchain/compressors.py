"""A LangChain document compressor that reranks."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import ConfigDict, Field, SkipValidation, field_validator

from embedpipe._checks import checked_items
from embedpipe._threads import in_thread
from embedpipe.reranking import as_reranker
from embedpipe.types import TABLE_HEADER, Chunk, Reranker, SearchResult


class EmbedPipeReranker(BaseDocumentCompressor):
    """Orders documents with a reranker and keeps the best.

    The documents returned are copies. Their metadata have the rerank score under `relevance_score`, as with LangChain's
    own rerankers.

    Args:
        reranker: Any reranker that `SemanticSearchService` takes. Pydantic rejects anything else.
        top_n: How many documents to keep. None keeps all.
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
        """Return the best documents, best first.

        Args:
            documents: The documents. Their order counts as their rank.
            query: The query.
            callbacks: Not used.

        Raises:
            RerankError: If the reranker fails.
        """
        documents = checked_items("documents", documents, Document)
        reranked = self.reranker.rerank(query, [_result(place, document) for place, document in enumerate(documents)])
        return [_scored(documents[int(result.id)], result) for result in reranked[: self.top_n]]

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """Rerank in a thread. See `compress_documents`."""
        return await in_thread(self.compress_documents, documents, query, callbacks)


def _result(place: int, document: Document) -> SearchResult:
    """Return the document as a result. Its id is its position, and earlier documents score higher."""
    chunk = Chunk.whole(document.page_content, id=str(place), metadata=document.metadata)
    header = document.metadata.get(TABLE_HEADER)
    if isinstance(header, str) and header:
        chunk = chunk._replace(header=header)
    return SearchResult(chunk=chunk, score=1 / (1 + place))  # documents have no score, only their order


def _scored(document: Document, result: SearchResult) -> Document:
    metadata = {**document.metadata, "relevance_score": result.rerank_score}
    return document.model_copy(update={"metadata": metadata})
