"""Find texts that are nearly the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from embedpipe._checks import checked_array, checked_number, checked_texts
from embedpipe._threads import check_stopped
from embedpipe.errors import InputError
from embedpipe.types import Vectors

_CELLS = 16_000_000
"""How many float32 similarities are held at once: 64 MB."""


class NearDuplicate(NamedTuple):
    """The ids of two texts, the earlier one first, and their cosine similarity."""

    first: str
    second: str
    similarity: float


def near_duplicates(ids: Sequence[str], vectors: Vectors, *, threshold: float = 0.95) -> list[NearDuplicate]:
    """Find all pairs of similar vectors.

    The search is exact: each vector is compared with each other one, which takes n * n * d / 2 multiplications.

    Args:
        ids: The id of each vector.
        vectors: (n, d) float32.
        threshold: The lowest cosine similarity of a pair, over 0 and up to 1.

    Returns:
        The pairs, most similar first. Ties are in the order of the ids.

    Raises:
        InputError: If the threshold is out of range, or if ids and vectors differ in number.
    """
    threshold = checked_number("threshold", threshold, above=0, most=1)
    vectors = checked_array("vectors", vectors)
    if vectors.ndim != 2:
        raise InputError(f"vectors has the shape {vectors.shape}. Pass an (n, d) array.")
    ids = checked_texts("ids", ids)
    if len(ids) != len(vectors):
        raise InputError(f"There are {len(ids)} ids and {len(vectors)} vectors. Pass an id for each vector.")
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    rows = max(1, _CELLS // max(len(ids), 1))
    found: list[NearDuplicate] = []
    for start in range(0, len(ids), rows):
        check_stopped()
        # A block of rows against all later rows: half of the matrix, and never more than `_CELLS` of it in memory.
        similarities = unit[start : start + rows] @ unit[start:].T
        for row, column in np.argwhere(similarities >= threshold):
            if column > row:
                similarity = min(float(similarities[row, column]), 1.0)  # rounding may exceed 1
                found.append(NearDuplicate(ids[start + row], ids[start + column], similarity))
    return sorted(found, key=lambda pair: -pair.similarity)
