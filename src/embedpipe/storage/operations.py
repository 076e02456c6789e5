"""What a store does, each as `op(connection, collection, ...) -> result`, run alike by threads and event loops."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Connection, and_, bindparam, exists, func, select, true

from embedpipe.errors import InputError
from embedpipe.storage import lexical, statements
from embedpipe.storage.columns import BoundArray, IntegerArray, JsonbArray, TextArray, vector_array
from embedpipe.storage.filter_sql import where
from embedpipe.storage.filters import Filter
from embedpipe.storage.json import dumps, storable_text
from embedpipe.storage.schema import Collection
from embedpipe.types import Chunk, Vectors

_BATCH_ROWS = 1000
_MAX_ID_BYTES = 2000  # a B-tree entry must fit a third of a page


@dataclass(frozen=True, slots=True)
class ChunkRows:
    """Checked chunks, column by column, with metadata and payload as JSON."""

    chunks: Sequence[Chunk]
    metadata: Sequence[str]
    payload: Sequence[str | None]

    def arrays(self, start: int, stop: int) -> dict[str, BoundArray]:
        part = self.chunks[start:stop]
        return {
            "staged_id": TextArray(chunk.id for chunk in part),
            "staged_document_id": TextArray(chunk.document_id for chunk in part),
            "staged_chunk_index": IntegerArray(chunk.chunk_index for chunk in part),
            "staged_content": TextArray(chunk.text for chunk in part),
            "staged_start_index": IntegerArray(chunk.start_index for chunk in part),
            "staged_end_index": IntegerArray(chunk.end_index for chunk in part),
            "staged_metadata": JsonbArray(self.metadata[start:stop]),
            "staged_payload": JsonbArray(self.payload[start:stop]),
            "staged_header": TextArray(chunk.header for chunk in part),
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
        if chunk.header is not None:
            storable_text(chunk.header, f"{what}, header")
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
        arrays["staged_embedding"] = vector_array(sorted_vectors[start:stop], collection.precision)
        connection.execute(statement, arrays)
        if collection.lexical:
            lexical.index(connection, collection, [str(chunk.id) for chunk in ordered.chunks[start:stop]])


def move(connection: Connection, collection: Collection, rows: ChunkRows) -> int:
    """How many of the chunks are there; place, metadata and payload of these are rewritten where they differ."""
    statement = statements.move(collection)
    ids = collection.chunks.c.id
    present = select(func.count()).select_from(collection.chunks).where(ids == func.any(bindparam("staged_id")))
    found = 0
    for start, stop in _batches(len(rows.chunks)):
        arrays = rows.arrays(start, stop)
        connection.execute(statement, arrays)
        found += connection.scalar(present, {"staged_id": arrays["staged_id"]}) or 0
    return found


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
    """How many chunks went: those that meet every restriction given.

    A document that lost its last chunk goes too; one that lost some is taken for changed by the next ingest.
    """
    selected = _selected(collection, ids=ids, document_ids=document_ids, condition=condition)
    chunks, documents = collection.chunks, collection.documents
    touched = list(connection.scalars(select(chunks.c.document_id).where(selected).distinct()))
    gone = delete_where(connection, collection, selected)
    of_touched = documents.c.id == func.any(_text_array([*filter(None, touched), *(document_ids or [])]))
    has_chunks = exists().where(chunks.c.document_id == documents.c.id)
    connection.execute(documents.update().where(of_touched, has_chunks).values(hash=b""))
    connection.execute(documents.delete().where(of_touched, ~has_chunks))
    return gone


def delete_where(connection: Connection, collection: Collection, selected: ColumnElement[bool]) -> int:
    """How many chunks went, with their vectors and words: those for which the condition holds."""
    deleted = statements.delete_chunks(collection, selected).returning(collection.chunks.c.key)
    keys = list(connection.scalars(deleted))
    if collection.lexical:
        lexical.remove(connection, collection, keys)
    return len(keys)


def clear(connection: Connection, collection: Collection) -> int:
    """How many chunks went: all of them, with all documents."""
    gone = delete_where(connection, collection, true())
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
        row.header,
    )


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
