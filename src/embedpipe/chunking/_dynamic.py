"""Divide a row of vectors into runs with the highest similarity within each run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def best_runs(vectors: npt.NDArray[np.float32], lowest: Sequence[int]) -> list[tuple[int, int]]:
    """Find the division with the highest sum of the similarities within its runs, by dynamic programming.

    The mean over all pairs is subtracted from every similarity. So a run gains from rows that are alike, and loses from
    others. Time and memory grow with n times the longest run.

    Args:
        vectors: (n, d) float32, unit rows.
        lowest: For each row, the first row that a run that ends there may begin with, ascending.

    Returns:
        (first, last) of each run, in order.
    """
    count = len(vectors)
    mean = _mean_similarity(vectors)
    best = np.zeros(count + 1)  # of the rows before i
    begins = np.zeros(count, dtype=np.int64)
    within = np.zeros(0)  # for each first row from lowest[last], the sum within the run up to the row before last
    for last in range(count):
        first = lowest[last]
        within = within[first - lowest[last - 1] if last else 0 :]
        gains = vectors[first:last] @ vectors[last] - mean
        # A run that begins earlier gains the similarity of the new row to all of its rows.
        within = np.append(within + np.cumsum(gains[::-1])[::-1], 0.0)
        totals = best[first : last + 1] + within
        choice = int(np.argmax(totals))
        best[last + 1] = totals[choice]
        begins[last] = first + choice
    runs = []
    last = count - 1
    while last >= 0:
        runs.append((int(begins[last]), last))
        last = int(begins[last]) - 1
    return runs[::-1]


def _mean_similarity(vectors: npt.NDArray[np.float32]) -> float:
    """Return the mean over all pairs of different rows, from the length of their sum: |sum|^2 = n + 2 * pairs."""
    count = len(vectors)
    total = vectors.sum(axis=0, dtype=np.float64)
    own = np.einsum("ij,ij->", vectors, vectors, dtype=np.float64)
    return float((total @ total - own) / (count * (count - 1)))
