"""Make vectors shorter after the model. What the vectors are, the specification, then says so."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np

from embedpipe.errors import ConfigurationError, InputError
from embedpipe.types import ModelSpec, Vectors


@runtime_checkable
class Compressor(Protocol):
    """Makes vectors shorter: `EmbeddingCompressor` or `Truncation` of `embedpipe.compression`, or your own."""

    @property
    def fingerprint(self) -> str:
        """Names the compressor: only vectors with the same fingerprint can be compared."""
        ...

    def compress(self, vectors: Vectors, /) -> Vectors:
        """Turn (n, d) into (n, fewer) float32 rows of length 1. Raises `InputError` for another d."""
        ...


def checked_compressor(compressor: object) -> Compressor | None:
    """Return a copy, so that fitting the compressor again changes no generator.

    Raises:
        ConfigurationError: If it is no compressor.
    """
    if compressor is None:
        return None
    if not isinstance(compressor, Compressor):
        raise ConfigurationError(
            f"`compressor` cannot be of type {type(compressor).__name__}. Pass a fitted EmbeddingCompressor, or "
            "a Truncation, of embedpipe.compression."
        )
    return copy.copy(compressor)


def compressed_spec(base: ModelSpec, compressor: Compressor) -> ModelSpec:
    """Return the specification of the compressed vectors, which differs by compressor.

    Raises:
        ConfigurationError: If the compressor is not for vectors of this model.
    """
    try:
        dimensions = compressor.compress(np.empty((0, base.dimensions), dtype=np.float32)).shape[1]
    except InputError as error:
        raise ConfigurationError(
            f"The compressor {compressor!r} does not take the {base.dimensions} dimensions of {base.name}: {error}"
        ) from error
    return replace(base, dimensions=dimensions, normalized=True, compression=compressor.fingerprint)
