"""Column types and bound arrays: vectors and rows travel in binary, never as text or Python floats."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
import psycopg
from pgvector.psycopg.halfvec import HalfVector, register_halfvec_info  # type: ignore[attr-defined]  # not at the top before 0.4
from pgvector.psycopg.vector import register_vector_info
from pgvector.sqlalchemy import HALFVEC, VECTOR
from psycopg.adapt import AdaptersMap, Dumper
from psycopg.pq import Format
from psycopg.types import TypeInfo
from sqlalchemy import BindParameter, Dialect, Integer, bindparam

from embedpipe._checks import checked_array
from embedpipe.errors import InputError, ModelMismatchError
from embedpipe.types import Vectors

Precision: TypeAlias = Literal["float32", "float16"]

_NULL = struct.pack(">i", -1)
_int32 = struct.Struct(">ii").pack
_LEAST_SQUARE, _GREATEST_SQUARE = 1e-36, 1e37
"""Bounds of a vector's squared length. pgvector adds squares up in float32; beyond these, distances are not numbers."""

_length = struct.Struct(">i").pack


class VectorColumn(VECTOR):
    """pgvector's column type without its detour through text, since the driver binds numpy arrays itself."""

    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> None:
        return None


class HalfVectorColumn(HALFVEC):
    """`VectorColumn` in half precision."""

    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> None:
        return None


def vector_column(dimensions: int, precision: Precision) -> VectorColumn | HalfVectorColumn:
    """Return the column type for vectors of that dimension and precision."""
    return VectorColumn(dimensions) if precision == "float32" else HalfVectorColumn(dimensions)


def bound_vector(vector: Vectors, precision: Precision) -> Vectors | HalfVector:
    """Return a (d,) float32 vector as the driver binds it for a column of that precision."""
    return vector if precision == "float32" else HalfVector(vector)


def bound_count(name: str) -> BindParameter[int]:
    """Return a parameter for a number of rows, written into the statement's text when it runs.

    The planner then knows the number ahead, and plans a prepared statement once instead of for each run.
    """
    return bindparam(name, type_=Integer(), literal_execute=True)


def text_array(values: Iterable[str]) -> BindParameter[Any]:
    """Bind strings as one text[]."""
    return bindparam(None, TextArray(values), unique=True)


def unpack_vector(data: bytes | None, precision: Precision) -> Vectors | None:
    """Return the (d,) float32 vector of the binary form that `vector_send` or `halfvec_send` makes."""
    if data is None:
        return None
    return np.frombuffer(data, dtype=">f4" if precision == "float32" else ">f2", offset=4).astype(np.float32)


def checked_vectors(
    vectors: Any,
    *,
    count: int | None,
    dimensions: int,
    owner: str,
    precision: Precision = "float32",
    names: Sequence[str | None] | None = None,
) -> Vectors:
    """Return the vectors as (n, d) float32, contiguous, once each has a direction in that precision.

    Args:
        vectors: An (n, d) array of numbers, or what becomes one.
        count: How many rows are expected; None for any number.
        dimensions: How many numbers a row has.
        owner: What a message calls the collection.
        precision: What the numbers are stored as.
        names: The id of each row's chunk, which a message then names.

    Raises:
        ModelMismatchError: If the dimension is not the collection's.
        InputError: If count, shape or type is wrong, or a row is all zero, not finite, or too large or too small for
            cosine distances in that precision. The message names the chunk, or the row's position.
    """
    array = checked_array(f"{owner}: vectors", vectors)
    if count == 0 and array.size == 0:
        return array.reshape(0, dimensions)
    if array.ndim != 2 or (count is not None and array.shape[0] != count):
        raise InputError(
            f"{owner}: the vectors have the shape {array.shape}. Pass an array of ({count}, {dimensions})."
        )
    if array.shape[1] != dimensions:
        raise ModelMismatchError(
            f"{owner}: the vectors have {array.shape[1]} dimensions, not {dimensions}. "
            "Embed with the collection's model, or use another collection."
        )
    # One pass finds every fault: the norm of a row with NaN or infinity is not finite.
    norms = np.einsum("ij,ij->i", array, array, dtype=np.float64)
    usable = (norms > _LEAST_SQUARE) & (norms < _GREATEST_SQUARE)
    if precision == "float16":
        with np.errstate(over="ignore", invalid="ignore"):
            halves = array.astype(np.float16)
        usable &= np.isfinite(halves).all(axis=1) & halves.any(axis=1)
    if not usable.all():
        position = int(np.argmin(usable))
        named = "" if names is None else f", chunk {names[position]!r:.200}"
        fault = _fault(float(norms[position]), precision)
        raise InputError(f"{owner}{named}: the vector at position {position} {fault}.")
    return array


def _fault(square: float, precision: Precision) -> str:
    if square == 0:
        return "is all zero, so it has no direction"
    if not np.isfinite(square):
        return "holds NaN or infinity"
    size = "small" if square < 1 else "large"
    return f"is too {size} for cosine distances in {precision}. Scale it, for instance to length 1"


class BoundArray:
    """A one-dimensional array parameter, with its elements in PostgreSQL's binary form.

    A statement takes many rows as one such array for each column, and `unnest` makes them rows again.
    """

    __slots__ = ("data", "has_null", "length")

    def __init__(self, fields: list[bytes]) -> None:
        self.length = len(fields)
        self.has_null = _NULL in fields
        self.data = b"".join(fields)


