"""What a store does, each as `op(connection, collection, ...) -> result`, run alike by threads and event loops."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, Connection, and_, bindparam, func, select, text, true
from sqlalchemy.schema import CreateIndex

from embedpipe.errors import InputError
from embedpipe.storage import lexical, statements
from embedpipe.storage.columns import BoundArray, BytesArray, IntegerArray, JsonbArray, TextArray, vector_array
from embedpipe.storage.filters import Filter, where
from embedpipe.storage.json import dumps, storable_text
from embedpipe.storage.schema import Collection
from embedpipe.types import Chunk, Vectors

_BATCH_ROWS = 1000
_MAX_ID_BYTES = 2000  # a B-tree entry must fit a third of a page


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """A document as it is stored; `text` is None where the collection declines to keep it."""

    id: str
    text: str | None
    hash: bytes
    metadata: str


@dataclass(frozen=True, slots=True)
class ChunkRows:
    """Checked chunks, column by column, with metadata and payload as JSON."""

    chunks: Sequence[Chunk]
    metadata: Sequence[str]
    payload: Sequence[str | None]

    def arrays(self, start: int, stop: int) -> dict[str, BoundArray]:
        part = self.chunks[start:stop]
        return {
            "id": TextArray(chunk.id for chunk in part),
            "document_id": TextArray(chunk.document_id for chunk in part),
            "chunk_index": IntegerArray(chunk.chunk_index for chunk in part),
            "content": TextArray(chunk.text for chunk in part),
            "start_index": IntegerArray(chunk.start_index for chunk in part),
            "end_index": IntegerArray(chunk.end_index for chunk in part),
            "metadata": JsonbArray(self.metadata[start:stop]),
            "payload": JsonbArray(self.payload[start:stop]),
        }


def with_ids(chunks: Sequence[Chunk]) -> list[Chunk]:
    """The chunks, with a random id where one has none."""
    return [chunk if chunk.id is not None else chunk._replace(id=str(uuid.uuid4())) for chunk in chunks]


def checked_rows(chunks: Sequence[Chunk]) -> ChunkRows:
    """The chunks ready to be bound. Raises `InputError` naming the chunk and what of it cannot be stored."""
    metadata, payload = [], []
    encoded: tuple[Any, str] = (None, "{}")
    for chunk in chunks:
        what = f"Chunk {chunk.id!r:.200}"
        checked_id(chunk.id, what)
        if chunk.document_id is not None:
            checked_id(chunk.document_id, f"{what}, document_id")
        storable_text(chunk.text, what)
        if chunk.metadata is not encoded[0]:  # the chunks of a document often share one dict
            encoded = (chunk.metadata, dumps(chunk.metadata, what=f"{what}, metadata") or "{}")
        metadata.append(encoded[1])
        payload.append(dumps(chunk.payload, what=f"{what}, payload"))
    return ChunkRows(chunks, metadata, payload)


def checked_id(value: object, what: str) -> str:
    """The id itself; `InputError` where it is no str, empty or too long for an index."""
    if not isinstance(value, str) or not value:
        raise InputError(f"{what}: expected an id of type str that is not empty, got {value!r:.200}.")
    storable_text(value, f"{what}, id")
    if len(value) * 4 > _MAX_ID_BYTES and len(value.encode()) > _MAX_ID_BYTES:
        raise InputError(f"{what}: expected an id of at most {_MAX_ID_BYTES} bytes, got {len(value.encode())}.")
    return value


def upsert(connection: Connection, collection: Collection, rows: ChunkRows, vectors: Vectors) -> None:
    """Writes chunks and vectors by chunk id: new ones are added, others replaced whole."""
    order = sorted(range(len(rows.chunks)), key=lambda i: str(rows.chunks[i].id))
    ordered = take(rows, order)
    sorted_vectors = vectors[order]
    statement = statements.upsert(collection)
    for start, stop in _batches(len(order)):
        arrays = ordered.arrays(start, stop)
        arrays["embedding"] = vector_array(sorted_vectors[start:stop], collection.precision)
        connection.execute(statement, arrays)
        lexical.index(connection, collection, [str(chunk.id) for chunk in ordered.chunks[start:stop]])


def move(connection: Connection, collection: Collection, rows: ChunkRows) -> int:
    """How many of the chunks are there; place, metadata and payload of these are rewritten where they differ."""
    statement = statements.move(collection)
    ids = collection.chunks.c.id
    present = select(func.count()).select_from(collection.chunks).where(ids == func.any(bindparam("id")))
    found = 0
    for start, stop in _batches(len(rows.chunks)):
        arrays = rows.arrays(start, stop)
        connection.execute(statement, arrays)
        found += connection.scalar(present, {"id": arrays["id"]}) or 0
    return found


def upsert_documents(connection: Connection, collection: Collection, rows: Sequence[DocumentRow]) -> None:
    """Writes documents by id, and holds their rows until the transaction ends."""
    statement = statements.upsert_documents(collection)
    for start, stop in _batches(len(rows)):
        part = rows[start:stop]
        connection.execute(
            statement,
            {
                "id": TextArray(row.id for row in part),
                "content": TextArray(row.text for row in part),
                "hash": BytesArray(row.hash for row in part),
                "metadata": JsonbArray(row.metadata for row in part),
            },
        )


def document_hashes(connection: Connection, collection: Collection, ids: Sequence[str]) -> dict[str, bytes]:
    """The hash of each of these documents that is stored."""
    documents = collection.documents
    statement = select(documents.c.id, documents.c.hash).where(documents.c.id == func.any(bindparam("ids")))
    return {row.id: bytes(row.hash) for row in connection.execute(statement, {"ids": TextArray(ids)})}


def chunk_ids(connection: Connection, collection: Collection, document_ids: Sequence[str]) -> set[str]:
    """The ids of the chunks of these documents."""
    chunks = collection.chunks
    statement = select(chunks.c.id).where(chunks.c.document_id == func.any(bindparam("ids")))
    return set(connection.scalars(statement, {"ids": TextArray(document_ids)}))


def get(connection: Connection, collection: Collection, ids: Sequence[str]) -> list[Chunk]:
    """The chunks with these ids, in the order of the ids; those that are not there are left out."""
    rows = connection.execute(statements.get_chunks(collection), {"ids": TextArray(ids)})
    found = {chunk.id: chunk for chunk in map(chunk_of, rows)}
    return [found[key] for key in ids if key in found]


def find(
    connection: Connection,
    collection: Collection,
    condition: Filter | None,
    document_ids: Sequence[str] | None,
    limit: int | None,
) -> list[Chunk]:
    """The chunks that meet every restriction given, in the order of document and place."""
    chunks = collection.chunks
    selected = _selected(collection, document_ids=document_ids, condition=condition)
    statement = select(*statements.chunk_columns(collection)).where(selected)
    statement = statement.order_by(chunks.c.document_id, chunks.c.chunk_index, chunks.c.id).limit(limit)
    return [chunk_of(row) for row in connection.execute(statement)]


def delete(
    connection: Connection,
    collection: Collection,
    ids: Sequence[str] | None,
    document_ids: Sequence[str] | None,
    condition: Filter | None,
) -> int:
    """How many chunks went: those that meet every restriction given. Documents named go with their chunks."""
    selected = _selected(collection, ids=ids, document_ids=document_ids, condition=condition)
    lexical.remove(connection, collection, selected)
    gone = connection.execute(statements.delete_chunks(collection, selected)).rowcount
    if document_ids is not None and ids is None and condition is None:
        documents = collection.documents
        connection.execute(documents.delete().where(documents.c.id == func.any(_text_array(document_ids))))
    return gone


def clear(connection: Connection, collection: Collection) -> int:
    """How many chunks went: all of them, with all documents."""
    gone = delete(connection, collection, None, None, None)
    connection.execute(collection.documents.delete())
    return gone


def count(connection: Connection, collection: Collection) -> int:
    """How many chunks there are."""
    return connection.scalar(select(func.count()).select_from(collection.chunks)) or 0


def chunk_of(row: Any) -> Chunk:
    """The chunk that a row of `CHUNK_COLUMNS` holds."""
    return Chunk(
        row.content,
        row.start_index,
        row.end_index,
        row.chunk_index,
        row.metadata,
        row.document_id,
        row.id,
        row.payload,
    )


def create_index(connection: Connection, collection: Collection, *, m: int, ef_construction: int) -> None:
    """Builds the vector index where there is none, with memory and workers to match."""
    if has_index(connection, collection):
        return
    memory = func.set_config("maintenance_work_mem", "1GB", true())
    workers = func.set_config("max_parallel_maintenance_workers", "2", true())
    connection.execute(select(memory, workers))
    connection.execute(CreateIndex(collection.hnsw_index(m=m, ef_construction=ef_construction)))


def has_index(connection: Connection, collection: Collection) -> bool:
    """Whether the vector index is there and valid."""
    statement = text(
        "SELECT indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "
        "WHERE relname = :name AND relnamespace = to_regnamespace(quote_ident(:schema))"
    )
    return bool(connection.scalar(statement, {"name": collection.vector_index, "schema": collection.schema}))


def _selected(
    collection: Collection,
    *,
    ids: Sequence[str] | None = None,
    document_ids: Sequence[str] | None = None,
    condition: Filter | None = None,
) -> Any:
    chunks = collection.chunks
    parts: list[Any] = [true()]
    if ids is not None:
        parts.append(chunks.c.id == func.any(_text_array(ids)))
    if document_ids is not None:
        parts.append(chunks.c.document_id == func.any(_text_array(document_ids)))
    if condition is not None:
        parts.append(where(condition, chunks.c.metadata))
    return and_(*parts)


def _text_array(values: Sequence[str]) -> BindParameter[Any]:
    return bindparam(None, TextArray(values), unique=True)


def take(rows: ChunkRows, order: Sequence[int]) -> ChunkRows:
    """The rows at these positions, in their order."""
    return ChunkRows(
        [rows.chunks[i] for i in order], [rows.metadata[i] for i in order], [rows.payload[i] for i in order]
    )


def _batches(length: int) -> Iterator[tuple[int, int]]:
    for start in range(0, length, _BATCH_ROWS):
        yield start, min(start + _BATCH_ROWS, length)
