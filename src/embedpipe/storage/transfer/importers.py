"""Chunks that other libraries keep in PostgreSQL, taken over with their vectors: nothing is embedded.

langchain_pg_embedding, langchain_pg_collection      LangChain's PGVector
a table with the columns that its user named         LangChain's PGVectorStore
data_<name>                                          LlamaIndex's PGVectorStore
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

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
"""Decimal digits that a float keeps, whatever they are."""
_NOT_METADATA = ("tsvector", "vector", "halfvec", "sparsevec")


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A row of another library's table; `vector` is (d,) float32."""

    id: str
    text: str
    metadata: Mapping[str, Any]
    vector: Vectors


@dataclass(slots=True)
class ImportReport:
    """How many rows were taken over, and the error of each that could not be, by its id."""

    rows: int = 0
    failures: dict[str, EmbedPipeError] = field(default_factory=dict)


Source: TypeAlias = Callable[[Connection], "Select[*tuple[Any, ...]]"]
"""Makes the statement of id, text, metadata and vector in binary, and any number of metadata columns by their names."""


def import_rows(
    store: PgVectorStore,
    source: Source,
    convert: Callable[[SourceRow], Chunk],
    *,
    database: Database | str | None = None,
    on_progress: Callable[[ImportReport], None] | None = None,
) -> ImportReport:
    """What became of the rows that the source reads from `database`, by default the store's own.

    They are read in one snapshot and written by id in transactions of a thousand, so that a run that ended early can be
    repeated. `on_progress` is called after each. The vector index is built where there are enough. Raises
    `ModelMismatchError` for vectors of another dimension than the collection's, and what the store raises.
    """
    opened = Database(database) if isinstance(database, str) else None
    given = database if isinstance(database, Database) else None
    read_from = opened or given or store.database
    report = ImportReport()

    def copy(connection: Connection) -> None:
        report.rows, report.failures = 0, {}
        rows = connection.execution_options(stream_results=True, max_row_buffer=BATCH_ROWS).execute(source(connection))
        for part in rows.partitions(BATCH_ROWS):
            _write(store, part, convert, report)
            if on_progress is not None:
                on_progress(report)

    try:
        read_from.run(copy)
    finally:
        if opened is not None:
            opened.close()
    if report.rows:
        store.refresh_statistics()
        store.ensure_index(min_rows=INDEX_FROM)
    return report


def _write(
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
    """The row. Raises `InputError` for one without an id, a text or a vector that can be compared."""
    row_id, content, metadata, packed, *values = row
    vector = unpack_vector(packed, "float32")
    what = f"Row {row_id!r:.200}"
    if row_id is None or content is None:
        raise InputError(f"{what} has no {'id' if row_id is None else 'text'}.")
    if vector is None or not np.isfinite(vector).all() or not vector.any():
        raise InputError(f"{what} has no vector that points anywhere. Embed its text anew.")
    if len(vector) != model.dimensions:
        raise ModelMismatchError(
            f"{what} has a vector of {len(vector)} dimensions, {model.name} makes {model.dimensions}. Name the model "
            "that the rows were embedded with."
        )
    further = dict(zip(row._fields[4:], values, strict=True))
    return SourceRow(row_id, content, {**(metadata or {}), **further}, vector)


def langchain_collection(name: str, *, schema: str) -> Source:
    """The rows of a collection of LangChain's PGVector."""

    def source(connection: Connection) -> Select[Any]:
        _columns(connection, "langchain_pg_collection", schema)
        held = table("langchain_pg_collection", column("uuid"), column("name", Text), schema=schema)
        names = connection.scalars(select(held.c.name).order_by(held.c.name)).all()
        if name not in names:
            raise CollectionNotFoundError(f"There is no LangChain collection {name!r}. There are: {', '.join(names)}.")
        rows = table("langchain_pg_embedding", *map(column, _V1_COLUMNS), schema=schema)
        number = select(held.c.uuid).where(held.c.name == name).scalar_subquery()
        return _selected(rows, *_V1_COLUMNS[:4]).where(rows.c.collection_id == number)

    return source


_V1_COLUMNS = ("id", "document", "cmetadata", "embedding", "collection_id")


def langchain_table(name: str, *, schema: str, content: str, embedding: str, metadata: str, id: str | None) -> Source:
    """The rows of a table of LangChain's PGVectorStore; further columns are metadata. `id` None: its primary key."""

    def source(connection: Connection) -> Select[Any]:
        types = _columns(connection, name, schema)
        key = id or _primary_key(connection, name, schema)
        _require({key, content, embedding}, types, name)
        own = {key, content, embedding, metadata}
        further = [each for each, type_ in types.items() if each not in own and not type_.startswith(_NOT_METADATA)]
        rows = table(name, *map(column, types), schema=schema)
        statement = _selected(rows, key, content, metadata if metadata in types else None, embedding)
        return statement.add_columns(*[_as_json(rows.c[each], types[each]).label(each) for each in further])

    return source


def llama_index_table(name: str, *, schema: str) -> Source:
    """The rows of a table of LlamaIndex's PGVectorStore, in the order they were stored: of one node the last counts."""

    def source(connection: Connection) -> Select[Any]:
        full = f"data_{name.lower()}"  # as its own store names it
        _require({"id", "node_id", "text", "metadata_", "embedding"}, _columns(connection, full, schema), full)
        rows = table(full, *map(column, ("id", "node_id", "text", "metadata_", "embedding")), schema=schema)
        return _selected(rows, "node_id", "text", "metadata_", "embedding").order_by(rows.c.id)

    return source


def _selected(rows: Any, id: str, content: str, metadata: str | None, embedding: str) -> Select[Any]:
    packed = func.vector_send(cast(rows.c[embedding], VectorColumn()), type_=LargeBinary())
    found = literal_column("NULL::json") if metadata is None else func.to_json(rows.c[metadata])
    return select(cast(rows.c[id], Text).label("row_id"), rows.c[content], found, packed)


def _as_json(value: ColumnElement[Any], type_: str) -> ColumnElement[Any]:
    """The value for metadata; a number of more digits than a float keeps becomes text."""
    if not type_.startswith("numeric"):
        return func.to_jsonb(value)
    digits = func.length(func.regexp_replace(cast(value, Text), "[^0-9]", "", "g"))
    return case((digits > _FLOAT_DIGITS, func.to_jsonb(cast(value, Text))), else_=func.to_jsonb(value))


def _columns(connection: Connection, name: str, schema: str) -> dict[str, str]:
    """The types of the table's columns, by name and in order."""
    statement = text(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = to_regclass(quote_ident(:schema) || '.' || quote_ident(:name)) "
        "AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    )
    found = {row[0]: row[1] for row in connection.execute(statement, {"schema": schema, "name": name})}
    if not found:
        elsewhere = connection.scalars(text(_SCHEMAS), {"name": name}).all()
        hint = (
            f"Schema {' and '.join(elsewhere)} has one: name it." if elsewhere else "Check the name and the database."
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
        raise SchemaError(f"Table {name!r} has no primary key of one column: name the column of the ids.")
    return str(found[0])
