"""Fewer bits a dimension: one byte, or one bit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedpipe.compression._arrays import block_rows, by_blocks, check_finite, checked, normalized, rows_of
from embedpipe.errors import InputError
from embedpipe.types import Vectors

Codes = npt.NDArray[np.int8]
Bits = npt.NDArray[np.uint8]

_LEVELS = 255
_FINEST = np.float32(1e-30)
"""The least step: of a dimension that is the same in the whole sample, too."""
_ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint8)
"""How many bits of each byte are set."""


@dataclass(frozen=True, slots=True, eq=False)
class Int8Quantizer:
    """One byte a dimension: code c stands for `low + (c + 128) * step`, each dimension with its own range.

    The ranges are those of a sample; what lies outside is cut to them. `low` and `step` are (d,) float32.
    """

    low: Vectors
    step: Vectors

    @classmethod
    def fit(cls, vectors: npt.ArrayLike) -> Int8Quantizer:
        """The quantizer for the ranges of these vectors (n, d), of which it needs one at least."""
        array = checked(vectors)
        if not len(array):
            raise InputError("The ranges of a quantizer are those of a sample, and it is empty.")
        low, high = array.min(axis=0), array.max(axis=0)
        step = np.maximum((high - low) / np.float32(_LEVELS), _FINEST)
        return cls(low, step)

    def quantize(self, vectors: npt.ArrayLike) -> Codes:
        """(n, d) int8."""
        array = rows_of(vectors, len(self.low))
        codes = np.empty(array.shape, dtype=np.uint8)
        # Repeated for each row of a block, since numpy goes faster through two arrays of one shape.
        repeats = (min(block_rows(array), len(array)), 1)
        scale, below = np.tile(1 / self.step, repeats), np.tile(self.low - self.step / 2, repeats)

        def work(rows: slice, room: Vectors) -> None:
            with np.errstate(over="ignore", invalid="ignore"):  # far outside of the ranges; cut like all that is
                check_finite(array[rows])
                np.subtract(array[rows], below[: len(room)], out=room)
                np.multiply(room, scale[: len(room)], out=room)
            np.clip(room, 0, _LEVELS, out=room)
            np.copyto(codes[rows], room, casting="unsafe")  # the fraction goes: rounded, since from below
            np.bitwise_xor(codes[rows], 128, out=codes[rows])

        by_blocks(array, work)
        return codes.view(np.int8)

    def dequantize(self, codes: Codes) -> Vectors:
        """(n, d) float32: within half a step of what was quantized, where that lay in the ranges."""
        if codes.dtype != np.int8 or codes.ndim != 2 or codes.shape[1] != len(self.low):
            raise InputError(f"Expected (n, {len(self.low)}) int8 codes, got {codes.dtype} of shape {codes.shape}.")
        vectors = np.empty(codes.shape, dtype=np.float32)
        zero = self.low + 128 * self.step

        def work(rows: slice, _room: Vectors) -> None:
            np.multiply(codes[rows], self.step, out=vectors[rows])
            np.add(vectors[rows], zero, out=vectors[rows])

        by_blocks(vectors, work)
        return vectors


@dataclass(frozen=True, slots=True)
class BinaryQuantizer:
    """One bit a dimension, set where the number is over 0: what an index of the kind "binary" holds too."""

    dimensions: int

    def quantize(self, vectors: npt.ArrayLike) -> Bits:
        """(n, ceil(d / 8)) uint8, the first dimension in the highest bit."""
        return np.packbits(checked(vectors, self.dimensions) > 0, axis=1)

    def dequantize(self, bits: Bits) -> Vectors:
        """(n, d) float32 unit rows, of which each number has one of two values."""
        width = -(-self.dimensions // 8)
        if bits.dtype != np.uint8 or bits.ndim != 2 or bits.shape[1] != width:
            raise InputError(f"Expected (n, {width}) uint8 bits, got {bits.dtype} of shape {bits.shape}.")
        signs = np.unpackbits(bits, axis=1, count=self.dimensions).astype(np.float32)
        return normalized(2 * signs - 1)

    def similarities(self, bits: Bits, query: Bits) -> Vectors:
        """(n,) float32 from -1 to 1: the share of bits equal to those of the query (1, width), less that of the others.

        It is 1 - 2 * (Hamming distance) / d.
        """
        different: Vectors = _ONES[bits ^ query].sum(axis=1, dtype=np.float32)
        return 1 - 2 * different / np.float32(self.dimensions)
