"""Vectors that are kept: the protocol of a cache, and what an entry's key and bytes are."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from embedpipe.errors import ConfigurationError
from embedpipe.types import Kind, ModelSpec, Vectors

Cut: TypeAlias = Literal["whole", "split", "truncate"]
Precision: TypeAlias = Literal["float32", "float16", "int8"]

KEY_SIZE = 32
_HEADER = struct.Struct("<IBBHI")  # checksum of what follows, dtype, cut, length of the model's name, tokens
_CHECKED_FROM = 4
_CODES: dict[Precision, int] = {"float32": 1, "float16": 2, "int8": 3}
_CUTS: tuple[Cut, ...] = ("whole", "split", "truncate")


@runtime_checkable
class VectorCache(Protocol):
    """What keeps entries: keys of 32 bytes, values of any. Both methods are called from several threads at once.

    An entry may be dropped at any time. A `precision` attribute of "float16" asks for half the bytes, one of "int8" for
    a quarter. Equal keys have equal values, so that it does not matter which of two is kept.
    """

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The value of each key in order, None where there is none."""
        ...

    def put_many(self, entries: Sequence[tuple[bytes, bytes]]) -> None:
        """Keeps each (key, value)."""
        ...


def checked_precision(precision: Precision) -> Precision:
    """The precision itself; `ConfigurationError` for one that there is not."""
    if precision not in _CODES:
        raise ConfigurationError(f"precision= expected 'float32', 'float16' or 'int8', got {precision!r:.100}.")
    return precision


class KeyMaker:
    """Keys for the texts of one model and kind.

    The first half is the model's whole fingerprint, the second a hash of kind and text (SHA-256, cut to 16 bytes).
    Where bytes are kept of the numbers, keys are others: such a vector is never taken for the model's own.
    """

    def __init__(self, spec: ModelSpec, kind: Kind, precision: Precision = "float32") -> None:
        self._model = bytes.fromhex(spec.fingerprint)
        self._start = self._model + kind.encode() + (b" int8\0" if precision == "int8" else b"\0")

    def keys(self, texts: Sequence[str]) -> list[bytes]:
        """(n,) keys of 32 bytes."""
        model, start, hashed = self._model, self._start, hashlib.sha256
        return [model + hashed(start + text.encode()).digest()[:16] for text in texts]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Entries that were read: the places they were asked at, their vectors (n, d) and their tokens (n,)."""

    places: Sequence[int]
    vectors: npt.NDArray[np.floating]
    tokens: npt.NDArray[np.uint32]


def encode(
    keys: Sequence[bytes], vectors: Vectors, *, tokens: Sequence[int], cuts: Sequence[Cut], model: str, to: Precision
) -> list[tuple[bytes, bytes]]:
    """Entries for the vectors: a header, the model's name and the vector, behind a checksum that covers the key."""
    code, name = _CODES[to], model.encode()[:255]
    rows = _stored(vectors, to)
    entries = []
    for key, row, count, cut in zip(keys, rows, tokens, cuts, strict=True):
        body = _HEADER.pack(0, code, _CUTS.index(cut), len(name), count)[_CHECKED_FROM:] + name + row.tobytes()
        entries.append((key, zlib.crc32(body, zlib.crc32(key)).to_bytes(4, "little") + body))
    return entries


def decode(
    keys: Sequence[bytes], values: Sequence[bytes | None], *, dimensions: int, cut: Cut
) -> tuple[list[Found], int]:
    """The entries that are there, intact, and cut no other way than `cut`; and how many are damaged."""
    groups: dict[tuple[int, bytes], list[int]] = {}
    damaged = 0
    check = zlib.crc32
    for place, (key, value) in enumerate(zip(keys, values, strict=True)):
        if value is None:
            continue
        if value[:_CHECKED_FROM] == check(value[_CHECKED_FROM:], check(key)).to_bytes(4, "little"):
            groups.setdefault((len(value), value[4:8]), []).append(place)
        else:
            damaged += 1
    found = []
    for (size, kind), places in groups.items():
        layout = _layout(size, kind, dimensions=dimensions, cut=cut)
        if layout is not None:
            rows = np.frombuffer(b"".join([values[place] or b"" for place in places]), dtype=layout)
            found.append(Found(places=places, vectors=_restored(rows["vector"]), tokens=rows["tokens"]))
    return found, damaged


def _layout(size: int, kind: bytes, *, dimensions: int, cut: Cut) -> np.dtype[np.void] | None:
    """How an entry of this size and beginning is laid out; None where it holds a vector cut another way."""
    code, cut_code, name_size = struct.unpack("<BBH", kind)
    vectors: dict[int, tuple[Any, ...]] = {
        1: ("<f4", (dimensions,)),
        2: ("<f2", (dimensions,)),
        3: (_bytes(dimensions),),
    }
    if code not in vectors or cut_code >= len(_CUTS) or _CUTS[cut_code] not in ("whole", cut):
        return None
    layout = np.dtype([("head", "V8"), ("tokens", "<u4"), ("name", f"V{name_size}"), ("vector", *vectors[code])])
    return layout if layout.itemsize == size else None


def rounded(vectors: Vectors, precision: Precision) -> Vectors:
    """The vectors as they are read again from a cache of that precision."""
    return np.asarray(_restored(_stored(vectors, precision)), dtype=np.float32)


def _stored(vectors: Vectors, precision: Precision) -> npt.NDArray[Any]:
    """One row a vector, whose bytes are what is kept of it: of int8 a scale, and a number from -127 to 127 for each."""
    if precision != "int8":
        return np.ascontiguousarray(vectors, dtype="<f4" if precision == "float32" else "<f2")
    scales = np.maximum(np.abs(vectors).max(axis=1) / np.float32(127), np.finfo(np.float32).tiny)
    rows = np.empty(len(vectors), dtype=_bytes(vectors.shape[1]))
    rows["scale"], rows["codes"] = scales, np.rint(vectors / scales[:, None])
    return rows


def _restored(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return rows["codes"] * rows["scale"][:, None] if rows.dtype.names else rows


def _bytes(dimensions: int) -> np.dtype[np.void]:
    return np.dtype([("scale", "<f4"), ("codes", "i1", (dimensions,))])


def model_of(value: bytes) -> str:
    """The name of the model that an entry's vector is of."""
    size = _HEADER.unpack_from(value)[3]
    return value[_HEADER.size : _HEADER.size + size].decode(errors="replace")
