"""A collection's search with a reranker that each request may ask for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from embedpipe.server.rerank_threads import RerankThreads
from embedpipe.service import SemanticSearchService
from embedpipe.types import SearchResult

_CANDIDATES = 50


class CollectionSearch:
    """Searches of one collection, as an answer's pipeline and the route both ask for them."""

    def __init__(self, service: SemanticSearchService, reranking: RerankThreads) -> None:
        self._service = service
        self._reranking = reranking

    def search(
        self, query: str, k: int = 5, *, rerank: bool = False, candidates: int | None = None, **options: Any
    ) -> list[SearchResult]:
        """The k best chunks; with `rerank` out of so many candidates (50, or k if more)."""
        if not rerank:
            return self._service.search(query, k, **options)
        found = self._service.search(query, max(k, candidates or _CANDIDATES), **options)
        return self._reranking.rerank(query, found)[:k]

    async def asearch(
        self, query: str, k: int = 5, *, rerank: bool = False, candidates: int | None = None, **options: Any
    ) -> list[SearchResult]:
        """As `search`, on the running event loop."""
        if not rerank:
            return await self._service.asearch(query, k, **options)
        found = await self._service.asearch(query, max(k, candidates or _CANDIDATES), **options)
        return (await self._reranking.arerank(query, found))[:k]

    def expand(self, results: Sequence[SearchResult], **options: Any) -> list[SearchResult]:
        """As the service's."""
        return self._service.expand(results, **options)

    async def aexpand(self, results: Sequence[SearchResult], **options: Any) -> list[SearchResult]:
        """As `expand`, on the running event loop."""
        return await self._service.aexpand(results, **options)
