"""The collections of a database: listed with their models and sizes, and dropped."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC
from typing import Any

from sqlalchemy import BigInteger, Connection, ScalarSelect, Table, cast, column, delete, func, inspect, select, table
from sqlalchemy.dialects.postgresql import REGCLASS
from sqlalchemy.schema import DropTable

from embedpipe.storage import attach
from embedpipe.storage.database import lasting, locks
from embedpipe.storage.indexes import has_index
from embedpipe.storage.tables import (
    Catalogue,
    Collection,
    DropView,
    drop_history_statements,
    embedding_versions,
    find_collection,
    lexical_tables,
    past_tables,
    quoted,
    readable_view,
    written_tables,
)
from embedpipe.storage.types import Precision
from embedpipe.types import ModelSpec


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """A collection of a database, as `Database.collections` lists it.

    Attributes:
        name: Name of the collection.
        model: The model whose vectors are searched.
        language: Text search configuration of its index of words.
        precision: Type of the stored numbers.
        chunks: Number of chunks. For a collection of tenants an estimate of the planner, since no query sees them all.
        documents: Number of documents, estimated in the same way.
        bytes: Size on disk of all tables and indexes of the collection.
        indexed: Whether there is a valid vector index.
        view: Quoted name of a view for your own SQL. It has a row for each chunk, with its present vector.
        words: Whether there is an index of words, which lexical and hybrid searches need.
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
    words: bool = True


def made_at(connection: Connection, schema: str, name: str) -> str | None:
    """Return a mark that differs for a collection of the same name in another database, or made at another time.

    None if there is no such collection.
    """
    if not inspect(connection).has_table("collections", schema=schema):
        return None
    made = Catalogue(schema).collections.c
    row = connection.execute(select(made.number, made.created_at).where(made.name == name)).one_or_none()
    return None if row is None else f"{row.number} {row.created_at.astimezone(UTC).isoformat()}"


def list_collections(connection: Connection, schema: str) -> list[CollectionInfo]:
    """Return every collection of the schema, in the order of the names. Empty if there is no schema yet."""
    if not inspect(connection).has_table("collections", schema=schema):
        return []
    names = Catalogue(schema).collections.c.name
    found = [find_collection(connection, schema, name) for name in connection.scalars(select(names).order_by(names))]
    with lasting():
        return [_info(connection, collection) for collection in found if collection is not None]


def _info(connection: Connection, collection: Collection) -> CollectionInfo:
    versions = embedding_versions(connection, collection.schema, collection.name)
    past = past_tables(collection).of(collection) if collection.history else []
    held = [*written_tables(collection), *past, *(found.vectors for found in versions if not found.active)]
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
        collection.lexical is not None,
    )


def _count(connection: Connection, collection: Collection, counted: Table) -> ScalarSelect[Any]:
    if not collection.tenants:
        return select(func.count()).select_from(counted).scalar_subquery()
    estimates = table("pg_class", column("oid"), column("reltuples"))
    known = cast(func.greatest(estimates.c.reltuples, 0), BigInteger)
    return select(known).where(estimates.c.oid == func.to_regclass(quoted(connection, counted))).scalar_subquery()


def drop_collection(connection: Connection, collection: Collection) -> None:
    """Remove a collection that is claimed (`locks.claim`), with its tables, its view and its rows of the catalogue.

    A table that it follows is detached.
    """
    attach.detach(connection, collection)
    words = lexical_tables(collection)
    of_words = [words.index, words.terms, words.deltas] if collection.lexical else []
    sets = [found.vectors for found in embedding_versions(connection, collection.schema, collection.name)]
    tables = [collection.chunks, *sets, *of_words]
    locks.take(connection, collection.documents, mode="ACCESS EXCLUSIVE")
    connection.execute(DropView(collection))
    locks.lock(connection, *tables, mode="ACCESS EXCLUSIVE")
    for statement in drop_history_statements(collection) if collection.history else ():
        connection.execute(statement)
    building = lexical_tables(replace(collection, word_index=collection.word_index + 1))  # if an upgrade did not end
    tables += [building.index, building.terms, building.deltas]
    for each in (*reversed(tables), collection.documents):
        connection.execute(DropTable(each, if_exists=True))
    collections = Catalogue(collection.schema).collections
    connection.execute(delete(collections).where(collections.c.number == collection.number))
