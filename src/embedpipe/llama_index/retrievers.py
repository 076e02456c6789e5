"""A search service as LlamaIndex's retriever."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llama_index.core.callbacks import CallbackManager
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index.core.vector_stores import MetadataFilters

from embedpipe.llama_index._nodes import with_scores
from embedpipe.llama_index.filters import to_condition
from embedpipe.service import SemanticSearchService
from embedpipe.storage import Filter
from embedpipe.types import SearchMode


class HybridRetriever(BaseRetriever):
    """Retrieves with a `SemanticSearchService`: the k best chunks as nodes with their score (higher is better).

    `mode`, `threshold` and `candidates` are the service's; `filters` are LlamaIndex's `MetadataFilters`, a `Filter` or
    a dictionary. Raises what the service raises.
    """

    def __init__(
        self,
        service: SemanticSearchService,
        *,
        k: int = 5,
        mode: SearchMode = "hybrid",
        filters: MetadataFilters | Filter | Mapping[str, Any] | None = None,
        threshold: float | None = None,
        candidates: int | None = None,
        callback_manager: CallbackManager | None = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(callback_manager=callback_manager, verbose=verbose)
        self.service = service
        self._options: dict[str, Any] = {
            "k": k,
            "mode": mode,
            "filter": to_condition(filters),
            "threshold": threshold,
            "candidates": candidates,
        }

    @classmethod
    def class_name(cls) -> str:
        return "EmbedPipeHybridRetriever"

    def __repr__(self) -> str:
        return f"HybridRetriever(service={self.service!r}, k={self._options['k']}, mode={self._options['mode']!r})"

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return with_scores(self.service.search(query_bundle.query_str, **self._options))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return with_scores(await self.service.asearch(query_bundle.query_str, **self._options))
