"""Choose results that match the query and differ from each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from embedpipe._checks import checked_count, checked_number
from embedpipe.errors import InputError
from embedpipe.types import SearchResult, Vectors


def diversified(results: Sequence[SearchResult], *, k: int, lambda_mult: float = 0.5) -> list[SearchResult]:
    """Choose k results by maximal marginal relevance (Carbonell and Goldstein 1998).

    Each step chooses the result with the largest
    `lambda_mult * similarity - (1 - lambda_mult) * (largest cosine to a chosen result)`. Ties go to the earlier result.

    Args:
        results: Results with `similarity` and `vector`.
        k: How many to choose.
        lambda_mult: From 0 (only diversity counts) to 1 (only similarity counts).

    Returns:
        The chosen results in the order of choice. Fewer than k if there are fewer.

    Raises:
        InputError: If `lambda_mult` or `k` is out of range, or if a result has no `similarity` or `vector`.
    """
    lambda_mult = checked_number("lambda_mult", lambda_mult, least=0, most=1)
    k = checked_count("k", k)
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
        # Only the cosines to the newly chosen result are computed: k * n * d multiplications instead of n * n * d.
        overlap = np.maximum(overlap, vectors @ vectors[best])
    return [results[index] for index in chosen]


def _measured(results: Sequence[SearchResult]) -> tuple[Vectors, Vectors]:
    """Return the similarities (n,) and unit vectors (n, d)."""
    similarities = [result.similarity for result in results if result.similarity is not None]
    rows = [result.vector for result in results if result.vector is not None]
    if len(similarities) != len(results) or len(rows) != len(results):
        raise InputError("Diversity needs each result's similarity and vector. Search with with_vectors=True.")
    vectors = np.stack(rows)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    norms[norms == 0] = 1
    return np.asarray(similarities, dtype=np.float32), vectors / norms
