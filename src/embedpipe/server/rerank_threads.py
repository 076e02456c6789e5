"""Rerank in a thread pool of its own, so that a slow reranker does not block other requests."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

from embedpipe._forking import Given, PerProcess
from embedpipe.metrics import span
from embedpipe.reranking import LexicalReranker, as_reranker
from embedpipe.types import Reranker, SearchResult

_THREADS = 4


class RerankThreads:
    """The server's reranker and its threads. By default it combines similarity with the words shared with the query."""

    def __init__(self, reranker: object | None) -> None:
        self.reranker: Reranker = LexicalReranker() if reranker is None else as_reranker(reranker)
        self._given = Given(reranker)
        self._threads: PerProcess[ThreadPoolExecutor] = PerProcess()

    @property
    def needs_similarity(self) -> bool:
        """Return whether the reranker reads the results' similarity."""
        return isinstance(self.reranker, LexicalReranker)

    def rerank(self, query: str, results: Sequence[SearchResult]) -> list[SearchResult]:
        """Return the results in the reranker's order."""
        with span("rerank", texts=len(results)):
            return self.reranker.rerank(query, results)

    async def arerank(self, query: str, results: Sequence[SearchResult]) -> list[SearchResult]:
        """Rerank in the thread pool. See `rerank`."""
        run = copy_context().run  # so that the observers of this request see the stage
        return await asyncio.get_running_loop().run_in_executor(self._pool(), run, self.rerank, query, results)

    def close(self) -> None:
        """Wait for the rerankings in progress, then stop the threads."""
        self._pool().shutdown()

    def _pool(self) -> ThreadPoolExecutor:
        return self._threads.get(lambda: ThreadPoolExecutor(_THREADS, "embedpipe-rerank"))
