"""Put results in the order of their new scores, as every reranker does at its end."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from embedpipe._checks import checked_items, shown
from embedpipe.errors import EmbedPipeError, InputError, RerankError
from embedpipe.types import Reranker, SearchResult

_LOG = logging.getLogger(__name__)


def reordered(results: Sequence[SearchResult], scores: Sequence[float], *, by: str) -> list[SearchResult]:
    """Return the results with `rerank_score` and `score` set, best first, ties by id.

    Args:
        results: The results.
        scores: One for each result; higher is better.
        by: The reranker's name, for errors.

    Raises:
        RerankError: If there is not one finite score for each result.
    """
    values = numbers(scores, expected=len(results), by=by)
    scored = [replace(r, score=v, rerank_score=v) for r, v in zip(results, values, strict=True)]
    return sorted(scored, key=lambda result: (-result.score, result.id))


def checked_request(query: object, results: object) -> tuple[str, list[SearchResult]]:
    """Return the query and the results that a reranker is given.

    Raises:
        InputError: If the query is no str, or the results are no results of a search.
    """
    if not isinstance(query, str):
        raise InputError(f"query={shown(query)} is no text. Pass a str.")
    return query, checked_items("results", results, SearchResult)


def unit_range(scores: Sequence[float]) -> list[float]:
    """Bring the scores from [least, greatest] to [0, 1]; 1 where all are the same."""
    least, span = min(scores), max(scores) - min(scores)
    return [(score - least) / span if span else 1.0 for score in scores]


def numbers(scores: Iterable[Any], *, expected: int, by: str) -> list[float]:
    """Return the scores as `expected` finite numbers.

    Raises:
        RerankError: If they are not, such as None, text, too many of them, or no end of them.
    """
    score: Any = scores
    values: list[float] = []
    try:
        for score in islice(scores, expected + 1):  # a generator may have no end
            values.append(_number(score))
    except (TypeError, ValueError, OverflowError):
        raise RerankError(
            f"{by} gave a score that is not a number: {shown(score)}. A reranker gives one number for each text."
        ) from None
    if len(values) != expected:
        count = f"{len(values)}" if len(values) < expected else f"over {expected}"
        raise RerankError(f"{by} gave {count} scores for {expected} results.")
    if not all(map(math.isfinite, values)):
        raise RerankError(f"{by} gave a score that is not finite: {next(v for v in values if not math.isfinite(v))}.")
    return values


def _number(score: Any) -> float:
    """Return the score as a float. Text is refused, which float() would take."""
    if isinstance(score, str | bytes):
        raise TypeError
    return float(score)


class FallbackReranker:
    """Wraps another reranker. If that fails, a warning is logged and the results stay as they came.

    Such results have no `rerank_score`.
    """

    def __init__(self, reranker: Reranker) -> None:
        self._reranker = reranker

    def __repr__(self) -> str:
        return f"FallbackReranker({self._reranker!r})"

    def rerank(self, query: str, results: Sequence[SearchResult]) -> list[SearchResult]:
        """Return the results as the reranker orders them, or as they came."""
        try:
            return self._reranker.rerank(query, results)
        except EmbedPipeError as error:
            _LOG.warning("Reranking failed, and the results stay in their first order: %s", error)
            return list(results)
