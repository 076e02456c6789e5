"""The collection as it was at a moment, and the versions of a document."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, DateTime, cast, func, null, select, union_all

from embedpipe.errors import ConfigurationError
from embedpipe.storage.tables import AS_OF, Collection, past_tables
from embedpipe.storage.types import ordered
from embedpipe.types import Metadata


class DocumentVersion(NamedTuple):
    """A document as it was from `since` until `until`. The present version has no `until`.

    `hash` is that of the text, the metadata and the settings of the ingest, and `text` is None where the collection
    does not keep it.
    """

    id: str
    text: str | None
    metadata: Metadata
    hash: str
    since: datetime
    until: datetime | None


def at(connection: Connection, collection: Collection, moment: datetime) -> Collection:
    """Return the collection as it was at that moment, for reads until the transaction ends.

    Raises:
        ConfigurationError: If the collection keeps no history, or the connection is in autocommit.
    """
    check_history(collection)
    driver: Any = connection.connection.driver_connection
    if driver.autocommit:
        raise ConfigurationError("as_of is set for one transaction, and connection= is in autocommit and has none.")
    connection.execute(select(func.set_config(AS_OF, moment.isoformat(), True)))
    return collection.at_then()


def check_history(collection: Collection) -> None:
    """Raise `ConfigurationError` if the collection keeps no history."""
    if not collection.history:
        raise ConfigurationError(
            f"Collection {collection.name!r} keeps no history. Ingest into a new collection with history=True."
        )


def versions(connection: Connection, collection: Collection, document_id: str) -> list[DocumentVersion]:
    """Return the versions of a document, oldest first.

    Raises:
        ConfigurationError: If the collection keeps no history.
    """
    check_history(collection)
    present, past = collection.documents, past_tables(collection).documents
    names = ("content", "metadata", "key_order", "hash", "updated_at")
    never = cast(null(), DateTime(timezone=True)).label("until")
    rows = union_all(
        select(*[past.c[name] for name in names], past.c.until).where(past.c.id == document_id),
        select(*[present.c[name] for name in names], never).where(present.c.id == document_id),
    ).subquery()
    return [
        DocumentVersion(
            document_id,
            row.content,
            ordered(row.metadata, row.key_order, "metadata"),
            bytes(row.hash).hex(),
            row.updated_at,
            row.until,
        )
        for row in connection.execute(select(rows).order_by(rows.c.updated_at))
    ]
