"""Attach a table to a collection, and detach it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, insert, inspect, select

from embedpipe.errors import ConfigurationError
from embedpipe.storage.attach import triggers
from embedpipe.storage.attach.queue_tables import attachments, queue_tables
from embedpipe.storage.attach.source import checked_source, relation
from embedpipe.storage.attach.table import Table
from embedpipe.storage.database import locks
from embedpipe.storage.tables import Collection
from embedpipe.storage.types import newer


def attach(connection: Connection, collection: Collection, table: Table) -> None:
    """Have the collection follow the table. All its rows are to be synced then.

    Raises:
        ConfigurationError: If the table cannot be attached, or the collection holds something else.
    """
    if collection.tenants:
        raise ConfigurationError("A table cannot be attached to a collection of tenants. Use another collection.")
    locks.claim(connection, collection)
    source = checked_source(connection, collection, table)
    former = attached_table(connection, collection)
    if former is not None:
        followed = relation(connection, collection)
        if (followed is not None and followed.oid != source.oid) or (former.key != table.key):
            raise ConfigurationError(
                f"Collection {collection.name!r} follows {former.name}, with the key {', '.join(former.key)}. Use "
                "another collection, or detach that table and clear the collection first."
            )
        detach(connection, collection)
    elif connection.scalar(select(select(collection.chunks.c.key).exists())):
        raise ConfigurationError(
            f"Collection {collection.name!r} holds documents that were ingested. Use another collection, or clear it."
        )
    locks.be_brief(connection)
    triggers.lock_source(connection, source.schema, source.name, mode="SHARE ROW EXCLUSIVE")
    locks.lock(connection, collection.documents, collection.chunks, mode="SHARE ROW EXCLUSIVE")
    triggers.create(connection, collection, source)
    row = {"collection": collection.number, "definition": table.record()}
    connection.execute(insert(attachments(collection.schema)).values(row))
    every_row = {"bucket": 0, "rows": 0}
    connection.execute(insert(queue_tables(collection).changes).values(every_row))


def detach(connection: Connection, collection: Collection) -> bool:
    """Have the collection no longer follow its table, which is then as it was. The documents stay.

    Returns:
        False if it follows none.
    """
    if attached_table(connection, collection) is None:
        return False
    locks.claim(connection, collection)
    locks.be_brief(connection)
    # Whoever syncs holds buckets while it waits for the user's table, so it is let finish before that is locked.
    buckets = queue_tables(collection).buckets
    if inspect(connection).has_table(buckets.name, schema=collection.schema):
        locks.lock(connection, buckets, mode="ACCESS EXCLUSIVE")
    followed = relation(connection, collection)
    if followed is not None:
        triggers.lock_source(connection, followed.schema, followed.name, mode="ACCESS EXCLUSIVE")
    locks.lock(connection, collection.documents, collection.chunks, mode="ACCESS EXCLUSIVE")
    triggers.drop(connection, collection)
    table = attachments(collection.schema)
    connection.execute(delete(table).where(table.c.collection == collection.number))
    return True


def attached_table(connection: Connection, collection: Collection) -> Table | None:
    """Return the table that the collection follows, None if it follows none."""
    table = attachments(collection.schema)
    if not inspect(connection).has_table(table.name, schema=collection.schema):
        return None  # the tables are those of an earlier embedpipe
    rows = select(table.c.definition).where(table.c.collection == collection.number)
    record: Any = connection.scalar(rows)
    if record is None:
        return None
    try:
        return Table(**record)
    except TypeError as error:
        raise newer(f"The table that collection {collection.name!r} follows", str(error)) from error