class TextArray(BoundArray):
    """A parameter of the type text[]."""

    __slots__ = ()

    def __init__(self, values: Iterable[str | None]) -> None:
        super().__init__([_NULL if value is None else _sized(value.encode()) for value in values])


class JsonbArray(BoundArray):
    """A parameter of the type jsonb[], from JSON texts."""

    __slots__ = ()

    def __init__(self, values: Iterable[str | None]) -> None:
        super().__init__([_NULL if value is None else _sized(b"\x01" + value.encode()) for value in values])


class IntegerArray(BoundArray):
    """A parameter of the type integer[]."""

    __slots__ = ()

    def __init__(self, values: Iterable[int]) -> None:
        super().__init__([_int32(4, value) for value in values])


class BytesArray(BoundArray):
    """A parameter of the type bytea[]."""

    __slots__ = ()

    def __init__(self, values: Iterable[bytes]) -> None:
        super().__init__([_sized(value) for value in values])


class _VectorArray(BoundArray):
    """A parameter of the type vector[], from the rows of (n, d) float32."""

    __slots__ = ()

    def __init__(self, vectors: Vectors) -> None:
        super().__init__(_vector_fields(vectors, np.dtype(">f4")))


class _HalfVectorArray(BoundArray):
    """A parameter of the type halfvec[], from the rows of (n, d) float32."""

    __slots__ = ()

    def __init__(self, vectors: Vectors) -> None:
        with np.errstate(over="ignore"):  # past float16 a number becomes infinite, which the server refuses
            super().__init__(_vector_fields(vectors, np.dtype(">f2")))


def vector_array(vectors: Vectors, precision: Precision) -> _VectorArray | _HalfVectorArray:
    """Return the rows of (n, d) float32 as a parameter of that precision."""
    return _VectorArray(vectors) if precision == "float32" else _HalfVectorArray(vectors)


def _sized(data: bytes) -> bytes:
    return _length(len(data)) + data


def _vector_fields(vectors: Vectors, dtype: np.dtype[Any]) -> list[bytes]:
    """Return the binary form of each row: its length in bytes, its dimension, a zero, and its big-endian numbers."""
    rows, dimensions = vectors.shape
    step = dimensions * dtype.itemsize
    head = struct.pack(">ihh", 4 + step, dimensions, 0)
    data = vectors.astype(dtype).tobytes()
    return [head + data[start : start + step] for start in range(0, rows * step, step)]


class _ArrayDumper(Dumper):
    format = Format.BINARY
    element: ClassVar[int]

    def dump(self, obj: BoundArray) -> bytes:
        dimensions = 1 if obj.length else 0
        head = struct.pack(">iiI", dimensions, obj.has_null, self.element)
        return head + struct.pack(">ii", obj.length, 1) + obj.data if obj.length else head


_TypeRow: TypeAlias = tuple[str, int, int]
"""A type's name, its oid and that of its array."""


def register_types(connection: psycopg.BaseConnection[Any], vector_types: Sequence[_TypeRow]) -> None:
    """Register pgvector's types with a driver connection, so that it sends numpy arrays and bound arrays in binary."""
    for name, oid, array_oid in vector_types:
        connection.adapters.types.add(TypeInfo(name, oid, array_oid))
    for register in _registrations(tuple(vector_types)):
        register(connection.adapters)


class _Recorded(AdaptersMap):
    """A map of adapters that records registrations, to repeat them on each connection."""

    def __init__(self) -> None:
        super().__init__(psycopg.adapters)
        self.registered: list[Callable[[AdaptersMap], object]] = []

    @property
    def adapters(self) -> AdaptersMap:
        """The map itself. pgvector asks a connection for this attribute."""
        return self

    def register_dumper(self, cls: Any, dumper: type[Any]) -> None:
        self.registered.append(lambda other: other.register_dumper(cls, dumper))
        super().register_dumper(cls, dumper)

    def register_loader(self, oid: Any, loader: type[Any]) -> None:
        self.registered.append(lambda other: other.register_loader(oid, loader))
        super().register_loader(oid, loader)


@cache
def _registrations(vector_types: tuple[_TypeRow, ...]) -> list[Callable[[AdaptersMap], object]]:
    """Record the registrations once for the same types, since psycopg never frees the classes that adapt them."""
    recorded: Any = _Recorded()
    known = {name: recorded.types[name] for name in ("text", "jsonb", "int4", "bytea")}
    known |= {name: TypeInfo(name, oid, array_oid) for name, oid, array_oid in vector_types}
    register_vector_info(recorded, known["vector"])
    register_halfvec_info(recorded, known["halfvec"])
    for cls, name in _ARRAYS.items():
        info = known[name]
        dumper = type(f"{cls.__name__}Dumper", (_ArrayDumper,), {"oid": info.array_oid, "element": info.oid})
        recorded.register_dumper(cls, dumper)
    registered: list[Callable[[AdaptersMap], object]] = recorded.registered
    return registered


_ARRAYS: dict[type[BoundArray], str] = {
    TextArray: "text",
    JsonbArray: "jsonb",
    IntegerArray: "int4",
    BytesArray: "bytea",
    _VectorArray: "vector",
    _HalfVectorArray: "halfvec",
}
