"""The tables of an attached collection: what changed in the user's table, who works at it, and what failed.

attachments     one row for each collection that follows a table, with its columns
c<n>_changes    ids of changed rows, one row for each statement and bucket. No ids stand for every row of the table
c<n>_buckets    one row for each bucket of ids, which is locked by whoever syncs ids of it
c<n>_failures   ids that could not be synced, with the error, the attempts and the time of the next one

Writers of the user's table only append to the changes. So they wait for nobody, and meet nobody in a SERIALIZABLE
transaction.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import BigInteger, Column, DateTime, Identity, Integer, MetaData, SmallInteger, Table, Text, func
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from embedpipe.storage.tables import Collection, once

BUCKETS = 64


@dataclass(frozen=True, slots=True)
class QueueTables:
    """The tables of one collection's changes."""

    changes: Table
    buckets: Table
    failures: Table

    def all(self) -> tuple[Table, ...]:
        """Return the three tables."""
        return self.changes, self.buckets, self.failures


@once
def attachments(schema: str) -> Table:
    """Return the catalogue's table of attached collections."""
    return Table(
        "attachments",
        MetaData(schema=schema),
        Column("collection", Integer, primary_key=True),
        Column("definition", JSONB),
        Column("attached_at", DateTime(timezone=True)),
    )


def queue_tables(collection: Collection) -> QueueTables:
    """Return the tables of a collection's changes."""
    return _tables(collection.schema, collection.number)


@once
def _tables(schema: str, number: int) -> QueueTables:
    metadata, prefix = MetaData(schema=schema), f"c{number}"
    changes = Table(
        f"{prefix}_changes",
        metadata,
        Column("number", BigInteger, Identity(always=True), primary_key=True),
        Column("bucket", SmallInteger, nullable=False),
        Column("rows", Integer, nullable=False),
        Column("ids", ARRAY(Text)),
    )
    buckets = Table(
        f"{prefix}_buckets", metadata, Column("bucket", SmallInteger, primary_key=True, autoincrement=False)
    )
    failures = Table(
        f"{prefix}_failures",
        metadata,
        Column("id", Text, primary_key=True),
        Column("error", Text, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("retry_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    )
    return QueueTables(changes, buckets, failures)
