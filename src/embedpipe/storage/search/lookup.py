"""Chunks by id, by document and by condition, in the order of document and place; how many there are; their vectors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import ColumnElement, Connection, LargeBinary, and_, func, select, true

from embedpipe._checks import checked_count, shown
from embedpipe.errors import InputError
from embedpipe.storage.filters import Filter, where
from embedpipe.storage.tables import Collection
from embedpipe.storage.types import ordered, storable_text, text_array, unpack_vector
from embedpipe.types import Chunk, Vectors

CHUNK_COLUMNS = (
    "id",
    "document_id",
    "chunk_index",
    "content",
    "start_index",
    "end_index",
    "metadata",
    "payload",
    "header",
    "key_order",
)
"""What a chunk is made of."""


class StoredVectors(NamedTuple):
    """Chunk ids, and their vectors (n, d) float32 in the same order."""

    ids: list[str]
    vectors: Vectors


def checked_ids(ids: Sequence[str], what: str) -> list[str]:
    """Return the ids as a list. Raise `InputError` for one str, and for what cannot be an id."""
    if isinstance(ids, str):
        raise InputError(f"{what} is one str, {shown(ids)}. Put it into a list.")
    if not isinstance(ids, Iterable):
        raise InputError(f"{what}={shown(ids)} is no list. Pass a list of str.")
    return [storable_text(value, what) for value in ids]


def optional_ids(ids: Sequence[str] | None, what: str) -> list[str] | None:
    """Do as `checked_ids`; None stays None."""
    return None if ids is None else checked_ids(ids, what)


def checked_limit(limit: int | None) -> int | None:
    """Return the limit. Raise `InputError` if it is below 1."""
    return None if limit is None else checked_count("limit", limit)


def get(connection: Connection, collection: Collection, ids: Sequence[str]) -> list[Chunk]:
    """Return the chunks with these ids, in the order of the ids, without those that are not there."""
    statement = select(*chunk_columns(collection)).where(collection.chunks.c.id == func.any(text_array(ids)))
    rows = connection.execute(statement)
    found = {chunk.id: chunk for chunk in map(chunk_of, rows)}
    return [found[key] for key in ids if key in found]


def find(
    connection: Connection,
    collection: Collection,
    condition: Filter | None,
    document_ids: Sequence[str] | None,
    limit: int | None,
) -> list[Chunk]:
    """Return the chunks that meet every restriction given, in the order of document and place."""
    chunks = collection.chunks
    chosen = selected(collection, document_ids=document_ids, condition=condition)
    statement = select(*chunk_columns(collection)).where(chosen)
    statement = statement.order_by(chunks.c.document_id, chunks.c.chunk_index, chunks.c.id).limit(limit)
    return [chunk_of(row) for row in connection.execute(statement)]


def count(connection: Connection, collection: Collection) -> int:
    """Return how many chunks there are."""
    return connection.scalar(select(func.count()).select_from(collection.chunks)) or 0


def vectors(
    connection: Connection, collection: Collection, ids: Sequence[str] | None, condition: Filter | None
) -> StoredVectors:
    """Return the vectors of the chunks that meet every restriction given, in the order of document and place."""
    chunks, stored = collection.chunks, collection.vectors
    send = func.vector_send if collection.precision == "float32" else func.halfvec_send
    rows = select(chunks.c.id, send(stored.c.embedding, type_=LargeBinary()))
    rows = rows.join_from(chunks, stored, stored.c.key == chunks.c.key)
    rows = rows.where(selected(collection, ids=ids, condition=condition))
    found = connection.execute(rows.order_by(chunks.c.document_id, chunks.c.chunk_index, chunks.c.id)).all()
    unpacked = [unpack_vector(packed, collection.precision) for _, packed in found]
    array = (
        np.stack([row for row in unpacked if row is not None]) if found else np.empty((0, collection.model.dimensions))
    )
    return StoredVectors([row[0] for row in found], array.astype(np.float32, copy=False))


def selected(
    collection: Collection,
    *,
    ids: Sequence[str] | None = None,
    document_ids: Sequence[str] | None = None,
    condition: Filter | None = None,
) -> ColumnElement[bool]:
    """Return the condition that a chunk meets every restriction given."""
    chunks = collection.chunks
    parts: list[ColumnElement[bool]] = [true()]
    if ids is not None:
        parts.append(chunks.c.id == func.any(text_array(ids)))
    if document_ids is not None:
        parts.append(chunks.c.document_id == func.any(text_array(document_ids)))
    if condition is not None:
        parts.append(where(condition, chunks.c.metadata))
    return and_(*parts)


def chunk_columns(collection: Collection) -> list[ColumnElement[Any]]:
    """Return what a chunk is made of, in the order of `CHUNK_COLUMNS`."""
    return [collection.chunks.c[name] for name in CHUNK_COLUMNS]


def chunk_of(row: Any) -> Chunk:
    """Return the chunk that a row of `CHUNK_COLUMNS` holds."""
    return Chunk(
        row.content,
        row.start_index,
        row.end_index,
        row.chunk_index,
        ordered(row.metadata, row.key_order, "metadata"),
        row.document_id,
        row.id,
        ordered(row.payload, row.key_order, "payload"),
        row.header,
    )
