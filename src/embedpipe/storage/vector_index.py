"""What the vector index is built on: the vectors themselves, or something smaller whose candidates are ranked again.

    full      the stored vectors, to 2,000 dimensions in float32 and 4,000 in float16
    half      the vectors cast to float16: half the index, to 4,000 dimensions
    prefix    their first dimensions: for models trained so that these carry most (Matryoshka)
    binary    the sign of each number: a thirty-second of the size, to 64,000 dimensions, Hamming distance

All but `full` bring more candidates than asked for, which the same statement ranks by the stored vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from pgvector.sqlalchemy import BIT
from sqlalchemy import ColumnElement, Float, cast, func, literal_column

from embedpipe.errors import ConfigurationError
from embedpipe.storage.columns import HalfVectorColumn, Precision, VectorColumn

IndexKind: TypeAlias = Literal["full", "half", "prefix", "binary"]

_MOST = {"float32": 2000, "float16": 4000, "binary": 64_000}
_OVERSAMPLING: dict[IndexKind, tuple[int, int]] = {
    "full": (1, 0),
    "half": (1, 10),
    "prefix": (2, 40),
    "binary": (4, 160),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorIndex:
    """How an HNSW index is built.

    `m` neighbours a node and `ef_construction` candidates while building: more of either finds more and costs time and
    space. `dimensions` is how many of the first dimensions a `prefix` index holds.
    """

    kind: IndexKind = "full"
    dimensions: int | None = None
    m: int = 16
    ef_construction: int = 64

    def __post_init__(self) -> None:
        if self.kind not in _OVERSAMPLING:
            raise ConfigurationError(
                f"The kind of index expected one of {', '.join(_OVERSAMPLING)}, got {self.kind!r}."
            )
        if not 2 <= self.m <= 100 or not max(4, 2 * self.m) <= self.ef_construction <= 1000:
            raise ConfigurationError(
                "An index expected m from 2 to 100 and ef_construction from 2 * m to 1000, "
                f"got {self.m} and {self.ef_construction}."
            )
        if (self.kind == "prefix") != (self.dimensions is not None):
            raise ConfigurationError("dimensions belong to an index of the kind 'prefix', and it needs them.")

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
