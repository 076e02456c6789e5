"""Checks of the vectors that a backend returned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from embedpipe.errors import InvalidVectorsError
from embedpipe.types import ModelSpec, Vectors

UNIT_TOLERANCE = 1e-3
_NUMBERS = (int, float, np.number)


def stacked(rows: Sequence[object], dimensions: int | None) -> Vectors:
    """Return rows of numbers as (n, d) float32, where a row that is no vector, or of another size, is all NaN.

    d is what most of the rows that are vectors have, and `dimensions` where none is one.

    Raises:
        InvalidVectorsError: If no row is a vector and `dimensions` is None.
    """
    vectors = [_vector(row) for row in rows]
    sizes = Counter(len(vector) for vector in vectors if vector is not None)
    size = sizes.most_common(1)[0][0] if sizes else dimensions
    if size is None:
        raise InvalidVectorsError(f"None of the {len(rows)} vectors that came is one: a list of numbers each.")
    if len(sizes) == 1 and sizes[size] == len(rows):
        return np.stack([vector for vector in vectors if vector is not None])
    whole = np.full((len(rows), size), np.nan, dtype=np.float32)
    for row, vector in zip(whole, vectors, strict=True):
        if vector is not None and len(vector) == size:
            row[:] = vector
    return whole


def _vector(row: object) -> Vectors | None:
    """The row as (d,) float32; None for what is no vector: null, text, nested, of other than numbers, or empty."""
    if isinstance(row, list) and not all(
        kind is not bool and issubclass(kind, _NUMBERS) for kind in set(map(type, row))
    ):
        return None  # NumPy would take "0.5" and true for numbers
    if not isinstance(row, list | tuple | np.ndarray):
        return None
    try:
        with np.errstate(over="ignore"):  # infinite then, and refused as such
            vector = np.asarray(row, dtype=np.float32)
    except (ValueError, TypeError, OverflowError):
        return None
    return vector if vector.ndim == 1 and len(vector) else None


def checked(vectors: Vectors, *, expected: int, spec: ModelSpec) -> Vectors:
    """The vectors as (n, d) float32, once they are one finite vector, not all zero, for each of `expected` texts.

    `InvalidVectorsError` otherwise; its `inputs` are the bad rows where single rows are bad, and empty where the
    shape is.
    """
    vectors, bad = parted(vectors, expected=expected, spec=spec)
    if bad:
        raise unusable_rows(bad, expected=expected, spec=spec)
    return vectors


def parted(vectors: Vectors, *, expected: int, spec: ModelSpec) -> tuple[Vectors, list[int]]:
    """The vectors as (n, d) float32, and the rows that are not finite or all zero.

    `InvalidVectorsError` where the shape is another.
    """
    vectors = np.asarray(vectors, dtype=np.float32)
    if vectors.shape != (expected, spec.dimensions):
        raise InvalidVectorsError(
            f"{expected} vectors of {spec.dimensions} dimensions were expected from {spec.name}, and an array of shape "
            f"{vectors.shape} came. Check that the model is the one named, and dimensions=."
        )
    usable = usable_rows(vectors)
    return vectors, [] if usable.all() else np.flatnonzero(~usable).tolist()


def usable_rows(vectors: Vectors) -> npt.NDArray[np.bool_]:
    """(n,) whether each row of (n, d) is finite and not all zero."""
    squares = np.einsum("nd,nd->n", vectors, vectors)  # not finite where any element is not, nor where it overflows
    usable: npt.NDArray[np.bool_] = np.isfinite(squares) & (squares > 0.0)
    return usable


def unusable_rows(rows: Sequence[int], *, expected: int, spec: ModelSpec) -> InvalidVectorsError:
    """The error of rows that are no vector."""
    return InvalidVectorsError(
        f"{spec.name} sent no usable vector for {len(rows)} of {expected} texts: null, not numbers, not finite, "
        "all zero, or of another dimension. Send the texts again, or leave them out.",
        inputs=rows,
    )


def unit(vectors: Vectors) -> Vectors:
    """The rows at length 1."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), dtype=np.float32)
