"""What every reranker ends with: results in the order of their new scores."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace

from embedpipe.errors import EmbedPipeError, RerankError
from embedpipe.types import Reranker, SearchResult

_LOG = logging.getLogger(__name__)


def reordered(results: Sequence[SearchResult], scores: Sequence[float], *, by: str) -> list[SearchResult]:
    """The results with `rerank_score` and `score` set, best first, ties by id.

    `RerankError` where there is not one finite score for each result; `by` is the reranker's name in it.
    """
    values = [float(score) for score in scores]
    if len(values) != len(results):
        raise RerankError(f"{by} gave {len(values)} scores for {len(results)} results.")
    if not all(math.isfinite(value) for value in values):
        raise RerankError(f"{by} gave a score that is not finite: {next(v for v in values if not math.isfinite(v))}.")
    scored = [replace(r, score=v, rerank_score=v) for r, v in zip(results, values, strict=True)]
    return sorted(scored, key=lambda result: (-result.score, result.id))


class FallbackReranker:
    """Another reranker, whose failure is logged as a warning and leaves the results as they came.

    Such results have no `rerank_score`.
    """

    def __init__(self, reranker: Reranker) -> None:
        self._reranker = reranker

    def __repr__(self) -> str:
        return f"FallbackReranker({self._reranker!r})"

    def rerank(self, query: str, results: Sequence[SearchResult]) -> list[SearchResult]:
        try:
            return self._reranker.rerank(query, results)
        except EmbedPipeError as error:
            _LOG.warning("the results stay in their first order, since reranking failed: %s", error)
            return list(results)
