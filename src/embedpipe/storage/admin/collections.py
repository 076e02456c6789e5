"""What a database holds: its collections, with their models and sizes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import Any

from sqlalchemy import BigInteger, Connection, ScalarSelect, Table, cast, column, func, inspect, select, table, text
from sqlalchemy.dialects.postgresql import REGCLASS

from embedpipe.storage.database.retrying import lasting
from embedpipe.storage.tables import lexical as lexical_schema
from embedpipe.storage.tables.catalogue import find_collection, vector_sets
from embedpipe.storage.tables.collection import Catalogue, Collection
from embedpipe.storage.tables.view import readable_view
from embedpipe.storage.types.pg_types import Precision
from embedpipe.types import ModelSpec


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """A collection as `list_collections` sees it; `bytes` counts tables and indexes of all it holds.

    `chunks` and `documents` of a collection of tenants, which no query sees, are the planner's estimates. `view` is the
    quoted name of the view that SQL of one's own reads: a row for each chunk, with its present vector.
    """

    name: str
    model: ModelSpec
    language: str
    precision: Precision
    chunks: int
    documents: int
    bytes: int
    indexed: bool
    view: str


def made_at(connection: Connection, schema: str, name: str) -> str | None:
    """What tells a collection apart from one of the same name in another database; None where there is none."""
    if not inspect(connection).has_table("collections", schema=schema):
        return None
    made = Catalogue(schema).collections.c
    row = connection.execute(select(made.number, made.created_at).where(made.name == name)).one_or_none()
    return None if row is None else f"{row.number} {row.created_at.astimezone(UTC).isoformat()}"


def list_collections(connection: Connection, schema: str) -> list[CollectionInfo]:
    """Every collection, in the order of the names; none where there is no schema yet."""
    if not inspect(connection).has_table("collections", schema=schema):
        return []
    names = Catalogue(schema).collections.c.name
    found = [find_collection(connection, schema, name) for name in connection.scalars(select(names).order_by(names))]
    with lasting():
        return [_info(connection, collection) for collection in found if collection is not None]


def _info(connection: Connection, collection: Collection) -> CollectionInfo:
    words = lexical_schema.tables(collection)
    sets = vector_sets(connection, collection.schema, collection.name)
    held = [collection.documents, collection.chunks, *(found.vectors for found in sets)]
    held += [words.index, words.terms, words.deltas] if collection.lexical else []
    sizes = [func.pg_total_relation_size(cast(quoted(connection, table), REGCLASS)) for table in held]
    counts = [_count(connection, collection, table) for table in held[:2]]
    row = connection.execute(select(counts[1], counts[0], *sizes)).one()
    return CollectionInfo(
        collection.name,
        collection.model,
        collection.language,
        collection.precision,
        row[0],
        row[1],
        sum(row[2:]),
        has_index(connection, collection),
        quoted(connection, readable_view(collection)),
    )


def _count(connection: Connection, collection: Collection, counted: Table) -> ScalarSelect[Any]:
    if not collection.tenants:
        return select(func.count()).select_from(counted).scalar_subquery()
    estimates = table("pg_class", column("oid"), column("reltuples"))
    known = cast(func.greatest(estimates.c.reltuples, 0), BigInteger)
    return select(known).where(estimates.c.oid == func.to_regclass(quoted(connection, counted))).scalar_subquery()


def has_index(connection: Connection, collection: Collection) -> bool:
    """Whether the vector index is there and valid."""
    return index_states(connection, collection).get(collection.vector_index, False)


def index_states(connection: Connection, collection: Collection) -> dict[str, bool]:
    """Whether each index on the vectors is valid, by its name; without the primary key and what others made.

    Raises the server's UndefinedTable where the vectors are gone.
    """
    statement = text(
        "SELECT relname, indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "
        "JOIN pg_am ON pg_am.oid = relam WHERE indrelid = CAST(:vectors AS regclass) AND amname IN ('hnsw', 'ivfflat')"
    )
    rows = connection.execute(statement, {"vectors": quoted(connection, collection.vectors)})
    return {name: valid for name, valid in rows if name.startswith(collection.index_prefix)}


def quoted(connection: Connection, table: Table) -> str:
    """The table's name as `to_regclass` reads it."""
    return connection.dialect.identifier_preparer.format_table(table)
