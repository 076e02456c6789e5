"""Results with the chunks around them in their documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from embedpipe.errors import ConfigurationError
from embedpipe.types import Chunk, Parent, SearchResult


def check_neighbors(window: int, parent: Parent | None) -> None:
    """Raises `ConfigurationError` unless these say which chunks around a result are meant."""
    if type(window) is not int or window < 0:
        raise ConfigurationError(f"window expected a whole number of chunks from 0 on, got {window!r}.")
    if parent not in (None, "section", "document"):
        raise ConfigurationError(f"parent expected 'section', 'document' or None, got {parent!r}.")
    if window and parent is not None:
        raise ConfigurationError(f"The parent {parent!r} holds every chunk of the window already; give one of the two.")


def with_neighbors(results: Sequence[SearchResult], around: Mapping[str, Sequence[Chunk]]) -> list[SearchResult]:
    """The results as they are, then once each chunk around them that is no result itself.

    `around[id]` holds the chunks around the result of that id. Each takes the score of the best result that it stands
    around, and has no other: no search brought it.
    """
    known = {result.id for result in results}
    extended = list(results)
    for result in sorted(results, key=lambda result: -result.score):
        for chunk in around.get(result.id, ()):
            if chunk.id not in known:
                known.add(str(chunk.id))
                extended.append(SearchResult(chunk=chunk, score=result.score))
    return extended
