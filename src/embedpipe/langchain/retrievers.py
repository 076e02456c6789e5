"""A LangChain retriever over a search service."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever, LangSmithRetrieverParams
from pydantic import ConfigDict, Field

from embedpipe.langchain._documents import checked_options, to_documents
from embedpipe.service import SemanticSearchService
from embedpipe.storage import Filter, Fusion, FusionMethod
from embedpipe.types import SearchMode

_OPTIONS = ("k", "mode", "filter", "threshold", "required_phrases", "fusion", "candidates")


class HybridRetriever(BaseRetriever):
    """Retrieves the best chunks of a `SemanticSearchService` as documents with their metadata.

    All arguments but `service` and `source_key` can also be set for one call: `retriever.invoke(question, k=3)`.
    Pydantic rejects unknown arguments here. In a call they raise `InputError`, and the service's errors come through.

    Args:
        service: The search service.
        k: How many documents to return.
        mode: "dense", "lexical" or "hybrid".
        filter: Conditions on the metadata: a dictionary or a `Filter`.
        threshold: The lowest cosine similarity to the query.
        required_phrases: Whether only chunks are found that hold the query's quoted phrases. Otherwise phrases add to
            the score. A lexical search always requires them.
        fusion: How a hybrid search weighs its legs: a `Fusion`, "zscores", "scores" or "ranks".
        candidates: How many results the service's reranker chooses from.
        source_key: A metadata key for `document_id`, `start_index`, `end_index`, `score`, `similarity`,
            `lexical_score` and `rerank_score` of each document. If a document has this key already, `InputError`
            is raised, so that nothing is overwritten.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    service: SemanticSearchService = Field(exclude=True)
    k: int = Field(default=5, ge=1)
    mode: SearchMode = "hybrid"
    filter: dict[str, Any] | Filter | None = None
    threshold: float | None = Field(default=None, ge=-1, le=1)
    required_phrases: bool = False
    fusion: Fusion | FusionMethod | None = None
    candidates: int | None = Field(default=None, ge=1)
    source_key: str | None = None

    def _options(self, given: dict[str, Any]) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in _OPTIONS}
        return {**own, **checked_options(given, *_OPTIONS)}

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        return to_documents(self.service.search(query, **self._options(kwargs)), self.source_key)

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        results = await self.service.asearch(query, **self._options(kwargs))
        return to_documents(results, self.source_key)

    def _get_ls_params(self, **_kwargs: Any) -> LangSmithRetrieverParams:
        return LangSmithRetrieverParams(ls_retriever_name="embedpipe-hybrid", ls_vector_store_provider="embedpipe")
