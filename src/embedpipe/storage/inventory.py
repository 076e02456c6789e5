"""What a database holds: its collections, with their models and sizes."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Table, func, inspect, select

from embedpipe.storage import lexical_schema
from embedpipe.storage.catalogue import find_collection
from embedpipe.storage.columns import Precision
from embedpipe.storage.schema import Catalogue, Collection
from embedpipe.types import ModelSpec


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """A collection as `list_collections` sees it; `bytes` counts tables and indexes of all it holds."""

    name: str
    model: ModelSpec
    language: str
    precision: Precision
    chunks: int
    documents: int
    bytes: int
    indexed: bool


def list_collections(connection: Connection, schema: str) -> list[CollectionInfo]:
    """Every collection, in the order of the names; none where there is no schema yet."""
    if not inspect(connection).has_table("collections", schema=schema):
        return []
    names = Catalogue(schema).collections.c.name
    found = [find_collection(connection, schema, name) for name in connection.scalars(select(names).order_by(names))]
    return [_info(connection, collection) for collection in found if collection is not None]


def _info(connection: Connection, collection: Collection) -> CollectionInfo:
    words = lexical_schema.tables(collection)
    held = (collection.documents, collection.chunks, collection.vectors, words.index, words.terms, words.deltas)
    sizes = [func.pg_total_relation_size(func.to_regclass(_quoted(connection, table))) for table in held]
    counts = [select(func.count()).select_from(table).scalar_subquery() for table in held[:2]]
    row = connection.execute(select(counts[1], counts[0], *sizes)).one()
    return CollectionInfo(
        collection.name,
        collection.model,
        collection.language,
        collection.precision,
        row[0],
        row[1],
        sum(row[2:]),
        inspect(connection).has_index(collection.vectors.name, collection.vector_index, schema=collection.schema),
    )


def _quoted(connection: Connection, table: Table) -> str:
    return connection.dialect.identifier_preparer.format_table(table)
