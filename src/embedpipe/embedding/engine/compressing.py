"""Vectors made shorter after the model, as a part of what the model is."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np

from embedpipe.errors import ConfigurationError, InputError
from embedpipe.types import ModelSpec, Vectors


@runtime_checkable
class Compressor(Protocol):
    """Makes vectors shorter: an `EmbeddingCompressor` or `Truncation` of `embedpipe.compression`, or one's own."""

    @property
    def fingerprint(self) -> str:
        """Compressed vectors are comparable where it is the same."""
        ...

    def compress(self, vectors: Vectors, /) -> Vectors:
        """(n, fewer) float32 unit rows, of an (n, d) array. Raises `InputError` for vectors of other dimensions."""
        ...


def checked_compressor(compressor: object) -> Compressor | None:
    """A copy, so that one that is fitted anew changes no generator. `ConfigurationError` where it is none."""
    if compressor is None:
        return None
    if not isinstance(compressor, Compressor):
        raise ConfigurationError(
            "compressor= expected an EmbeddingCompressor that was fitted, or a Truncation, of embedpipe.compression; "
            f"got {type(compressor).__name__}."
        )
    return copy.copy(compressor)


def compressed_spec(base: ModelSpec, compressor: Compressor) -> ModelSpec:
    """What the vectors are after the compressor, told apart from those before and from those of another one.

    Raises `ConfigurationError` where the compressor is not for such vectors.
    """
    try:
        dimensions = compressor.compress(np.empty((0, base.dimensions), dtype=np.float32)).shape[1]
    except InputError as error:
        raise ConfigurationError(
            f"The compressor {compressor!r} is not for the vectors of {base.name}, which have {base.dimensions} "
            f"dimensions: {error}"
        ) from error
    return replace(base, dimensions=dimensions, normalized=True, compression=compressor.fingerprint)
