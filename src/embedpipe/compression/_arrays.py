"""Check arrays of vectors, and work on large ones block by block."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from embedpipe._checks import checked_array
from embedpipe.errors import InputError
from embedpipe.types import Vectors

_BLOCK_BYTES = 1 << 20
"""Size of a block: one that stays in the processor's cache is several times as fast."""

_ALONE = 1 << 22
"""Up to so many numbers one thread does all the work."""

_THREADS = min(os.cpu_count() or 1, 4)


def checked(vectors: npt.ArrayLike, dimensions: int | None = None) -> Vectors:
    """Return (n, d) float32, contiguous.

    Raises:
        InputError: If the shape is another, or if there is NaN or infinity.
    """
    array = rows_of(vectors, dimensions)
    with np.errstate(over="ignore", invalid="ignore"):
        total = array.sum()
    if not np.isfinite(total):
        _check_each(array)
    return array


def rows_of(vectors: npt.ArrayLike, dimensions: int | None = None) -> Vectors:
    """Do the same as `checked`, without a check for NaN and infinity."""
    array = checked_array("vectors", vectors)
    if array.ndim != 2 or array.shape[1] == 0 or (dimensions is not None and array.shape[1] != dimensions):
        needed = "d" if dimensions is None else dimensions
        raise InputError(f"The vectors have the shape {array.shape}. Pass an (n, {needed}) array.")
    return array


def check_finite(block: Vectors) -> None:
    """Raise `InputError` for NaN and infinity in a contiguous block."""
    numbers = block.ravel()
    if not np.isfinite(np.dot(numbers, numbers)):  # the fastest of all ways; large numbers add up to infinity, too
        _check_each(block)


def _check_each(array: Vectors) -> None:
    if not np.isfinite(array).all():
        raise InputError("Some vectors hold NaN or infinity. Leave them out.")


def normalized(vectors: Vectors) -> Vectors:
    """Return the vectors at length 1. A vector of zeros stays as it is."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True).astype(np.float32)
    norms[norms == 0] = 1
    unit: Vectors = vectors / norms
    return unit


def block_rows(vectors: Vectors) -> int:
    """Return how many rows of these vectors make a block."""
    return max(1, _BLOCK_BYTES // (4 * int(vectors.shape[1])))


def by_blocks(vectors: Vectors, work: Callable[[slice, Vectors], object]) -> None:
    """Call `work` with runs of `block_rows(vectors)` rows, and room for as many float32 rows.

    Large arrays are worked on in several threads, which numpy lets run at once. Each thread has its own room.
    """
    rows = block_rows(vectors)

    def share(start: int, stop: int) -> None:
        room = np.empty((min(rows, stop - start), vectors.shape[1]), dtype=np.float32)
        for first in range(start, stop, rows):
            last = min(first + rows, stop)
            work(slice(first, last), room[: last - first])

    if vectors.size <= _ALONE or _THREADS == 1:
        share(0, len(vectors))
        return
    edges = np.linspace(0, len(vectors), _THREADS + 1).astype(int).tolist()
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(share, edges[:-1], edges[1:]))
