"""Results that are near the query and unlike each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from embedpipe.errors import InputError
from embedpipe.types import SearchResult, Vectors


def diversified(results: Sequence[SearchResult], *, k: int, lambda_mult: float = 0.5) -> list[SearchResult]:
    """k of the results by maximal marginal relevance, in the order of choice; fewer where there are fewer.

    Each next one maximises `lambda_mult * similarity - (1 - lambda_mult) * (greatest cosine with one chosen)`
    (Carbonell and Goldstein 1998): at 1 diversity counts for nothing, at 0 it alone does. Ties go to the earlier
    result. Raises `InputError` for a lambda outside 0 to 1, and for results without `similarity` and `vector`.
    """
    if type(lambda_mult) not in (int, float) or not 0 <= lambda_mult <= 1:
        raise InputError(f"lambda_mult expected a number from 0 to 1, got {lambda_mult!r}.")
    if k < 1:
        raise InputError(f"k expected 1 or more, got {k!r}.")
    if not results:
        return []
    similarities, vectors = _measured(results)
    relevance = lambda_mult * similarities
    overlap = np.full(len(results), -np.inf, dtype=np.float32)
    free = np.ones(len(results), dtype=bool)
    chosen: list[int] = []
    while len(chosen) < min(k, len(results)):
        value = relevance if not chosen else relevance - (1 - lambda_mult) * overlap
        best = int(np.argmax(np.where(free, value, -np.inf)))
        chosen.append(best)
        free[best] = False
        overlap = np.maximum(overlap, vectors @ vectors[best])
    return [results[index] for index in chosen]


def _measured(results: Sequence[SearchResult]) -> tuple[Vectors, Vectors]:
    """Similarities (n,) and unit vectors (n, d)."""
    similarities = [result.similarity for result in results if result.similarity is not None]
    rows = [result.vector for result in results if result.vector is not None]
    if len(similarities) != len(results) or len(rows) != len(results):
        raise InputError("Diversity expected results with their similarity and vector; search with with_vectors=True.")
    vectors = np.stack(rows)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    norms[norms == 0] = 1
    return np.asarray(similarities, dtype=np.float32), vectors / norms
