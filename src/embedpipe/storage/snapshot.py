"""A whole collection read in batches, as it was at one moment, while others go on writing."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from sqlalchemy import Connection, LargeBinary, Select, Text, cast, func, select

from embedpipe.errors import StorageError
from embedpipe.storage import statements
from embedpipe.storage.columns import unpack_vector
from embedpipe.storage.schema import Collection
from embedpipe.storage.store import PgVectorStore
from embedpipe.storage.tenancy import scoped
from embedpipe.storage.translation import translated_errors
from embedpipe.types import Vectors

T = TypeVar("T")

_ROWS = 2000
_JSON = ("metadata", "payload")

CHUNK_COLUMNS = statements.CHUNK_COLUMNS
DOCUMENT_COLUMNS = ("id", "content", "metadata")


class ChunkBatch(NamedTuple):
    """Columns of some chunks in the order of `CHUNK_COLUMNS`, metadata and payload as JSON; vectors (n, d) float32."""

    columns: Sequence[Sequence[Any]]
    vectors: Vectors


def in_snapshot(store: PgVectorStore, operation: Callable[[Connection, Collection], T]) -> T:
    """What the operation returns, all of whose statements see the collection as it was when it began.

    Of a store with a tenant, that tenant's rows. Raises what the store's own methods raise.
    """
    collection = store.collection
    plan = operation if store.tenant is None else scoped(operation, store.tenant)
    with translated_errors(), store.database.engine.connect() as connection:
        reader = connection.execution_options(isolation_level="REPEATABLE READ")
        with reader.begin():
            return store.database.run(plan, collection, connection=reader)


def chunks(connection: Connection, collection: Collection) -> Generator[ChunkBatch]:
    """All chunks in the order they were written; to be closed where they are not read to the end.

    Raises `StorageError` for one that has no vector.
    """
    table, stored = collection.chunks, collection.vectors
    send = func.vector_send if collection.precision == "float32" else func.halfvec_send
    rows = select(*_columns(table, CHUNK_COLUMNS), send(stored.c.embedding, type_=LargeBinary()))
    rows = rows.join_from(table, stored, stored.c.key == table.c.key, isouter=True).order_by(table.c.key)
    for columns in _batches(connection, rows):
        *fields, packed = columns
        yield ChunkBatch(
            fields, np.stack([_vector(data, collection, place) for place, data in zip(fields[0], packed, strict=True)])
        )


def documents(connection: Connection, collection: Collection) -> Generator[Sequence[Sequence[Any]]]:
    """As `chunks`: columns of all documents by `DOCUMENT_COLUMNS`, metadata as JSON, in the order of the ids."""
    table = collection.documents
    yield from _batches(connection, select(*_columns(table, DOCUMENT_COLUMNS)).order_by(table.c.id))


def _columns(table: Any, names: Sequence[str]) -> list[Any]:
    return [cast(table.c[name], Text) if name in _JSON else table.c[name] for name in names]


def _batches(connection: Connection, rows: Select[Any]) -> Generator[Sequence[Sequence[Any]]]:
    streaming = connection.execution_options(stream_results=True, max_row_buffer=_ROWS)
    with streaming.execute(rows) as found:
        for part in found.partitions(_ROWS):
            yield list(zip(*part, strict=True))


def _vector(packed: bytes | None, collection: Collection, chunk_id: str) -> Vectors:
    vector = unpack_vector(packed, collection.precision)
    if vector is None:
        raise StorageError(
            f"Chunk {chunk_id!r:.200} of collection {collection.name!r} has no vector: see `embedpipe doctor`."
        )
    return vector
