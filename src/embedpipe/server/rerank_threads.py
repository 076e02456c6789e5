"""Reranking in threads of its own, so that slow ones keep nobody else waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

from embedpipe._forking import Given, PerProcess
from embedpipe.metrics.spans import span
from embedpipe.reranking import LexicalReranker, as_reranker
from embedpipe.types import Reranker, SearchResult

_THREADS = 4


class RerankThreads:
    """The server's reranker: the one given, else similarity weighed with the words that query and text share."""

    def __init__(self, reranker: object | None) -> None:
        self.reranker: Reranker = LexicalReranker() if reranker is None else as_reranker(reranker)
        self._given = Given(reranker)
        self._threads: PerProcess[ThreadPoolExecutor] = PerProcess()

    @property
    def needs_similarity(self) -> bool:
        """Whether the reranker looks at the results' similarity."""
        return isinstance(self.reranker, LexicalReranker)

    def rerank(self, query: str, results: Sequence[SearchResult]) -> list[SearchResult]:
        """As the reranker's."""
        with span("rerank", texts=len(results)):
            return self.reranker.rerank(query, results)

    async def arerank(self, query: str, results: Sequence[SearchResult]) -> list[SearchResult]:
        """As `rerank`, on the running event loop."""
        run = copy_context().run  # with whoever listens to its stages
        return await asyncio.get_running_loop().run_in_executor(self._pool(), run, self.rerank, query, results)

    def close(self) -> None:
        """Waits for what is under way."""
        self._pool().shutdown()

    def _pool(self) -> ThreadPoolExecutor:
        return self._threads.get(lambda: ThreadPoolExecutor(_THREADS, "embedpipe-rerank"))
