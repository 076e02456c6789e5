"""Check the vectors that a model returned, and bring vectors to length 1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from embedpipe._checks import checked_array
from embedpipe.errors import InvalidVectorsError
from embedpipe.types import ModelSpec, Vectors

_NUMBERS = (int, float, np.number)


class WrongDimensionError(InvalidVectorsError):
    """A provider's vectors have another dimension than the model's. Other texts would get the same."""


def stack_rows(rows: Sequence[object], dimensions: int | None) -> Vectors:
    """Return rows of numbers as one array, with NaN for a row that is no vector or has another size.

    Args:
        rows: The rows as a provider or framework sent them.
        dimensions: The size to take if no row is a vector.

    Returns:
        (n, d) float32, where d is the size of most rows that are vectors.

    Raises:
        InvalidVectorsError: If no row is a vector and `dimensions` is None.
    """
    vectors = [_vector(row) for row in rows]
    sizes = Counter(len(vector) for vector in vectors if vector is not None)
    size = sizes.most_common(1)[0][0] if sizes else dimensions
    if size is None:
        raise InvalidVectorsError(f"None of the {len(rows)} vectors that came is a list of numbers.")
    if len(sizes) == 1 and sizes[size] == len(rows):
        return np.stack([vector for vector in vectors if vector is not None])
    stacked = np.full((len(rows), size), np.nan, dtype=np.float32)
    for row, vector in zip(stacked, vectors, strict=True):
        if vector is not None and len(vector) == size:
            row[:] = vector
    return stacked


def _vector(row: object) -> Vectors | None:
    """Return the row as (d,) float32; None for null, text, nested lists, anything but numbers, or an empty list."""
    if isinstance(row, list) and not all(
        kind is not bool and issubclass(kind, _NUMBERS) for kind in set(map(type, row))
    ):
        return None  # NumPy would take "0.5" and true for numbers
    if not isinstance(row, list | tuple | np.ndarray):
        return None
    try:
        with np.errstate(over="ignore"):  # infinite then, and rejected as such
            vector = np.asarray(row, dtype=np.float32)
    except (ValueError, TypeError, OverflowError):
        return None
    return vector if vector.ndim == 1 and len(vector) else None


def find_unusable(vectors: npt.ArrayLike, *, expected: int, spec: ModelSpec) -> tuple[Vectors, list[int]]:
    """Return the vectors as (n, d) float32, and the rows that are not finite or all zero.

    Raises:
        InvalidVectorsError: If the shape is not (`expected`, the model's dimensions).
    """
    array: Vectors = checked_array(f"{spec.name}'s answer", vectors, error=InvalidVectorsError)
    if array.shape != (expected, spec.dimensions):
        raise InvalidVectorsError(wrong_shape(array, expected=expected, spec=spec))
    usable = usable_rows(array)
    return array, [] if usable.all() else np.flatnonzero(~usable).tolist()


def wrong_shape(vectors: Vectors, *, expected: int, spec: ModelSpec) -> str:
    """Return what is wrong with an array that is not (`expected`, the model's dimensions)."""
    return (
        f"{spec.name} returned an array of shape {vectors.shape} for {expected} texts and {spec.dimensions} "
        "dimensions. Check that the model is the one named, and dimensions=."
    )


def usable_rows(vectors: Vectors) -> npt.NDArray[np.bool_]:
    """Return (n,) booleans: whether each row of (n, d) is finite and not all zero."""
    squares = np.einsum("nd,nd->n", vectors, vectors)  # not finite if any element is not, nor if the sum overflows
    usable: npt.NDArray[np.bool_] = np.isfinite(squares) & (squares > 0.0)
    return usable


def unusable_rows(rows: Sequence[int], *, expected: int, spec: ModelSpec) -> InvalidVectorsError:
    """Return the error for rows that cannot be used; its `inputs` are the rows."""
    return InvalidVectorsError(
        f"{spec.name} sent no usable vector for {len(rows)} of {expected} texts: null, not numbers, not finite, "
        "all zero, or of another dimension. Send the texts again, or leave them out.",
        inputs=rows,
    )


def to_unit_length(vectors: npt.NDArray[np.floating]) -> Vectors:
    """Return the rows at length 1, as float32."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), dtype=np.float32)
