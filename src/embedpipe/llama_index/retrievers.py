"""A LlamaIndex retriever over a search service."""

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
from embedpipe.storage import Filter, Fusion, FusionMethod
from embedpipe.types import SearchMode


class HybridRetriever(BaseRetriever):
    """Retrieves the best chunks of a `SemanticSearchService` as nodes with their score. Higher is better.

    The service's errors come through.
    """

    def __init__(
        self,
        service: SemanticSearchService,
        *,
        k: int = 5,
        mode: SearchMode = "hybrid",
        filters: MetadataFilters | Filter | Mapping[str, Any] | None = None,
        threshold: float | None = None,
        required_phrases: bool = False,
        fusion: Fusion | FusionMethod | None = None,
        candidates: int | None = None,
        callback_manager: CallbackManager | None = None,
        verbose: bool = False,
    ) -> None:
        """Set up a retriever.

        Args:
            service: The search service.
            k: How many nodes to return.
            mode: "dense", "lexical" or "hybrid".
            filters: LlamaIndex's `MetadataFilters`, a `Filter` or a dictionary.
            threshold: The lowest cosine similarity to the query.
            required_phrases: Whether only nodes are found that hold the query's quoted phrases. Otherwise phrases add
                to the score. A lexical search always requires them.
            fusion: How a hybrid search weighs its legs: a `Fusion`, "zscores", "scores" or "ranks".
            candidates: How many results the service's reranker chooses from.
            callback_manager: LlamaIndex's callbacks.
            verbose: As for LlamaIndex's `BaseRetriever`.

        Raises:
            InputError: If `filters` is not valid.
        """
        super().__init__(callback_manager=callback_manager, verbose=verbose)
        self.service = service
        self._options: dict[str, Any] = {
            "k": k,
            "mode": mode,
            "filter": to_condition(filters),
            "threshold": threshold,
            "required_phrases": required_phrases,
            "fusion": fusion,
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
