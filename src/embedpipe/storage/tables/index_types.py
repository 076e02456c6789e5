"""Types of vector indexes. A kind says what the index holds of a vector, and a method how it finds near ones.

    full      the stored vectors, up to 2,000 dimensions in float32 and 4,000 in float16
    half      the vectors cast to float16: half the size, up to 4,000 dimensions
    prefix    their first dimensions: for models trained so that these carry most (Matryoshka)
    binary    the sign of each number: a thirty-second of the size, up to 64,000 dimensions, Hamming distance

All but `full` bring more candidates than wanted, which the same statement ranks by the stored vectors.

    hnsw       a graph: finds most, takes longest to build, and can be built at any time
    ivfflat    lists of near vectors: built several times faster and smaller, finds less, and is built after a load

A new kind is a name in `IndexKind` and an entry of `_KINDS`. A new method is a name in `IndexMethod`, with its branches
in `VectorIndex`. No other file asks which kind or method an index has. Only settings that every session has are in
`database.session`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isqrt
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from pgvector.sqlalchemy import BIT
from sqlalchemy import ColumnElement, Float, cast, func, literal_column

from embedpipe._checks import Bounds, check_fields
from embedpipe.errors import ConfigurationError
from embedpipe.storage.types import HalfVectorColumn, Precision, vector_column

IndexKind: TypeAlias = Literal["full", "half", "prefix", "binary"]
IndexMethod: TypeAlias = Literal["hnsw", "ivfflat"]

METHODS: tuple[IndexMethod, ...] = get_args(IndexMethod)
INDEX_FROM = 10_000
"""The number of chunks from which an index pays. Below, an exact scan is as fast."""

_MAX_LISTS = 32_768
_M, _EF_CONSTRUCTION = 16, 64  # pgvector's defaults


class _Operators(NamedTuple):
    """An operator class of pgvector, and the most dimensions that it can index."""

    name: str
    max_dimensions: int


class _Kind(NamedTuple):
    """What an index of a kind holds of a vector.

    `expression` makes it from a vector, its dimensions to be held, and its precision. `factor` times the wanted
    candidates `plus` some more are asked of the index, so that the wanted ones are among them.
    """

    expression: Callable[[ColumnElement[Any], int, Precision], ColumnElement[Any]]
    operators: dict[Precision, _Operators]
    distance: str
    factor: int
    plus: int


def _whole(vector: ColumnElement[Any], dimensions: int, precision: Precision) -> ColumnElement[Any]:
    return vector


def _half(vector: ColumnElement[Any], dimensions: int, precision: Precision) -> ColumnElement[Any]:
    return cast(vector, HalfVectorColumn(dimensions))


def _prefix(vector: ColumnElement[Any], dimensions: int, precision: Precision) -> ColumnElement[Any]:
    first = func.subvector(vector, literal_column("1"), literal_column(str(dimensions)))
    return cast(first, vector_column(dimensions, precision))


def _signs(vector: ColumnElement[Any], dimensions: int, precision: Precision) -> ColumnElement[Any]:
    return cast(func.binary_quantize(vector), BIT(dimensions))


_FLOAT32, _FLOAT16 = _Operators("vector_cosine_ops", 2000), _Operators("halfvec_cosine_ops", 4000)
_BITS = _Operators("bit_hamming_ops", 64_000)

_KINDS: dict[IndexKind, _Kind] = {
    "full": _Kind(_whole, {"float32": _FLOAT32, "float16": _FLOAT16}, "<=>", 1, 0),
    "half": _Kind(_half, {"float32": _FLOAT16, "float16": _FLOAT16}, "<=>", 1, 10),
    "prefix": _Kind(_prefix, {"float32": _FLOAT32, "float16": _FLOAT16}, "<=>", 2, 40),
    "binary": _Kind(_signs, {"float32": _BITS, "float16": _BITS}, "<~>", 10, 400),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorIndex:
    """The way in which a vector index is built and searched.

    Attributes:
        kind: What the index holds of a vector: "full", "half", "prefix" or "binary".
        dimensions: How many of the first dimensions a `prefix` index holds.
        method: "hnsw" or "ivfflat".
        m: Of `hnsw`, the neighbors of each node. More find more, and cost time and space.
        ef_construction: Of `hnsw`, the candidates while building. More find more, and cost time.
        lists: Of `ivfflat`, the number of lists. None means a thousandth of the rows, and above a million rows their
            square root, after pgvector's documentation.
        probes: Of `ivfflat`, how many lists a search reads. None means the square root of their number.
    """

    kind: IndexKind = "full"
    dimensions: int | None = None
    method: IndexMethod = "hnsw"
    m: int = _M
    ef_construction: int = _EF_CONSTRUCTION
    lists: int | None = None
    probes: int | None = None

    def __post_init__(self) -> None:
        clusters = Bounds(1, _MAX_LISTS)
        check_fields(
            self,
            {"m": Bounds(2, 100), "ef_construction": Bounds(4, 1000), "lists": clusters, "probes": clusters},
        )
        if self.ef_construction < 2 * self.m:
            raise ConfigurationError(
                f"An index cannot have m={self.m} with ef_construction={self.ef_construction}. Pass "
                "ef_construction from 2 * m to 1000."
            )
        if (self.kind == "prefix") != (self.dimensions is not None):
            raise ConfigurationError("`dimensions` is required for kind='prefix' and not allowed otherwise.")
        self._check_method()

    def _check_method(self) -> None:
        """Check that the options are those of the method."""
        graph = (self.m, self.ef_construction) != (_M, _EF_CONSTRUCTION)
        if graph and self.method == "ivfflat":
            raise ConfigurationError(
                "`m` and `ef_construction` are for method='hnsw'. Pass `lists` and `probes` instead."
            )
        if (self.lists, self.probes) != (None, None) and self.method == "hnsw":
            raise ConfigurationError(
                "`lists` and `probes` are for method='ivfflat'. Pass `m` and `ef_construction` instead."
            )

    @property
    def suffix(self) -> str:
        """The end of the index's name. Indexes that are built differently have different names."""
        built = f"{self.m}_{self.ef_construction}" if self.method == "hnsw" else str(self.lists)
        return f"{self.method}_{self.kind}{self.dimensions or ''}_{built}"

    @property
    def options(self) -> dict[str, int]:
        """The storage parameters of CREATE INDEX."""
        if self.method == "hnsw":
            return {"m": self.m, "ef_construction": self.ef_construction}
        return {"lists": self.lists or 1}

    @property
    def search_settings(self) -> dict[str, str]:
        """The settings of PostgreSQL that a search by this index needs, and others do not."""
        if self.method == "hnsw":
            return {}
        return {"ivfflat.probes": str(self.probes or isqrt(self.lists or 1))}

    @property
    def ranks_exactly(self) -> bool:
        """Whether the index orders by the distance of the stored vectors, so that these need not rank again."""
        return self.kind == "full"

    @property
    def suits_any_model(self) -> bool:
        """Whether the kind suits the vectors of any model. A prefix suits only models that were trained for it."""
        return self.kind != "prefix"

    def sized(self, rows: int) -> VectorIndex:
        """Return the index with the number of its lists set for so many rows."""
        if self.method == "hnsw" or self.lists is not None:
            return self
        lists = rows // 1000 if rows <= 1_000_000 else isqrt(rows)
        return replace(self, lists=min(max(lists, 1), _MAX_LISTS))

    def is_met_by(self, other: VectorIndex) -> bool:
        """Return whether an index that was built as `other` is as wanted. Without `lists`, any number of them is."""
        if self.lists is None and self.method == other.method:
            return replace(self, lists=other.lists) == other
        return self == other

    def memory_bytes(self, rows: int, dimensions: int) -> int:
        """Estimate the memory that a build needs: for the graph with its vectors, or for the sample and its distances.

        Args:
            rows: Number of vectors.
            dimensions: Of each vector, in units of 4 bytes.
        """
        size = 4 * (self.dimensions or dimensions)
        if self.method == "hnsw":
            return int(1.3 * rows * (size + 32 * self.m + 200))
        lists = self.lists or 1
        return int(1.3 * max(50 * lists, 10_000) * (size + 4 * lists)) + rows * 32

    def oversampled(self, candidates: int) -> int:
        """Return how many candidates to ask the index for, so that the wanted ones are among them."""
        return candidates * _KINDS[self.kind].factor + _KINDS[self.kind].plus

    def check(self, dimensions: int, precision: Precision) -> None:
        """Raise `ConfigurationError` if vectors of that dimension and precision cannot be indexed this way."""
        size = dimensions if self.dimensions is None else self.dimensions
        if not 1 <= size <= dimensions:
            raise ConfigurationError(f"The prefix has {size} dimensions. Pass 1 to {dimensions}.")
        most = _KINDS[self.kind].operators[precision].max_dimensions
        if size > most:
            raise ConfigurationError(
                f"An index of kind={self.kind!r} holds at most {most} dimensions of {precision}, and the vectors have "
                f"{size}. Use kind='half' (up to 4,000), 'prefix' or 'binary'."
            )

    def operators(self, precision: Precision) -> str:
        """Return the operator class for vectors of that precision."""
        return _KINDS[self.kind].operators[precision].name

    def expression(self, vector: ColumnElement[Any], *, dimensions: int, precision: Precision) -> ColumnElement[Any]:
        """Return what the index holds of a vector. A search makes the same of the query to compare with it."""
        return _KINDS[self.kind].expression(vector, self.dimensions or dimensions, precision)

    def distance(self, left: ColumnElement[Any], right: ColumnElement[Any]) -> ColumnElement[float]:
        """Return the distance that the index orders by: Hamming for `binary`, else cosine."""
        distance: ColumnElement[float] = left.op(_KINDS[self.kind].distance, return_type=Float())(right)
        return distance


def default_index(dimensions: int, precision: Precision) -> VectorIndex:
    """Return the most exact kind that can hold such vectors."""
    if dimensions <= _KINDS["full"].operators[precision].max_dimensions:
        return VectorIndex()
    return VectorIndex(kind="half" if dimensions <= _FLOAT16.max_dimensions else "binary")
