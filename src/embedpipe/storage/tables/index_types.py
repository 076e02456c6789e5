"""What the vector index is built on: the vectors themselves, or something smaller whose candidates are ranked again.

    full      the stored vectors, to 2,000 dimensions in float32 and 4,000 in float16
    half      the vectors cast to float16: half the index, to 4,000 dimensions
    prefix    their first dimensions: for models trained so that these carry most (Matryoshka)
    binary    the sign of each number: a thirty-second of the size, to 64,000 dimensions, Hamming distance

All but `full` bring more candidates than asked for, which the same statement ranks by the stored vectors.

    hnsw       a graph: finds most, takes longest to build, and may be built at any time
    ivfflat    lists of near vectors: built several times as fast and smaller, finds less; to be built after a load
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isqrt
from typing import Any, Literal, TypeAlias

from pgvector.sqlalchemy import BIT
from sqlalchemy import ColumnElement, Float, cast, func, literal_column

from embedpipe.errors import ConfigurationError
from embedpipe.storage.types import HalfVectorColumn, Precision, VectorColumn

IndexKind: TypeAlias = Literal["full", "half", "prefix", "binary"]
IndexMethod: TypeAlias = Literal["hnsw", "ivfflat"]

_MOST = {"float32": 2000, "float16": 4000, "binary": 64_000}
INDEX_FROM = 10_000
"""From so many chunks on an index pays; below, an exact scan is as fast."""

MAX_LISTS = 32_768
_M, _EF_CONSTRUCTION = 16, 64
_OVERSAMPLING: dict[IndexKind, tuple[int, int]] = {
    "full": (1, 0),
    "half": (1, 10),
    "prefix": (2, 40),
    "binary": (10, 400),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorIndex:
    """How an index is built.

    `dimensions` is how many of the first dimensions a `prefix` index holds. Of `hnsw`: `m` neighbours a node and
    `ef_construction` candidates while building; more of either finds more and costs time and space. Of `ivfflat`:
    `lists` (None: a thousandth of the rows, above a million rows their square root, after pgvector's documentation) and
    `probes`, how many of them a search looks into (None: the square root of their number).
    """

    kind: IndexKind = "full"
    dimensions: int | None = None
    method: IndexMethod = "hnsw"
    m: int = _M
    ef_construction: int = _EF_CONSTRUCTION
    lists: int | None = None
    probes: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in _OVERSAMPLING:
            raise ConfigurationError(
                f"The kind of index expected one of {', '.join(_OVERSAMPLING)}, got {self.kind!r}."
            )
        if self.method not in ("hnsw", "ivfflat"):
            raise ConfigurationError(f"method expected 'hnsw' or 'ivfflat', got {self.method!r}.")
        if not 2 <= self.m <= 100 or not max(4, 2 * self.m) <= self.ef_construction <= 1000:
            raise ConfigurationError(
                "An index expected m from 2 to 100 and ef_construction from 2 * m to 1000, "
                f"got {self.m} and {self.ef_construction}."
            )
        if (self.kind == "prefix") != (self.dimensions is not None):
            raise ConfigurationError("dimensions belong to an index of the kind 'prefix', and it needs them.")
        self._check_method()

    def _check_method(self) -> None:
        graph = (self.m, self.ef_construction) != (_M, _EF_CONSTRUCTION)
        clusters = [each for each in (self.lists, self.probes) if each is not None]
        if graph and self.method == "ivfflat":
            raise ConfigurationError("m and ef_construction belong to the method 'hnsw'; 'ivfflat' has lists, probes.")
        if clusters and self.method == "hnsw":
            raise ConfigurationError("lists and probes belong to the method 'ivfflat'; 'hnsw' has m, ef_construction.")
        if any(not 1 <= each <= MAX_LISTS for each in clusters):
            raise ConfigurationError(f"lists and probes expected 1 to {MAX_LISTS}, got {self.lists}, {self.probes}.")

    @property
    def suffix(self) -> str:
        """What the name of such an index ends with: two that are built differently differ in it."""
        built = f"{self.m}_{self.ef_construction}" if self.method == "hnsw" else str(self.lists)
        return f"{self.method}_{self.kind}{self.dimensions or ''}_{built}"

    @property
    def options(self) -> dict[str, int]:
        """The storage parameters that it is built with."""
        if self.method == "hnsw":
            return {"m": self.m, "ef_construction": self.ef_construction}
        return {"lists": self.lists or 1}

    @property
    def probed(self) -> int:
        """How many lists a search looks into."""
        return self.probes or isqrt(self.lists or 1)

    def sized(self, rows: int) -> VectorIndex:
        """The same with its lists counted out for so many rows."""
        if self.method == "hnsw" or self.lists is not None:
            return self
        lists = rows // 1000 if rows <= 1_000_000 else isqrt(rows)
        return replace(self, lists=min(max(lists, 1), MAX_LISTS))

    def is_met_by(self, other: VectorIndex) -> bool:
        """Whether an index built as the other is what is wanted here: any number of lists, where none is given."""
        if self.lists is None and self.method == other.method:
            return replace(self, lists=other.lists) == other
        return self == other

    def memory_bytes(self, rows: int, dimensions: int) -> int:
        """About what building takes to stay in memory: the graph with its vectors, or the sample and its distances."""
        size = 4 * (self.dimensions or dimensions)
        if self.method == "hnsw":
            return int(1.3 * rows * (size + 32 * self.m + 200))
        lists = self.lists or 1
        return int(1.3 * max(50 * lists, 10_000) * (size + 4 * lists)) + rows * 32

    def oversampled(self, candidates: int) -> int:
        """How many candidates the index is asked for, so that the wanted ones are among them."""
        factor, more = _OVERSAMPLING[self.kind]
        return candidates * factor + more

    def check(self, dimensions: int, precision: Precision) -> None:
        """Raises `ConfigurationError` where such vectors cannot be indexed this way."""
        size = dimensions if self.dimensions is None else self.dimensions
        if not 1 <= size <= dimensions:
            raise ConfigurationError(f"A prefix expected 1 to {dimensions} dimensions, got {size}.")
        most = _MOST[{"half": "float16", "binary": "binary"}.get(self.kind, precision)]
        if size > most:
            raise ConfigurationError(
                f"An index of the kind {self.kind!r} takes {most} dimensions of {precision}, the vectors have {size}. "
                "Use the kind 'half' (to 4,000), 'prefix' or 'binary'."
            )

    @property
    def operators(self) -> str:
        """The operator class, where it does not follow from the column's type."""
        return {"binary": "bit_hamming_ops", "half": "halfvec_cosine_ops"}.get(self.kind, "")

    def expression(self, value: ColumnElement[Any], *, dimensions: int, precision: Precision) -> ColumnElement[Any]:
        """What of a vector the index holds; the same of the query is what it is compared with."""
        match self.kind:
            case "half":
                return cast(value, HalfVectorColumn(dimensions))
            case "prefix":
                size = self.dimensions or dimensions
                column = VectorColumn(size) if precision == "float32" else HalfVectorColumn(size)
                return cast(func.subvector(value, literal_column("1"), literal_column(str(size))), column)
            case "binary":
                return cast(func.binary_quantize(value), BIT(dimensions))
        return value

    def distance(self, left: ColumnElement[Any], right: ColumnElement[Any]) -> ColumnElement[float]:
        """The distance that the index orders by: Hamming for `binary`, else cosine."""
        distance: ColumnElement[float] = left.op("<~>" if self.kind == "binary" else "<=>", return_type=Float())(right)
        return distance


def default_index(dimensions: int, precision: Precision) -> VectorIndex:
    """The most exact kind that takes such vectors."""
    if dimensions <= _MOST[precision]:
        return VectorIndex()
    return VectorIndex(kind="half") if dimensions <= _MOST["float16"] else VectorIndex(kind="binary")
