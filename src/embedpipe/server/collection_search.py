"""Search one collection, with the server's reranker if a request asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from embedpipe.server.rerank_threads import RerankThreads
from embedpipe.service import SemanticSearchService
from embedpipe.storage import CosineSample
from embedpipe.types import SearchResult

_CANDIDATES = 50


class CollectionSearch:
    """The search of one collection, used by the search route and by the pipeline that answers questions."""

    def __init__(self, service: SemanticSearchService, reranking: RerankThreads) -> None:
        self._service = service
        self._reranking = reranking

    def search(
        self, query: str, k: int = 5, *, rerank: bool = False, candidates: int | None = None, **options: Any
    ) -> list[SearchResult]:
        """Return the k best chunks. With `rerank`, choose from `candidates` results (default: 50, or k if larger)."""
        if not rerank:
            return self._service.search(query, k, **options)
        found = self._service.search(query, max(k, candidates or _CANDIDATES), **options)
        return self._reranking.rerank(query, found)[:k]

    async def asearch(
        self, query: str, k: int = 5, *, rerank: bool = False, candidates: int | None = None, **options: Any
    ) -> list[SearchResult]:
        """Search on the running event loop. See `search`."""
        if not rerank:
            return await self._service.asearch(query, k, **options)
        found = await self._service.asearch(query, max(k, candidates or _CANDIDATES), **options)
        return (await self._reranking.arerank(query, found))[:k]

    def cosines(self) -> CosineSample | None:
        """Return mean and spread of the cosines between chunks. See `SemanticSearchService.cosines`."""
        return self._service.cosines()

    async def acosines(self) -> CosineSample | None:
        """Return them on the running event loop. See `cosines`."""
        return await self._service.acosines()

    def expand(self, results: Sequence[SearchResult], **options: Any) -> list[SearchResult]:
        """Return the results with their neighboring chunks. See `SemanticSearchService.expand`."""
        return self._service.expand(results, **options)

    async def aexpand(self, results: Sequence[SearchResult], **options: Any) -> list[SearchResult]:
        """Expand on the running event loop. See `expand`."""
        return await self._service.aexpand(results, **options)
