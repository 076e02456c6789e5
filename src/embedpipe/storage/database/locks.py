"""The one order in which everything locks. Whoever adds a statement keeps to it, and nobody waits in a circle.

Rows, for who writes:

    1. documents   by id
    2. chunks      by id, new ones and those that are there in one pass
    3. vectors and words of these chunks, which only the holder of their chunk touches

An ingest locks the stored chunks of its documents first, to know what is stale, and then adds new ones. It holds the
documents, and nobody else makes chunks with ids of theirs.

Ids are ordered as Python orders them, COLLATE "C" in SQL: batches are cut here, rows are locked there. The counts of
words are folded by one writer at a time, which no other waits for.

Tables: a statement or transaction comes to documents before chunks, and to chunks before vectors and words. PostgreSQL
locks the tables of a statement as it names them, first those of its CTEs; once it is prepared, those of its own FROM
come first, and the target of an INSERT before all. So a search names the chunks first in both places, and a writer
locks chunks by a statement of its own.

A table of the user's own that a collection follows comes before all of these: its writers append to the collection's
changes. Whoever syncs locks buckets of ids, which it never waits for, then documents. It reads the user's table in a
transaction of its own, and so holds no lock on it.

Changes of tables (indexes, another model, the end of a collection):

    1. `claim`: one change of a collection at a time. It is tried and not waited for, since an index that is built
       beside writers waits for every transaction that is under way.
    2. `take`: the tables in the order from above, the view before the chunks. Chunks are locked in a mode that keeps
       SELECT ... FOR UPDATE out wherever vectors are locked, too.
    3. rows of the catalogue.

A lock that keeps readers out is waited for only briefly: they queue behind whoever waits, and a caller's own
transaction may hold several tables in another order. Who waits too long gives up before PostgreSQL looks for a deadlock
(after a second) and could end somebody else's transaction, and `Database.run` tries again later. ANALYZE has a
transaction of its own, since it locks as an index build does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, cast, func, literal, select, true
from sqlalchemy.dialects.postgresql import REGCLASS

from embedpipe.storage.database import network
from embedpipe.storage.database.retrying import InUseError
from embedpipe.storage.tables import Collection, ddl

_CLAIM = 0x656D6265
"""What the advisory locks of collections are filed under, beside the collection's number."""

_PATIENCE, _IMPATIENCE = "2s", "500ms"
"""What the first lock is waited for, which others queue behind; and each further one, while that one is held."""

_NO_TIMEOUT = select(func.set_config("statement_timeout", "0", true()))


def claim(connection: Connection, collection: Collection) -> None:
    """Keep everybody else from changing the collection's tables until the transaction ends.

    Raises `InUseError` where somebody is at it: the transaction is to be run again later.
    """
    if not connection.scalar(select(func.pg_try_advisory_xact_lock(_CLAIM, collection.number))):
        raise _claimed(collection)


@contextmanager
def claimed(connection: Connection, collection: Collection) -> Iterator[None]:
    """Do as `claim`, for a connection in autocommit and until the block ends."""
    if not connection.scalar(select(func.pg_try_advisory_lock(_CLAIM, collection.number))):
        raise _claimed(collection)
    try:
        yield
    finally:
        if not connection.invalidated:
            connection.execute(select(func.pg_advisory_unlock(_CLAIM, collection.number)))


def is_claimed(connection: Connection, collection: Collection) -> bool:
    """Return whether somebody else is changing the collection's tables. If nobody is, claim it."""
    return not connection.scalar(select(func.pg_try_advisory_xact_lock(_CLAIM, collection.number)))


def _claimed(collection: Collection) -> InUseError:
    return InUseError(f"another process changes the tables of collection {collection.name!r}, or builds an index")


def take(connection: Connection, first: Table, *further: Table, mode: str) -> None:
    """Lock the tables in that mode and in this order, for a change of them that must not keep others waiting for long.

    From then on the transaction waits for every further lock only briefly, and for statements as long as they take.
    """
    be_brief(connection)
    lock(connection, first, mode=mode)
    connection.execute(select(func.set_config("lock_timeout", _IMPATIENCE, true())))
    lock(connection, *further, mode=mode)


def lock(connection: Connection, *tables: Table, mode: str) -> None:
    """Lock the tables in that mode and in this order. A connection in autocommit keeps no lock, and so takes none."""
    driver: Any = connection.connection.driver_connection
    for table in () if driver.autocommit else tables:
        connection.execute(ddl("LOCK TABLE %(fullname)s IN %(mode)s MODE", table, mode=mode))


def be_patient(connection: Connection) -> None:
    """Have the transaction's statements take as long as they do, whatever a search may take."""
    network.wait_for_ever(connection)
    connection.execute(_NO_TIMEOUT)


def lift_time_limit(connection: Connection) -> None:
    """Have the transaction's statements take as long as they do, with an hour at most between two bytes of an answer.

    For steps of maintenance, each of which ends. `be_patient` is for what may take hours.
    """
    network.wait_longest(connection)
    connection.execute(_NO_TIMEOUT)


def be_brief(connection: Connection) -> None:
    """Have the transaction wait for its next lock only briefly, and for statements as long as they take."""
    be_patient(connection)
    connection.execute(select(func.set_config("lock_timeout", _PATIENCE, true())))


def check_there(connection: Connection, table: Table) -> None:
    """Raise the server's UndefinedTable where the table is gone, for statements that would find nothing instead."""
    name = connection.dialect.identifier_preparer.format_table(table)
    connection.execute(select(cast(literal(name), REGCLASS)))


def by_id(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return what rows are ordered by where they are locked, whatever the database's own collation is."""
    return column.collate("C")
