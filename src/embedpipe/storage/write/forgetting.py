"""A document deleted with everything that was ever kept of it."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, Text, delete, func, literal_column, select

from embedpipe.storage.database import locks
from embedpipe.storage.tables import Catalogue, Collection, ddl, past_tables
from embedpipe.storage.write import answers, statements
from embedpipe.storage.write.chunks import delete_where


class Forgotten(NamedTuple):
    """How much was deleted of a document.

    Attributes:
        chunks: Present chunks.
        versions: Versions of the document that history had kept, with the present one.
        answers: Kept answers that had it among their sources.
        cache_entries: Vectors in the cache. 0 for `PgVectorStore.forget`, which knows no cache.
    """

    chunks: int
    versions: int
    answers: int
    cache_entries: int = 0


def embedded_texts(connection: Connection, collection: Collection, document_id: str) -> list[str]:
    """Return the texts of a document's chunks as they were embedded, present and superseded ones, each once."""
    tables = [collection.chunks, *([past_tables(collection).chunks] if collection.history else [])]
    texts = [select(_embedded(table)).where(table.c.document_id == document_id) for table in tables]
    return sorted({text for statement in texts for text in connection.scalars(statement)})


def forget(connection: Connection, collection: Collection, document_id: str) -> Forgotten:
    """Delete a document, its chunks, what history keeps of both, and the kept answers with it among their sources."""
    documents, chunks = collection.documents, collection.chunks
    connection.execute(statements.delete_documents(collection, documents.c.id == document_id))
    removed = delete_where(connection, collection, chunks.c.document_id == document_id)
    versions = 0
    if collection.history:  # with what the triggers have kept of these deletions
        past = past_tables(collection)
        connection.execute(delete(past.chunks).where(past.chunks.c.document_id == document_id))
        versions = connection.execute(delete(past.documents).where(past.documents.c.id == document_id)).rowcount
    return Forgotten(removed, versions, answers.discard_of(connection, collection, document_id))


def analyze(connection: Connection, collection: Collection) -> None:
    """Update the planner's statistics, which hold values of the columns, after something was forgotten."""
    locks.lift_time_limit(connection)
    past = past_tables(collection)
    tables = [collection.documents, collection.chunks, Catalogue(collection.schema).answers]
    for table in [*tables, past.documents, past.chunks] if collection.history else tables:
        connection.execute(ddl("ANALYZE %(fullname)s", table))


def _embedded(chunks: Table) -> ColumnElement[str]:
    """Return the same as `Collection.embedded_text`, of present or superseded chunks."""
    return func.concat_ws(literal_column(r"E'\n'"), chunks.c.header, chunks.c.content, type_=Text())
