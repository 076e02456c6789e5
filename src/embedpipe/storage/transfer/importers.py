"""Importers of chunks that other libraries keep in PostgreSQL, with their vectors. Nothing is embedded.

langchain_pg_embedding, langchain_pg_collection      LangChain's PGVector
a table with the columns that its user named         LangChain's PGVectorStore
data_<name>                                          LlamaIndex's PGVectorStore
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from sqlalchemy import (
    ColumnElement,
    Connection,
    LargeBinary,
    Select,
    Text,
    case,
    cast,
    column,
    func,
    literal_column,
    select,
    table,
    text,
)

from embedpipe.errors import CollectionNotFoundError, EmbedPipeError, InputError, ModelMismatchError, SchemaError
from embedpipe.storage.admin import Database
from embedpipe.storage.store import PgVectorStore
from embedpipe.storage.tables import INDEX_FROM
from embedpipe.storage.types import VectorColumn, unpack_vector
from embedpipe.storage.write import checked_rows
from embedpipe.types import Chunk, ModelSpec, Vectors

BATCH_ROWS = 1000

_FLOAT_DIGITS = 15
"""Decimal digits that every float keeps."""
_NOT_METADATA = ("tsvector", "vector", "halfvec", "sparsevec")


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A row of another library's table, with a (d,) float32 vector."""

    id: str
    text: str
    metadata: Mapping[str, Any]
    vector: Vectors


@dataclass(slots=True)
class ImportReport:
    """The outcome of an import: the number of rows that were imported, and the errors of the others by their ids."""

    rows: int = 0
    failures: dict[str, EmbedPipeError] = field(default_factory=dict)


class Source(Protocol):
    """Rows of another library. To import from one more library, write such a class and a function that makes chunks."""

    def statement(self, connection: Connection) -> Select[Any]:
        """Select id, text, metadata, the vector in binary, and any columns that become metadata by their names."""
        ...


def import_rows(
    store: PgVectorStore,
    source: Source,
    convert: Callable[[SourceRow], Chunk],
    *,
    database: Database | str | None = None,
    on_progress: Callable[[ImportReport], None] | None = None,
) -> ImportReport:
    """Import rows of another library's table. Build the vector index if there are enough.

    All rows are read as they were at one moment. They are written by id, in transactions of a thousand. So a run that
    ended early can be repeated.

    Args:
        store: Where the rows go.
        source: Where the rows are, and how they are read.
        convert: Makes a chunk of a row.
        database: Where the rows are, or its URL. None means the store's own database.
        on_progress: Called after each transaction.

    Returns:
        The number of imported rows, and an error for each row that could not be imported.

    Raises:
        ModelMismatchError: If the vectors have another dimension than the collection's.
        CollectionNotFoundError: If the source is not there.
        SchemaError: If its table lacks a column.
    """
    opened = Database(database) if isinstance(database, str) else None
    given = database if isinstance(database, Database) else None
    read_from = opened or given or store.database
    try:
        report = read_from.run(_import_all, store, source, convert, on_progress)
    finally:
        if opened is not None:
            opened.close()
    if report.rows:
        store.refresh_statistics()
        store.ensure_index(min_rows=INDEX_FROM)
    return report


def _import_all(
    connection: Connection,
    store: PgVectorStore,
    source: Source,
    convert: Callable[[SourceRow], Chunk],
    on_progress: Callable[[ImportReport], None] | None,
) -> ImportReport:
    """Import the rows that `connection` reads. They are written by the store's own connections."""
    report = ImportReport()
    streaming = connection.execution_options(stream_results=True, max_row_buffer=BATCH_ROWS)
    for part in streaming.execute(source.statement(connection)).partitions(BATCH_ROWS):
        _import_part(store, part, convert, report)
        if on_progress is not None:
            on_progress(report)
    return report


def _import_part(
    store: PgVectorStore, rows: Iterable[Any], convert: Callable[[SourceRow], Chunk], report: ImportReport
) -> None:
    model = store.settings.model or store.collection.model
    chunks, vectors = [], []
    for row in rows:
        try:
            read = _read(row, model)
            chunk = convert(read)
            checked_rows([chunk])
        except ModelMismatchError:
            raise
        except EmbedPipeError as error:
            report.failures[str(row[0])] = error
            continue
        chunks.append(chunk)
        vectors.append(read.vector)
    if chunks:
        store.upsert(chunks, np.stack(vectors))
    report.rows += len(chunks)


def _read(row: Any, model: ModelSpec) -> SourceRow:
    """Return a row with its vector unpacked.

    Raises:
        InputError: If it has no id, no text, or no vector that can be compared.
        ModelMismatchError: If its vector has another dimension than the model's.
    """
    row_id, content, metadata, packed, *values = row
    vector = unpack_vector(packed, "float32")
    what = f"Row {row_id!r:.200}"
    if row_id is None or content is None:
        raise InputError(f"{what} has no {'id' if row_id is None else 'text'}.")
    if vector is None or not np.isfinite(vector).all() or not vector.any():
        raise InputError(f"{what} has no vector with a direction. Embed its text again.")
    if len(vector) != model.dimensions:
        raise ModelMismatchError(
            f"{what} has a vector of {len(vector)} dimensions, and {model.name} makes {model.dimensions}. "
            "Name the model that the rows were embedded with."
        )
    further = dict(zip(row._fields[4:], values, strict=True))
    return SourceRow(row_id, content, {**(metadata or {}), **further}, vector)


