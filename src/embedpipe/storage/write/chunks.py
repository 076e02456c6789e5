"""Chunks written, moved and deleted, with their vectors and words."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Connection,
    and_,
    bindparam,
    exists,
    func,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY

from embedpipe._checks import checked_items, shown
from embedpipe.errors import InputError
from embedpipe.storage.database import locks
from embedpipe.storage.filters import Filter, restricts
from embedpipe.storage.lexical import index_changed_languages, index_chunks, remove_chunks
from embedpipe.storage.search import lookup
from embedpipe.storage.tables import Collection
from embedpipe.storage.types import (
    BoundArray,
    IntegerArray,
    JsonbArray,
    TextArray,
    checked_vectors,
    dumps,
    order_record,
    storable_text,
    text_array,
    vector_array,
)
from embedpipe.storage.write import statements
from embedpipe.storage.write.refusals import Refused, about, by_halves
from embedpipe.types import Chunk, Vectors

T = TypeVar("T")

_BATCH_ROWS = 1000
_BATCH_CHARACTERS = 50_000_000
"""Of one statement, with room below the gigabyte that PostgreSQL takes at once: a character has up to four bytes."""

MAX_ID_BYTES = 2000  # a B-tree entry must fit a third of a page
_MAX_ROW_BYTES = 500_000_000
_places = struct.Struct(">iii").pack


@dataclass(frozen=True, slots=True)
class ChunkRows:
    """Checked chunks, column by column, with metadata, payload and the order of their keys as JSON."""

    chunks: Sequence[Chunk]
    metadata: Sequence[str]
    payload: Sequence[str | None]
    key_order: Sequence[str | None]

    def arrays(self, start: int, stop: int) -> dict[str, BoundArray]:
        """Return these rows as the arrays that `statements.upsert` and `move` bind."""
        part = self.chunks[start:stop]
        return {
            "staged_id": TextArray([chunk.id for chunk in part]),
            "staged_document_id": TextArray([chunk.document_id for chunk in part]),
            "staged_chunk_index": IntegerArray([chunk.chunk_index for chunk in part]),
            "staged_content": TextArray([chunk.text for chunk in part]),
            "staged_start_index": IntegerArray([chunk.start_index for chunk in part]),
            "staged_end_index": IntegerArray([chunk.end_index for chunk in part]),
            "staged_metadata": JsonbArray(self.metadata[start:stop]),
            "staged_payload": JsonbArray(self.payload[start:stop]),
            "staged_header": TextArray([chunk.header for chunk in part]),
            "staged_key_order": JsonbArray(self.key_order[start:stop]),
        }

    def ids(self) -> list[str]:
        """Return the ids of the chunks, in order."""
        return [str(chunk.id) for chunk in self.chunks]

    def sizes(self) -> list[int]:
        """Return how many characters each row has."""
        return [
            len(chunk.text) + len(chunk.header or "") + len(metadata) + len(payload or "")
            for chunk, metadata, payload in zip(self.chunks, self.metadata, self.payload, strict=True)
        ]


def with_ids(chunks: Sequence[Chunk]) -> list[Chunk]:
    """Return the chunks, with a random id where one has none.

    Raises:
        InputError: If they are no list of chunks.
    """
    given = checked_items("chunks", chunks, Chunk)
    return [chunk if chunk.id is not None else chunk._replace(id=str(uuid.uuid4())) for chunk in given]


def checked_rows(chunks: Sequence[Chunk]) -> ChunkRows:
    """Return the chunks ready to be bound. Raise `InputError` naming the chunk and what of it cannot be stored."""
    metadata, payload, order = [], [], []
    encoded: tuple[Any, str, str | None] = (None, "{}", None)
    for chunk in chunks:
        what = f"Chunk {shown(chunk.id)}"
        checked_id(chunk.id, what)
        if chunk.document_id is not None:
            checked_id(chunk.document_id, f"{what}, document_id")
        storable_text(chunk.text, what)
        if chunk.header is not None:
            storable_text(chunk.header, f"{what}, header")
        try:
            _places(chunk.start_index, chunk.end_index, chunk.chunk_index)
        except (struct.error, TypeError):
            places = (chunk.start_index, chunk.end_index, chunk.chunk_index)
            raise InputError(
                f"{what}: start_index, end_index and chunk_index are {shown(places)}. "
                "Give whole numbers below 2,147,483,648."
            ) from None
        if chunk.metadata is not encoded[0]:  # the chunks of a document often share one dict
            text = dumps(chunk.metadata, what=f"{what}, metadata") or "{}"
            encoded = (chunk.metadata, text, order_record(what, metadata=chunk.metadata))
        metadata.append(encoded[1])
        payload.append(dumps(chunk.payload, what=f"{what}, payload"))
        both = chunk.payload is not None
        order.append(order_record(what, metadata=chunk.metadata, payload=chunk.payload) if both else encoded[2])
        check_size(what, chunk.text, chunk.header, metadata[-1], payload[-1])
    return ChunkRows(chunks, metadata, payload, order)


def checked_id(value: object, what: str) -> str:
    """Return the id. Raise `InputError` where it is no str, empty or too long for an index."""
    if not isinstance(value, str) or not value:
        raise InputError(f"{what}: the id {shown(value)} is empty or no str. Pass a str that is not empty.")
    storable_text(value, f"{what}, id")
    if len(value) * 4 > MAX_ID_BYTES and len(value.encode()) > MAX_ID_BYTES:
        raise InputError(f"{what}: the id has {len(value.encode())} bytes. Pass one of at most {MAX_ID_BYTES}.")
    return value


def check_size(what: str, *parts: str | None) -> None:
    """Raise `InputError` where the parts of a row are more than PostgreSQL takes in one."""
    if sum(map(len, filter(None, parts))) * 4 > _MAX_ROW_BYTES:  # a character has up to four bytes
        size = sum(len(part.encode()) for part in parts if part)
        if size > _MAX_ROW_BYTES:
            raise InputError(f"{what}: has {size:,} bytes with its metadata, at most {_MAX_ROW_BYTES:,} fit. Cut it.")


def checked(vectors: Any, collection: Collection, *, count: int, names: Sequence[str | None] | None = None) -> Vectors:
    """Return the vectors as the collection takes them; see `checked_vectors`."""
    return checked_vectors(
        vectors,
        count=count,
        dimensions=collection.model.dimensions,
        owner=f"Collection {collection.name!r}",
        precision=collection.precision,
        names=names,
    )


def upsert(connection: Connection, collection: Collection, rows: ChunkRows, vectors: Any) -> list[str]:
    """Write chunks and their vectors by chunk id: new ones are added, others replaced whole. Return all ids.

    Of two chunks with one id the later one counts. Raises `InputError` for vectors that the collection does not take.
    """
    last, checked = _ready(connection, collection, rows, vectors)
    write_rows(connection, collection, last, checked)
    return rows.ids()


def upsert_by_halves(connection: Connection, collection: Collection, rows: ChunkRows, vectors: Any) -> list[str]:
    """Write as `upsert`, in savepoints, and find out whose value it is where one is refused.

    Raises `InputError` naming the first such chunk; nothing is written then.
    """
    last, checked = _ready(connection, collection, rows, vectors)
    order = _by_id(last)
    if _autocommits(connection):
        _write_places(connection, order, collection, last, checked)
        return rows.ids()
    with connection.begin_nested():
        for outcome in by_halves(connection, order, _write_places, collection, last, checked):
            if isinstance(outcome, Refused):
                raise about(f"Chunk {last.chunks[outcome.item].id!r:.200}", outcome.error)
    return rows.ids()


def _ready(connection: Connection, collection: Collection, rows: ChunkRows, vectors: Any) -> tuple[ChunkRows, Vectors]:
    """Return the rows that are written, each id once, and their checked vectors. The chunks' table is locked by then.

    A statement that writes vectors from chunks would lock the vectors' table first, see `locks`.
    """
    ids = rows.ids()
    array = checked(vectors, collection, count=len(ids), names=ids)
    locks.lock(connection, collection.chunks, mode="ROW EXCLUSIVE")
    last = list({chunk_id: place for place, chunk_id in enumerate(ids)}.values())
    return (rows, array) if len(last) == len(ids) else (select_rows(rows, last), array[last])


def _write_places(
    connection: Connection, places: Sequence[int], collection: Collection, rows: ChunkRows, vectors: Vectors
) -> None:
    write_rows(connection, collection, select_rows(rows, places), vectors[places])


def _by_id(rows: ChunkRows) -> list[int]:
    """Return the places of the rows in the order that `locks` states."""
    return sorted(range(len(rows.chunks)), key=rows.ids().__getitem__)


def _autocommits(connection: Connection) -> bool:
    driver: Any = connection.connection.driver_connection
    return bool(driver.autocommit)


def write_rows(connection: Connection, collection: Collection, rows: ChunkRows, vectors: Vectors) -> None:
    """Write checked chunks and vectors by chunk id, in the order that `locks` states, and index their words."""
    order = _by_id(rows)
    ordered = select_rows(rows, order)
    ids = ordered.ids()
    sorted_vectors = vectors[order]
    statement = statements.upsert(collection)
    for part in in_parts(range(len(order)), ordered.sizes()):
        start, stop = part[0], part[-1] + 1
        arrays = ordered.arrays(start, stop)
        arrays["staged_embedding"] = vector_array(sorted_vectors[start:stop], collection.precision)
        connection.execute(statement, arrays)
        if collection.lexical:
            index_chunks(connection, collection, ids[start:stop])


def lock(connection: Connection, collection: Collection, selected: ColumnElement[bool]) -> dict[str, int]:
    """Lock the chunks for which the condition holds, in the order that `locks` states.

    Returns:
        {id: key} of these chunks.
    """
    return {row.id: row.key for row in connection.execute(statements.lock_chunks(collection, selected))}


def move(connection: Connection, collection: Collection, rows: ChunkRows) -> None:
    """Rewrite place, metadata and payload of chunks that are locked already, where they differ."""
    statement = statements.move(collection)
    for part in in_parts(range(len(rows.chunks)), rows.sizes()):
        connection.execute(statement, rows.arrays(part[0], part[-1] + 1))
        if collection.lexical:
            index_changed_languages(connection, collection, rows.ids()[part[0] : part[-1] + 1])


def checked_restrictions(
    ids: Sequence[str] | None, document_ids: Sequence[str] | None, condition: Filter | None
) -> tuple[list[str] | None, list[str] | None, Filter | None]:
    """Return what `delete` takes. Raise `InputError` if nothing restricts it: it would delete everything."""
    if ids is None and document_ids is None and not restricts(condition):
        raise InputError(
            "delete was given no ids, no document_ids and no filter, or one that leaves nothing out. To remove "
            "everything, call the store's clear()."
        )
    return lookup.optional_ids(ids, "ids"), lookup.optional_ids(document_ids, "document_ids"), condition


def delete(
    connection: Connection,
    collection: Collection,
    ids: Sequence[str] | None,
    document_ids: Sequence[str] | None,
    condition: Filter | None,
) -> int:
    """Delete the chunks that meet every restriction given, and return how many there were.

    A document that lost its last chunk goes too; one that lost some is taken for changed by the next ingest.
    """
    chosen = lookup.selected(collection, ids=ids, document_ids=document_ids, condition=condition)
    chunks, documents = collection.chunks, collection.documents
    touched: ColumnElement[bool] = documents.c.id.in_(select(chunks.c.document_id).where(chosen))
    if document_ids is not None:
        touched = or_(touched, documents.c.id == func.any(text_array(document_ids)))
    owned = connection.scalars(statements.lock_documents(collection, touched)).all()
    locked = text_array(owned)
    # Chunks that another writer has brought since are of documents that are its own: those are as if written later.
    of_others = exists().where(documents.c.id == chunks.c.document_id, documents.c.id != func.all(locked))
    gone = delete_where(connection, collection, and_(chosen, ~of_others))
    if owned:
        of_locked = documents.c.id == func.any(locked)
        has_chunks = exists().where(chunks.c.document_id == documents.c.id)
        connection.execute(documents.update().where(of_locked, has_chunks).values(hash=b""))
        connection.execute(documents.delete().where(of_locked, ~has_chunks))
    return gone


def delete_where(connection: Connection, collection: Collection, selected: ColumnElement[bool]) -> int:
    """Delete the chunks for which the condition holds, with their vectors and words, and return how many there were."""
    deleted = statements.delete_chunks(collection, selected).returning(collection.chunks.c.key)
    keys = list(connection.scalars(deleted))
    if collection.lexical:
        remove_chunks(connection, collection, keys)
    return len(keys)


def delete_keys(connection: Connection, collection: Collection, keys: Sequence[int]) -> None:
    """Remove chunks that are locked already, with their vectors and words."""
    chosen: BindParameter[Any] = bindparam(None, list(keys), type_=ARRAY(BigInteger))
    connection.execute(collection.chunks.delete().where(collection.chunks.c.key == func.any(chosen)))
    if collection.lexical:
        remove_chunks(connection, collection, keys)


def clear(connection: Connection, collection: Collection) -> int:
    """Delete all chunks and all documents, and return how many chunks there were."""
    chunks, documents = collection.chunks, collection.documents
    connection.execute(statements.delete_documents(collection, true()))
    # What has a document now was written since, and stays whole.
    return delete_where(connection, collection, ~exists().where(documents.c.id == chunks.c.document_id))


def select_rows(rows: ChunkRows, order: Sequence[int]) -> ChunkRows:
    """Return the rows at these positions, in their order."""
    return ChunkRows(
        [rows.chunks[i] for i in order],
        [rows.metadata[i] for i in order],
        [rows.payload[i] for i in order],
        [rows.key_order[i] for i in order],
    )


def in_parts(items: Sequence[T], sizes: Sequence[int]) -> Iterator[Sequence[T]]:
    """Cut the items into parts that one statement takes, by their number and their sizes in characters."""
    start = characters = 0
    for place, size in enumerate(sizes):
        characters += size
        if place > start and (place - start == _BATCH_ROWS or characters > _BATCH_CHARACTERS):
            yield items[start:place]
            start, characters = place, size
    if start < len(items):
        yield items[start:]
