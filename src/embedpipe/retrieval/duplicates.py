"""Texts that say nearly the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from embedpipe._threads import check_stopped
from embedpipe.errors import InputError
from embedpipe.types import Vectors

_CELLS = 16_000_000
"""Similarities held at once: 64 MB."""


class NearDuplicate(NamedTuple):
    """The ids of two texts, the earlier one first, and their cosine similarity."""

    first: str
    second: str
    similarity: float


def near_duplicates(ids: Sequence[str], vectors: Vectors, *, threshold: float = 0.95) -> list[NearDuplicate]:
    """Every pair of at least that cosine similarity, the most similar first, ties in the order of the ids given.

    Exact: each of the n vectors (n, d) is compared with each other one, n * n * d / 2 multiplications. Raises
    `InputError` for a threshold outside 0 to 1, and where ids and vectors differ in number.
    """
    if not 0 < threshold <= 1:
        raise InputError(f"threshold expected a cosine similarity over 0 and up to 1, got {threshold!r}.")
    if len(ids) != len(vectors):
        raise InputError(f"near_duplicates expected an id for each vector, got {len(ids)} and {len(vectors)}.")
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    rows = max(1, _CELLS // max(len(ids), 1))
    found: list[NearDuplicate] = []
    for start in range(0, len(ids), rows):
        check_stopped()
        similarities = unit[start : start + rows] @ unit[start:].T
        for row, column in np.argwhere(similarities >= threshold):
            if column > row:
                similarity = min(float(similarities[row, column]), 1.0)
                found.append(NearDuplicate(ids[start + row], ids[start + column], similarity))
    return sorted(found, key=lambda pair: -pair.similarity)