@dataclass(frozen=True, slots=True, kw_only=True)
class LangChainCollection:
    """A collection of LangChain's PGVector."""

    name: str
    schema: str

    def statement(self, connection: Connection) -> Select[Any]:
        """Select its rows, if the tables and the collection are there."""
        _columns(connection, "langchain_pg_collection", self.schema)
        held = table("langchain_pg_collection", column("uuid"), column("name", Text), schema=self.schema)
        names = connection.scalars(select(held.c.name).order_by(held.c.name)).all()
        if self.name not in names:
            raise CollectionNotFoundError(
                f"There is no LangChain collection {self.name!r}. There are: {', '.join(names)}."
            )
        columns = ("id", "document", "cmetadata", "embedding")
        rows = table("langchain_pg_embedding", *map(column, (*columns, "collection_id")), schema=self.schema)
        number = select(held.c.uuid).where(held.c.name == self.name).scalar_subquery()
        return _selected(rows, *columns).where(rows.c.collection_id == number)


@dataclass(frozen=True, slots=True, kw_only=True)
class LangChainTable:
    """A table of LangChain's PGVectorStore.

    `content`, `embedding`, `metadata` and `id` name its columns. Without `id`, that is the primary key. All other
    columns become metadata.
    """

    name: str
    schema: str
    content: str
    embedding: str
    metadata: str
    id: str | None

    def statement(self, connection: Connection) -> Select[Any]:
        """Select its rows, if the table and its columns are there."""
        types = _columns(connection, self.name, self.schema)
        key = self.id or _primary_key(connection, self.name, self.schema)
        _require({key, self.content, self.embedding}, types, self.name)
        own = {key, self.content, self.embedding, self.metadata}
        further = [each for each, type_ in types.items() if each not in own and not type_.startswith(_NOT_METADATA)]
        rows = table(self.name, *map(column, types), schema=self.schema)
        statement = _selected(
            rows, key, self.content, self.metadata if self.metadata in types else None, self.embedding
        )
        return statement.add_columns(*[_as_json(rows.c[each], types[each]).label(each) for each in further])


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaIndexTable:
    """A table of LlamaIndex's PGVectorStore. Of a node that is stored several times, the last row counts."""

    name: str
    schema: str

    def statement(self, connection: Connection) -> Select[Any]:
        """Select its rows in the order in which they were stored, if the table is there."""
        full = f"data_{self.name.lower()}"  # as its own store names it
        columns = ("id", "node_id", "text", "metadata_", "embedding")
        _require(set(columns), _columns(connection, full, self.schema), full)
        rows = table(full, *map(column, columns), schema=self.schema)
        return _selected(rows, *columns[1:]).order_by(rows.c.id)


def _selected(rows: Any, id: str, content: str, metadata: str | None, embedding: str) -> Select[Any]:
    packed = func.vector_send(cast(rows.c[embedding], VectorColumn()), type_=LargeBinary())
    found = literal_column("NULL::json") if metadata is None else func.to_json(rows.c[metadata])
    return select(cast(rows.c[id], Text).label("row_id"), rows.c[content], found, packed)


def _as_json(value: ColumnElement[Any], type_: str) -> ColumnElement[Any]:
    """Return a column's value as JSON. A number with more digits than a float keeps becomes text."""
    if not type_.startswith("numeric"):
        return func.to_jsonb(value)
    digits = func.length(func.regexp_replace(cast(value, Text), "[^0-9]", "", "g"))
    return case((digits > _FLOAT_DIGITS, func.to_jsonb(cast(value, Text))), else_=func.to_jsonb(value))


def _columns(connection: Connection, name: str, schema: str) -> dict[str, str]:
    """Return the types of a table's columns by their names, in order. Raise `SchemaError` if there is no table."""
    statement = text(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = to_regclass(quote_ident(:schema) || '.' || quote_ident(:name)) "
        "AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    )
    found = {row[0]: row[1] for row in connection.execute(statement, {"schema": schema, "name": name})}
    if not found:
        elsewhere = connection.scalars(text(_SCHEMAS), {"name": name}).all()
        hint = (
            f"Schema {' and '.join(elsewhere)} has one. Name it." if elsewhere else "Check the name and the database."
        )
        raise SchemaError(f"There is no table {name!r} in schema {schema!r}. {hint}")
    return found


_SCHEMAS = (
    "SELECT nspname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace "
    "WHERE relname = :name AND relkind IN ('r', 'p', 'v', 'm') ORDER BY nspname"
)


def _require(names: set[str], types: Mapping[str, str], name: str) -> None:
    lacking = sorted(names - types.keys())
    if lacking:
        raise SchemaError(f"Table {name!r} has no column {', '.join(lacking)}. It has: {', '.join(types)}.")


def _primary_key(connection: Connection, name: str, schema: str) -> str:
    statement = text(
        "SELECT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey) "
        "WHERE indisprimary AND indrelid = to_regclass(quote_ident(:schema) || '.' || quote_ident(:name))"
    )
    found = connection.scalars(statement, {"schema": schema, "name": name}).all()
    if len(found) != 1:
        raise SchemaError(f"Table {name!r} has no primary key of one column. Name the column of the ids.")
    return str(found[0])
