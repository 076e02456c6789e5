"""One search, one statement: what is nearest, what matches, and the two fused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Float, LargeBinary, bindparam, func, null, select

from embedpipe.storage import statements
from embedpipe.storage.columns import unpack_vector
from embedpipe.storage.filters import Filter
from embedpipe.storage.operations import chunk_of
from embedpipe.storage.schema import Collection
from embedpipe.storage.statements import Rows
from embedpipe.types import SearchMode, SearchResult, Vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is asked for, checked: `vector` for dense and hybrid, `text` for lexical and hybrid."""

    mode: SearchMode
    k: int
    vector: Vectors | None = None
    text: str | None = None
    condition: Filter | None = None
    threshold: float | None = None
    with_vectors: bool = False


def search(connection: Connection, collection: Collection, wanted: Search) -> list[SearchResult]:
    """At most k results, best first, ties by id.

    Where the vector index brings fewer than k, the exact scan answers: an index search under a filter can end early.
    """
    results = _run(connection, collection, wanted, exact=False)
    if len(results) < wanted.k and wanted.mode != "lexical" and wanted.threshold is None:
        return _run(connection, collection, wanted, exact=True)
    return results


def _run(connection: Connection, collection: Collection, wanted: Search, *, exact: bool) -> list[SearchResult]:
    statement = dense(collection, wanted, exact=exact)
    values = {"vector": wanted.vector, "candidates": wanted.k, "threshold": wanted.threshold}
    rows = connection.execute(statement, {key: value for key, value in values.items() if value is not None})
    return [_result(row, collection) for row in rows]


def dense(collection: Collection, wanted: Search, *, exact: bool) -> Rows:
    """The chunks nearest to the bound `vector`."""
    chunks = collection.chunks
    near = statements.dense_candidates(collection, wanted.condition, exact=exact)
    similarity = (1 - near.c.distance).label("similarity")
    rank = func.row_number().over(order_by=[near.c.distance, chunks.c.id]).label("dense_rank")
    statement = select(*statements.chunk_columns(collection), similarity, rank).join_from(
        near, chunks, chunks.c.key == near.c.key
    )
    if wanted.threshold is not None:
        statement = statement.where(1 - near.c.distance >= bindparam("threshold", type_=Float()))
    statement = statement.add_columns(
        similarity.label("score"), null().label("lexical_score"), null().label("lexical_rank")
    )
    return _with_vectors(statement, collection, wanted).order_by(near.c.distance, chunks.c.id)


def _with_vectors(statement: Rows, collection: Collection, wanted: Search) -> Rows:
    if not wanted.with_vectors:
        return statement
    vectors = collection.vectors
    send = func.vector_send if collection.precision == "float32" else func.halfvec_send
    packed = send(vectors.c.embedding, type_=LargeBinary()).label("packed")
    return statement.join(vectors, vectors.c.key == collection.chunks.c.key).add_columns(packed)


def _result(row: Any, collection: Collection) -> SearchResult:
    return SearchResult(
        chunk=chunk_of(row),
        score=row.score,
        similarity=row.similarity,
        lexical_score=row.lexical_score,
        dense_rank=row.dense_rank,
        lexical_rank=row.lexical_rank,
        vector=unpack_vector(row.packed, collection.precision) if hasattr(row, "packed") else None,
    )
