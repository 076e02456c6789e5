"""Checks of the vectors that a backend returned."""

from __future__ import annotations

import numpy as np

from embedpipe.errors import InvalidVectorsError
from embedpipe.types import ModelSpec, Vectors

UNIT_TOLERANCE = 1e-3


def checked(vectors: Vectors, *, expected: int, spec: ModelSpec) -> Vectors:
    """The vectors as (n, d) float32, once they are one finite vector, not all zero, for each of `expected` texts.

    `InvalidVectorsError` otherwise; its `inputs` are the bad rows where single rows are bad, and empty where the
    shape is.
    """
    vectors = np.asarray(vectors, dtype=np.float32)
    if vectors.shape != (expected, spec.dimensions):
        raise InvalidVectorsError(
            f"{expected} vectors of {spec.dimensions} dimensions were expected from {spec.name}, and an array of shape "
            f"{vectors.shape} came. Check that the model is the one named, and dimensions=."
        )
    squares = np.einsum("nd,nd->n", vectors, vectors)  # not finite where any element is not, nor where it overflows
    bad = ~(np.isfinite(squares) & (squares > 0.0))
    if bad.any():
        rows = tuple(int(row) for row in np.flatnonzero(bad))
        raise InvalidVectorsError(
            f"Finite vectors that are not all zero were expected from {spec.name}, and {len(rows)} of {expected} are "
            "not. Send the texts again, or leave them out.",
            inputs=rows,
        )
    return vectors


def unit(vectors: Vectors) -> Vectors:
    """The rows at length 1."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), dtype=np.float32)
