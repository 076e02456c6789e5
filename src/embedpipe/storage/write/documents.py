"""Documents with their chunks, written together: what is new goes in, what moved is moved, what was lost goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from embedpipe.errors import EmbedPipeError, InputError
from embedpipe.storage.tables import Collection
from embedpipe.storage.types import BytesArray, JsonbArray, TextArray, ordered, text_array
from embedpipe.storage.write import statements
from embedpipe.storage.write.chunks import (
    ChunkRows,
    checked,
    delete_keys,
    delete_where,
    in_parts,
    lock,
    move,
    select_rows,
    write_rows,
)
from embedpipe.storage.write.refusals import Refused, by_halves
from embedpipe.types import Metadata, Vectors


class ConcurrentChangeError(EmbedPipeError):
    """Another writer removed chunks that this write counted on; to be planned again from the database's state."""


class DocumentRow(NamedTuple):
    """A document as it is stored; `metadata` and its order are JSON."""

    id: str
    text: str
    hash: bytes
    metadata: str
    key_order: str | None = None


@dataclass(frozen=True, slots=True)
class DocumentBatch:
    """Documents, their chunks that are stored already, and their new ones with vectors (n, d)."""

    documents: Sequence[DocumentRow]
    kept: ChunkRows
    new: ChunkRows
    vectors: Vectors


@dataclass(frozen=True, slots=True)
class Known:
    """What the database has of some documents: their hashes, and the ids of their chunks."""

    hashes: dict[str, bytes]
    chunk_ids: set[str]


class Written(NamedTuple):
    """How many stale chunks went, and the error of each document that was refused, by its id."""

    removed: int
    refused: Mapping[str, InputError] = {}


class StoredDocument(NamedTuple):
    """A document as it was ingested; `text` is None where the collection does not keep it."""

    id: str
    text: str | None
    metadata: Metadata


def stored(connection: Connection, collection: Collection, document_ids: Sequence[str]) -> list[StoredDocument]:
    """Return the documents with these ids, in the order of the ids, without those that are not there."""
    table = collection.documents
    rows = select(table.c.id, table.c.content, table.c.metadata, table.c.key_order)
    found = {
        row.id: StoredDocument(row.id, row.content, ordered(row.metadata, row.key_order, "metadata"))
        for row in connection.execute(rows.where(table.c.id == func.any(text_array(document_ids))))
    }
    return [found[name] for name in document_ids if name in found]


def known(connection: Connection, collection: Collection, document_ids: Sequence[str]) -> Known:
    """Return what is stored of these documents: their hashes, and the ids of their chunks."""
    documents, chunks = collection.documents, collection.chunks
    named = func.any(text_array(document_ids))
    hashes = select(documents.c.id, documents.c.hash).where(documents.c.id == named)
    stored = select(chunks.c.id).where(chunks.c.document_id == named)
    return Known(
        {name: bytes(digest) for name, digest in connection.execute(hashes).all()},
        set(connection.scalars(stored).all()),
    )


def write(connection: Connection, collection: Collection, batch: DocumentBatch) -> Written:
    """Write documents and chunks, in the order that `locks` states.

    Who writes the same documents at the same time waits for the other.

    Raises:
        ConcurrentChangeError: If a kept chunk is no longer there.
    """
    names = [chunk.id for chunk in batch.new.chunks]
    vectors = checked(batch.vectors, collection, count=len(names), names=names)
    _upsert_documents(connection, collection, batch.documents)
    ids = text_array([row.id for row in batch.documents])
    there = lock(connection, collection, collection.chunks.c.document_id == func.any(ids))
    kept, new = ({str(chunk.id) for chunk in rows.chunks} for rows in (batch.kept, batch.new))
    if not kept <= there.keys():
        raise ConcurrentChangeError("Chunks that were to be kept are gone: another writer changed these documents.")
    stale = [key for name, key in there.items() if name not in kept and name not in new]
    if stale:
        delete_keys(connection, collection, stale)
    move(connection, collection, batch.kept)
    write_rows(connection, collection, batch.new, vectors)
    return Written(len(stale))


def write_by_halves(connection: Connection, collection: Collection, batch: DocumentBatch) -> Written:
    """Write the documents as `write`, without those that are refused: these are found, and stay as they were stored."""
    removed, refused = 0, dict[str, InputError]()
    rows = sorted(batch.documents, key=lambda row: row.id)  # as `locks` has it; first what is there, then by halves
    named = func.any(text_array([row.id for row in rows]))
    connection.execute(statements.lock_documents(collection, collection.documents.c.id == named)).all()
    lock(connection, collection, collection.chunks.c.document_id == named)
    for outcome in by_halves(connection, rows, _write_part, collection, batch):
        if isinstance(outcome, Refused):
            refused[outcome.item.id] = outcome.error
        else:
            removed += outcome.removed
    return Written(removed, refused)


def _write_part(
    connection: Connection, rows: Sequence[DocumentRow], collection: Collection, batch: DocumentBatch
) -> Written:
    return write(connection, collection, _part(batch, rows))


def _part(batch: DocumentBatch, rows: Sequence[DocumentRow]) -> DocumentBatch:
    """Return the batch with these of its documents alone."""
    ids = {row.id for row in rows}
    kept, new = (
        [place for place, chunk in enumerate(chunks) if chunk.document_id in ids]
        for chunks in (batch.kept.chunks, batch.new.chunks)
    )
    return DocumentBatch(rows, select_rows(batch.kept, kept), select_rows(batch.new, new), batch.vectors[new])


def prune(connection: Connection, collection: Collection, seen: Sequence[str]) -> tuple[int, int]:
    """Delete all documents but those seen, and return how many documents and chunks there were."""
    documents, chunks = collection.documents, collection.chunks
    unseen = documents.c.id != func.all(text_array(seen))
    deleted = statements.delete_documents(collection, unseen).returning(documents.c.id)
    ids = list(connection.scalars(deleted))  # who writes one of these anew waits from here on
    gone = delete_where(connection, collection, chunks.c.document_id == func.any(text_array(ids)))
    return len(ids), gone


def _upsert_documents(connection: Connection, collection: Collection, rows: Sequence[DocumentRow]) -> None:
    statement = statements.upsert_documents(collection)
    by_id = sorted(rows, key=lambda row: row.id)  # as `locks` has it
    for part in in_parts(by_id, [len(row.text) + len(row.metadata) for row in by_id]):
        values = {
            "staged_id": TextArray([row.id for row in part]),
            "staged_content": TextArray([row.text for row in part]),
            "staged_hash": BytesArray([row.hash for row in part]),
            "staged_metadata": JsonbArray([row.metadata for row in part]),
            "staged_key_order": JsonbArray([row.key_order for row in part]),
        }
        connection.execute(statement, values)
