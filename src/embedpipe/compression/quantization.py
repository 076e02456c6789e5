"""Keep one byte for each dimension, or one bit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedpipe._checks import check_fields
from embedpipe.compression._arrays import block_rows, by_blocks, check_finite, checked, normalized, rows_of
from embedpipe.errors import InputError
from embedpipe.types import Vectors

Codes = npt.NDArray[np.int8]
Bits = npt.NDArray[np.uint8]

_LEVELS = 255
_FINEST = np.float32(1e-30)
"""The smallest step, for a dimension that is the same in the whole sample."""
_ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint8)
"""The number of bits that are set, for each byte."""


@dataclass(frozen=True, slots=True, eq=False)
class Int8Quantizer:
    """Keeps one byte for each dimension: code c stands for `low + (c + 128) * step`.

    Each dimension has its own range, which is that of a sample. Numbers outside are cut to it. `low` and `step` are
    (d,) float32.
    """

    low: Vectors
    step: Vectors

    @classmethod
    def fit(cls, vectors: npt.ArrayLike) -> Int8Quantizer:
        """Return the quantizer for the ranges of these vectors (n, d).

        Raises:
            InputError: If there is no vector, or if they are not an array of finite numbers.
        """
        array = checked(vectors)
        if not len(array):
            raise InputError("The sample is empty. Pass at least one vector.")
        low, high = array.min(axis=0), array.max(axis=0)
        step = np.maximum((high - low) / np.float32(_LEVELS), _FINEST)
        return cls(low, step)

    def quantize(self, vectors: npt.ArrayLike) -> Codes:
        """Return (n, d) int8.

        Raises:
            InputError: If the vectors have other dimensions than the sample, or are not finite.
        """
        array = rows_of(vectors, len(self.low))
        codes = np.empty(array.shape, dtype=np.uint8)
        # Repeated for each row of a block: numpy is faster with two arrays of the same shape.
        repeats = (min(block_rows(array), len(array)), 1)
        scale, below = np.tile(1 / self.step, repeats), np.tile(self.low - self.step / 2, repeats)

        def work(rows: slice, room: Vectors) -> None:
            # Numbers far outside the ranges overflow, and are cut to them like all others.
            with np.errstate(over="ignore", invalid="ignore"):
                check_finite(array[rows])
                np.subtract(array[rows], below[: len(room)], out=room)
                np.multiply(room, scale[: len(room)], out=room)
            np.clip(room, 0, _LEVELS, out=room)
            # This drops the fraction, which rounds: half a step was added before.
            np.copyto(codes[rows], room, casting="unsafe")
            np.bitwise_xor(codes[rows], 128, out=codes[rows])

        by_blocks(array, work)
        return codes.view(np.int8)

    def dequantize(self, codes: Codes) -> Vectors:
        """Return (n, d) float32: within half a step of the original, if that was within the ranges.

        Raises:
            InputError: If these are not codes of this quantizer.
        """
        if not isinstance(codes, np.ndarray):
            raise InputError(f"codes is a {type(codes).__name__}. Pass the array that quantize() returned.")
        if codes.dtype != np.int8 or codes.ndim != 2 or codes.shape[1] != len(self.low):
            raise InputError(f"The codes are {codes.dtype} of shape {codes.shape}. Pass (n, {len(self.low)}) int8.")
        vectors = np.empty(codes.shape, dtype=np.float32)
        zero = self.low + 128 * self.step

        def work(rows: slice, _room: Vectors) -> None:
            np.multiply(codes[rows], self.step, out=vectors[rows])
            np.add(vectors[rows], zero, out=vectors[rows])

        by_blocks(vectors, work)
        return vectors


@dataclass(frozen=True, slots=True)
class BinaryQuantizer:
    """Keeps one bit for each dimension, set if the number is over 0, like an index of the kind "binary"."""

    dimensions: int

    def __post_init__(self) -> None:
        check_fields(self)

    def quantize(self, vectors: npt.ArrayLike) -> Bits:
        """Return (n, ceil(d / 8)) uint8, with the first dimension in the highest bit.

        Raises:
            InputError: If the vectors have other dimensions, or are not finite.
        """
        return np.packbits(checked(vectors, self.dimensions) > 0, axis=1)

    def dequantize(self, bits: Bits) -> Vectors:
        """Return (n, d) float32 rows of length 1, in which each number has one of two values.

        Raises:
            InputError: If these are not bits of this quantizer.
        """
        self._check(bits)
        signs = np.unpackbits(bits, axis=1, count=self.dimensions).astype(np.float32)
        return normalized(2 * signs - 1)

    def similarities(self, bits: Bits, query: Bits) -> Vectors:
        """Return (n,) float32 from -1 to 1: the share of bits equal to those of the query (1, width), less the others'.

        This is 1 - 2 * (Hamming distance) / d.
        """
        self._check(bits)
        self._check(query)
        different: Vectors = _ONES[bits ^ query].sum(axis=1, dtype=np.float32)
        return 1 - 2 * different / np.float32(self.dimensions)

    def _check(self, bits: Bits) -> None:
        """Raise `InputError` if these are no bits of this quantizer."""
        if not isinstance(bits, np.ndarray):
            raise InputError(f"bits is a {type(bits).__name__}. Pass the array that quantize() returned.")
        width = -(-self.dimensions // 8)
        if bits.dtype != np.uint8 or bits.ndim != 2 or bits.shape[1] != width:
            raise InputError(f"The bits are {bits.dtype} of shape {bits.shape}. Pass (n, {width}) uint8.")
