"""Checks and steps that all ways of compression share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from embedpipe.errors import InputError
from embedpipe.types import Vectors

_BLOCK_BYTES = 1 << 18
"""What is worked on at once: a block that stays in the processor's cache is several times as fast."""


def checked(vectors: npt.ArrayLike, dimensions: int | None = None) -> Vectors:
    """(n, d) float32, contiguous. Raises `InputError` for another shape, and for NaN and infinity."""
    try:
        array = np.ascontiguousarray(vectors, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"Expected vectors as an (n, d) array of numbers: {error}.") from error
    if array.ndim != 2 or array.shape[1] == 0 or (dimensions is not None and array.shape[1] != dimensions):
        expected = "d" if dimensions is None else dimensions
        raise InputError(f"Expected an (n, {expected}) array of vectors, got one of shape {array.shape}.")
    with np.errstate(over="ignore", invalid="ignore"):
        total = array.sum()
    if not np.isfinite(total) and not np.isfinite(array).all():
        raise InputError("Expected finite vectors; some hold NaN or infinity.")
    return array


def normalized(vectors: Vectors) -> Vectors:
    """The vectors at length 1; a vector of zeros stays one."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True).astype(np.float32)
    norms[norms == 0] = 1
    unit: Vectors = vectors / norms
    return unit


def blocks(array: npt.NDArray[Any]) -> Iterator[slice]:
    """Runs of rows that together take about a quarter of a megabyte."""
    rows = max(1, _BLOCK_BYTES // max(array.shape[1] * array.itemsize, 1))
    return (slice(start, start + rows) for start in range(0, len(array), rows))
