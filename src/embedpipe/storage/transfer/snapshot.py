"""Reading a whole collection in batches, as it was at one moment, while others go on writing."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from sqlalchemy import Connection, LargeBinary, Select, Text, cast, func, select

from embedpipe.errors import StorageError
from embedpipe.storage.database import translated_errors
from embedpipe.storage.search import lookup
from embedpipe.storage.store import PgVectorStore
from embedpipe.storage.tables import Collection
from embedpipe.storage.types import dumps, ordered, text_array, unpack_vector
from embedpipe.types import Vectors

T = TypeVar("T")

_ROWS = 2000
_JSON = ("metadata", "payload")

CHUNK_COLUMNS = tuple(name for name in lookup.CHUNK_COLUMNS if name != "key_order")
_DOCUMENT_COLUMNS = ("id", "content", "metadata")


class ChunkBatch(NamedTuple):
    """Some chunks, as columns and vectors.

    `columns` are in the order of `CHUNK_COLUMNS`, with metadata and payload as JSON. `vectors` are (n, d) float32.
    """

    columns: Sequence[Sequence[Any]]
    vectors: Vectors


def in_snapshot(store: PgVectorStore, operation: Callable[[Connection, Collection], T]) -> T:
    """Run an operation whose statements all see the collection as it was at the first of them.

    Args:
        store: The collection. If the store has a tenant, the operation sees that tenant's rows.
        operation: Takes a connection and the collection.

    Returns:
        What the operation returns.
    """
    collection = store.existing()
    with translated_errors(), store.database.engine.connect() as connection:
        reader = connection.execution_options(isolation_level="REPEATABLE READ")
        with reader.begin():
            return store.database.run(operation, collection, connection=reader, tenant=store.tenant)


def read_chunks(connection: Connection, collection: Collection) -> Generator[ChunkBatch]:
    """Yield all chunks in the order in which they were written. Close the generator if you do not read it to the end.

    Raises:
        StorageError: If a chunk has no vector.
    """
    table, stored = collection.chunks, collection.vectors
    send = func.vector_send if collection.precision == "float32" else func.halfvec_send
    rows = select(table.c.key_order, *_columns(table, CHUNK_COLUMNS), send(stored.c.embedding, type_=LargeBinary()))
    rows = rows.join_from(table, stored, stored.c.key == table.c.key, isouter=True).order_by(table.c.key)
    for *fields, packed in _batches(connection, rows, CHUNK_COLUMNS):
        yield ChunkBatch(
            fields, np.stack([_vector(data, collection, place) for place, data in zip(fields[0], packed, strict=True)])
        )


def read_documents(connection: Connection, collection: Collection) -> Generator[Sequence[Sequence[Any]]]:
    """Yield the columns id, content and metadata (as JSON) of all documents, in the order of their ids."""
    table = collection.documents
    rows = select(table.c.key_order, *_columns(table, _DOCUMENT_COLUMNS)).order_by(table.c.id)
    yield from _batches(connection, rows, _DOCUMENT_COLUMNS)


def document_ids(connection: Connection, collection: Collection, beginnings: Sequence[str]) -> list[str]:
    """Return the ids of all documents that begin with one of these texts, in order."""
    names = collection.documents.c.id
    found = select(names).where(names.op("^@")(func.any(text_array(beginnings)))).order_by(names)
    return list(connection.scalars(found))


def common_beginning(connection: Connection, collection: Collection) -> str:
    """Return the text that the ids of all documents begin with, "" if there is none."""
    names = collection.documents.c.id.collate("C")  # in which all between the first and the last begin as both do
    [(first, last)] = connection.execute(select(func.min(names), func.max(names)))
    if first is None:
        return ""
    differs = (place for place, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    return str(first[: next(differs, min(len(first), len(last)))])


def _columns(table: Any, names: Sequence[str]) -> list[Any]:
    return [cast(table.c[name], Text) if name in _JSON else table.c[name] for name in names]


def _batches(connection: Connection, rows: Select[Any], names: Sequence[str]) -> Generator[Sequence[Sequence[Any]]]:
    """Yield batches of columns. The first column of `rows` is the order of keys, which is applied to those in JSON."""
    streaming = connection.execution_options(stream_results=True, max_row_buffer=_ROWS)
    with streaming.execute(rows) as found:
        for part in found.partitions(_ROWS):
            yield list(zip(*[_in_order(row, names) for row in part], strict=True))


def _in_order(row: Any, names: Sequence[str]) -> Sequence[Any]:
    record, *values = row
    for place, name in enumerate(names):
        if record is not None and name in record:
            value = ordered(json.loads(values[place]), record, name)
            values[place] = dumps(value, what=f"Column {name}")
    return tuple(values)


def _vector(packed: bytes | None, collection: Collection, chunk_id: str) -> Vectors:
    vector = unpack_vector(packed, collection.precision)
    if vector is None:
        raise StorageError(
            f"Chunk {chunk_id!r:.200} of collection {collection.name!r} has no vector. Run `embedpipe doctor`."
        )
    return vector
