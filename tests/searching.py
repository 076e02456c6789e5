"""Search results made by hand from real spans of a document, and a service that hands them out."""

from __future__ import annotations

from typing import Any

from embedpipe.retrieval.neighbors import with_neighbors
from embedpipe.types import Chunk, SearchResult

DOCUMENT = """\
The with statement
******************

The with statement is used to wrap the execution of a block with
methods defined by a context manager. This allows common patterns
to be encapsulated for convenient reuse.

A context manager’s "__exit__()" method is always called, if the
"__enter__()" method returned without an error. Dr. Smith disagrees!
"""


def result(
    start: int, end: int, *, score: float = 1.0, index: int = 0, document: str = DOCUMENT, id: str = "with"
) -> SearchResult:
    chunk = Chunk(document[start:end], start, end, index, {"title": "with"}, id, f"{id}-{index}")
    return SearchResult(chunk=chunk, score=score, similarity=score)


def paragraphs(*, scores: tuple[float, ...] = (0.3, 0.9, 0.6)) -> list[SearchResult]:
    """The document's three blocks as chunks, with gaps of two line breaks between them."""
    edges = []
    start = 0
    for block in DOCUMENT.split("\n\n"):
        edges.append((start, start + len(block.rstrip())))
        start += len(block) + 2
    return [result(*edge, score=score, index=i) for i, (edge, score) in enumerate(zip(edges, scores, strict=True))]


class HandedOut:
    """A search service that finds the same results for every question, and remembers how it was asked."""

    def __init__(self, results: list[SearchResult]) -> None:
        self.results = results
        self.calls: list[tuple[str, int, dict[str, Any]]] = []

    def search(self, query: str, k: int, **options: Any) -> list[SearchResult]:
        self.calls.append((query, k, options))
        return self.results[:k]

    async def asearch(self, query: str, k: int, **options: Any) -> list[SearchResult]:
        return self.search(query, k, **options)

    def expand(self, results: list[SearchResult], **options: Any) -> list[SearchResult]:
        """Return the results, then all results not returned yet as their neighbors."""
        self.calls.append(("expand", len(results), options))
        rest = [found.chunk for found in self.results if found not in results]
        return with_neighbors(results, {results[0].id: rest})

    async def aexpand(self, results: list[SearchResult], **options: Any) -> list[SearchResult]:
        return self.expand(results, **options)
