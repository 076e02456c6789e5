"""The protocol of a cache, and the bytes of its keys and entries."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from embedpipe._checks import shown
from embedpipe.errors import ConfigurationError
from embedpipe.types import Kind, ModelSpec, Vectors

Treatment: TypeAlias = Literal["whole", "split", "truncate"]
"""What was embedded of a text: all of it at once, its pieces, or its beginning."""
Precision: TypeAlias = Literal["float32", "float16", "int8"]

KEY_SIZE = 32
HEADER = struct.Struct("<IBBHI")  # checksum of the rest, dtype, treatment, length of the model's name, tokens
_CHECKED_FROM = 4
_CODES: dict[Precision, int] = {"float32": 1, "float16": 2, "int8": 3}
_TREATMENTS: tuple[Treatment, ...] = ("whole", "split", "truncate")


@runtime_checkable
class VectorCache(Protocol):
    """Keeps entries: keys of 32 bytes, values of any length. Both methods are called from several threads at once.

    An entry may be dropped at any time. Equal keys have equal values, so it does not matter which of two is kept.
    A `precision` attribute of "float16" asks for entries of half the size, one of "int8" for a quarter.
    """

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key, in order; None for a key that has none."""
        ...

    def put_many(self, entries: Sequence[tuple[bytes, bytes]]) -> None:
        """Keep each (key, value)."""
        ...


@runtime_checkable
class ForgettingCache(Protocol):
    """A cache whose entries can be deleted one by one."""

    def delete_many(self, keys: Sequence[bytes]) -> int:
        """Delete the entries of these keys. Return how many there were."""
        ...


def checked_precision(precision: Precision) -> Precision:
    """Return the precision itself.

    Raises:
        ConfigurationError: If there is no such precision.
    """
    if precision not in _CODES:
        raise ConfigurationError(f"precision={shown(precision)} is not known. Pass 'float32', 'float16' or 'int8'.")
    return precision


class KeyMaker:
    """Makes the keys for the texts of one model and kind.

    The first half of a key is the model's whole fingerprint. The second half is a hash of kind and text (SHA-256, cut
    to 16 bytes). An int8 cache has keys of its own, so that a rounded vector is never taken for the model's own.
    """

    def __init__(self, spec: ModelSpec, kind: Kind, precision: Precision = "float32") -> None:
        self._model = bytes.fromhex(spec.fingerprint)
        self._start = self._model + kind.encode() + (b" int8\0" if precision == "int8" else b"\0")

    def keys(self, texts: Sequence[str]) -> list[bytes]:
        """Return a key of 32 bytes for each text."""
        model, start, hashed = self._model, self._start, hashlib.sha256
        return [model + hashed(start + text.encode()).digest()[:16] for text in texts]


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedVectors:
    """Entries that were found: the places of their keys among those asked for, vectors (n, d) and token counts (n,)."""

    places: Sequence[int]
    vectors: npt.NDArray[np.floating]
    tokens: npt.NDArray[np.uint32]


def encode(
    keys: Sequence[bytes],
    vectors: Vectors,
    *,
    tokens: Sequence[int],
    treatments: Sequence[Treatment],
    model: str,
    precision: Precision,
) -> list[tuple[bytes, bytes]]:
    """Return a (key, value) for each vector: checksum, header, the model's name, the numbers.

    The checksum covers the key too, so that a value under a wrong key is found out.
    """
    code, name = _CODES[precision], model.encode()[:255]
    rows = _stored(vectors, precision)
    entries = []
    for key, row, count, treatment in zip(keys, rows, tokens, treatments, strict=True):
        body = HEADER.pack(0, code, _TREATMENTS.index(treatment), len(name), count)[_CHECKED_FROM:]
        body += name + row.tobytes()
        entries.append((key, zlib.crc32(body, zlib.crc32(key)).to_bytes(4, "little") + body))
    return entries


def decode(
    keys: Sequence[bytes], values: Sequence[bytes | None], *, dimensions: int, long_texts: Treatment
) -> tuple[list[CachedVectors], int]:
    """Return the entries that can be used, in groups of one layout, and how many values are damaged.

    A long text's entry can be used if the text was treated as `long_texts` says.
    """
    groups: dict[tuple[int, bytes], list[int]] = {}
    damaged = 0
    check = zlib.crc32
    for place, (key, value) in enumerate(zip(keys, values, strict=True)):
        if value is None:
            continue
        if value[:_CHECKED_FROM] == check(value[_CHECKED_FROM:], check(key)).to_bytes(4, "little"):
            # numpy reads entries of one layout at once, instead of one by one.
            groups.setdefault((len(value), value[4:8]), []).append(place)
        else:
            damaged += 1
    found = []
    for (size, kind), places in groups.items():
        layout = _layout(size, kind, dimensions=dimensions, long_texts=long_texts)
        if layout is not None:
            rows = np.frombuffer(b"".join([values[place] or b"" for place in places]), dtype=layout)
            found.append(CachedVectors(places=places, vectors=_restored(rows["vector"]), tokens=rows["tokens"]))
    return found, damaged


def _layout(size: int, kind: bytes, *, dimensions: int, long_texts: Treatment) -> np.dtype[np.void] | None:
    """Return the layout of an entry by its size and first bytes; None if its vector cannot be used."""
    code, treatment_code, name_size = struct.unpack("<BBH", kind)
    vectors: dict[int, tuple[Any, ...]] = {
        1: ("<f4", (dimensions,)),
        2: ("<f2", (dimensions,)),
        3: (_bytes(dimensions),),
    }
    if code not in vectors or treatment_code >= len(_TREATMENTS):
        return None
    if _TREATMENTS[treatment_code] not in ("whole", long_texts):
        return None
    layout = np.dtype([("head", "V8"), ("tokens", "<u4"), ("name", f"V{name_size}"), ("vector", *vectors[code])])
    return layout if layout.itemsize == size else None


def rounded(vectors: Vectors, precision: Precision) -> Vectors:
    """Return the vectors as a cache of that precision returns them."""
    return np.asarray(_restored(_stored(vectors, precision)), dtype=np.float32)


def _stored(vectors: Vectors, precision: Precision) -> npt.NDArray[Any]:
    """Return one row of bytes for each vector: for int8 a scale, and whole numbers from -127 to 127."""
    if precision != "int8":
        return np.ascontiguousarray(vectors, dtype="<f4" if precision == "float32" else "<f2")
    # Symmetric: code = round(number / scale), scale = largest / 127, so that 0 stays 0.
    scales = np.maximum(np.abs(vectors).max(axis=1) / np.float32(127), np.finfo(np.float32).tiny)
    rows = np.empty(len(vectors), dtype=_bytes(vectors.shape[1]))
    rows["scale"], rows["codes"] = scales, np.rint(vectors / scales[:, None])
    return rows


def _restored(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Undo `_stored`."""
    return rows["codes"] * rows["scale"][:, None] if rows.dtype.names else rows


def _bytes(dimensions: int) -> np.dtype[np.void]:
    return np.dtype([("scale", "<f4"), ("codes", "i1", (dimensions,))])


def model_of(value: bytes) -> str:
    """Return the name of the model whose vector the entry holds."""
    size = HEADER.unpack_from(value)[3]
    return value[HEADER.size : HEADER.size + size].decode(errors="replace")
