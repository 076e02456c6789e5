"""Add the neighboring chunks of search results: those beside them in their documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from embedpipe.errors import ConfigurationError
from embedpipe.types import Chunk, Parent, SearchResult


def check_neighbors(window: int, parent: Parent | None) -> None:
    """Raise `ConfigurationError` if `window` and `parent` do not say which neighbors of a result to add."""
    if window and parent is not None:
        raise ConfigurationError(
            f"parent={parent!r} includes all chunks of the window already. Pass `window` or `parent`, not both."
        )


def with_neighbors(results: Sequence[SearchResult], neighbors: Mapping[str, Sequence[Chunk]]) -> list[SearchResult]:
    """Return the results, then each neighbor that is not a result itself, once.

    Args:
        results: The results of a search.
        neighbors: The neighboring chunks of each result, by the result's id.

    Returns:
        The results. Each neighbor has the `score` of its best result and no other score, since no search found it, and
        its query.
    """
    known = {result.id for result in results}
    extended = list(results)
    for result in sorted(results, key=lambda result: -result.score):
        for chunk in neighbors.get(result.id, ()):
            if chunk.id not in known:
                known.add(str(chunk.id))
                extended.append(SearchResult(chunk=chunk, score=result.score, query=result.query))
    return extended
