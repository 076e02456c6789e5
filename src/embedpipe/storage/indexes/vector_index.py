"""The vector index: built while writers wait or beside them, watched, cancelled, and dropped.

The name of an index says how it is built. So an index of another type is built beside the one that searches use, and
that one is dropped only when the new one is there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVarTuple

from sqlalchemy import Connection, Index, MetaData, false, func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateIndex, DropIndex

from embedpipe._threads import Stopped, check_stopped, is_stoppable
from embedpipe.storage.database import Connections, locks
from embedpipe.storage.indexes.build_resources import (
    BUILD_SETTINGS,
    count_vectors,
    give_resources,
    lacks_shared_memory,
    use_one_worker,
)
from embedpipe.storage.indexes.states import has_index, index_states
from embedpipe.storage.search import lookup
from embedpipe.storage.tables import Collection, VectorIndex, catalogue, ddl, lexical_tables, quoted

Ts = TypeVarTuple("Ts")

logger = logging.getLogger(__name__)

_CLEAN = text("""
SELECT gin_clean_pending_list(pg_class.oid) FROM pg_index
JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_am ON pg_am.oid = relam
WHERE amname = 'gin' AND indrelid = to_regclass(:indexed) AND pg_has_role(relowner, 'USAGE')
""")
_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class IndexProgress:
    """The progress of a build.

    Attributes:
        phase: PostgreSQL's name of the phase. The last report has the phase "finished".
        done: The part of the phase that is done, from 0 to 1. None in phases that PostgreSQL does not measure.
    """

    phase: str
    done: float | None


Progress = Callable[[IndexProgress], None]


def create_index(
    database: Connections,
    collection: Collection,
    index: VectorIndex | None,
    *,
    concurrently: bool,
    on_progress: Progress | None,
) -> None:
    """Build the vector index of a collection, and make it the one that searches use.

    Args:
        database: Where the collection is.
        collection: Its tables.
        index: How to build it. None keeps the index that is there, else builds the one that the catalogue has.
        concurrently: Let writers go on meanwhile.
        on_progress: Called from this thread while another one builds. If it raises, the build is cancelled.

    Raises:
        ConfigurationError: If such vectors cannot be indexed that way.
    """
    session = _Session()
    work = partial(_build, database, session, collection, index, concurrently=concurrently)
    if on_progress is None and not is_stoppable():
        work()
        return
    with ThreadPoolExecutor(1) as pool:
        building = pool.submit(copy_context().run, work)
        try:
            while not wait([building], timeout=_POLL_S).done:
                check_stopped()
                progress = database.read(_progress, collection) if on_progress is not None else None
                if on_progress is not None and progress is not None:
                    on_progress(progress)
        except BaseException:
            session.cancelled = True
            while not wait([building], timeout=_POLL_S).done:  # the first may come before the statement does
                database.read(_cancel, session)
            raise
        building.result()
    if on_progress is not None:
        on_progress(IndexProgress("finished", 1.0))


@dataclass(slots=True)
class _Session:
    """The database session that builds, for whoever cancels the build."""

    pid: int | None = None
    cancelled: bool = False

    def begin(self, connection: Connection) -> None:
        """Note the session that builds from now on. End the build if it was cancelled meanwhile."""
        if self.cancelled:
            raise Stopped
        self.pid = connection.scalar(select(func.pg_backend_pid()))


def _build(
    database: Connections, session: _Session, collection: Collection, index: VectorIndex | None, *, concurrently: bool
) -> None:
    """Build the index in this thread."""
    if concurrently:
        database.run_alone(_build_beside, session, database, collection, index)
        return
    # A transaction for each step: a build of hours holds only the locks that it needs.
    database.run(_in_session, session, drop_invalid, collection)
    database.run(_in_session, session, build, collection, index)
    database.run(_in_session, session, drop_others, collection)
    database.run(_in_session, session, analyze, collection)


def _in_session(connection: Connection, session: _Session, step: Callable[[Connection, *Ts], None], *args: *Ts) -> None:
    """Run a step of a build on a connection that `_cancel` finds."""
    session.begin(connection)
    step(connection, *args)


def build(connection: Connection, collection: Collection, index: VectorIndex | None) -> None:
    """Build the vector index while writers wait, unless it is there. `drop_invalid` goes before."""
    locks.claim(connection, collection)
    if _is_there(connection, collection, index):
        return
    planned = _planned(connection, collection, index)
    if not has_index(connection, planned):
        give_resources(connection, planned, local=True)
        create = CreateIndex(planned.index_definition())
        try:
            with connection.begin_nested():
                connection.execute(create)
        except DBAPIError as error:
            if not lacks_shared_memory(error):
                raise
            use_one_worker(connection, local=True)
            connection.execute(create)
    catalogue.set_index(connection, planned, planned.index)


def is_lacking(connection: Connection, collection: Collection, min_rows: int) -> tuple[bool, bool]:
    """Return whether there is a vector index, and whether one is lacking.

    One is lacking from `min_rows` chunks on, if the role may build it. If it may not, a warning is logged.
    """
    if has_index(connection, collection):
        return True, False
    locks.lift_time_limit(connection)
    if lookup.count(connection, collection) < min_rows:
        return False, False
    owner = text("SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = CAST(:vectors AS regclass)")
    if connection.execute(owner, {"vectors": quoted(connection, collection.vectors)}).scalar_one():
        return False, True
    logger.warning(
        "Collection %r is large enough for a vector index, which only the owner of its tables may build. "
        "Have the owner call create_index().",
        collection.name,
    )
    return False, False


def _build_beside(
    connection: Connection, session: _Session, database: Connections, collection: Collection, index: VectorIndex | None
) -> None:
    """Build while others write (CREATE INDEX CONCURRENTLY), and drop what a failure leaves.

    That statement runs in no transaction. The other steps have transactions of their own, under the claim that this
    connection holds.
    """
    session.begin(connection)
    with locks.claimed(connection, collection):
        if _is_there(connection, collection, index):
            return
        database.run(_drop_where, collection, lambda _, valid: not valid)
        planned = database.run(_planned, collection, index)
        try:
            _create_beside(connection, planned)
        except BaseException:
            database.run(_drop_where, planned, lambda _, valid: not valid)
            raise
        database.run(catalogue.set_index, planned, planned.index)
        database.run(_drop_where, planned, lambda name, _: name != planned.vector_index)
        database.run(_analyze, planned)


def _create_beside(connection: Connection, planned: Collection) -> None:
    """Run CREATE INDEX CONCURRENTLY with the memory that it needs, and set the session's own settings again."""
    create = CreateIndex(planned.index_definition(concurrently=True), if_not_exists=True)
    before = connection.execute(select(*[func.current_setting(name) for name in BUILD_SETTINGS])).one()
    try:
        give_resources(connection, planned, local=False)
        try:
            connection.execute(create)
        except DBAPIError as error:
            if not lacks_shared_memory(error):
                raise
            connection.execute(DropIndex(_named(planned, planned.vector_index), if_exists=True))
            use_one_worker(connection, local=False)
            connection.execute(create)
    finally:
        if not connection.invalidated:
            pairs = zip(BUILD_SETTINGS, before, strict=True)
            connection.execute(select(*[func.set_config(name, value, false()) for name, value in pairs]))


def _planned(connection: Connection, collection: Collection, index: VectorIndex | None) -> Collection:
    """Return the collection with the chosen index, and the number of its lists for the rows at hand."""
    chosen = index or collection.index
    chosen.check(collection.model.dimensions, collection.precision)
    if _is_there(connection, collection, index):
        return collection
    locks.lift_time_limit(connection)
    return replace(collection, index=chosen.sized(count_vectors(connection, collection)))


def _is_there(connection: Connection, collection: Collection, index: VectorIndex | None) -> bool:
    """Return whether an index as planned is there and valid."""
    return (index or collection.index).is_met_by(collection.index) and has_index(connection, collection)


def drop_invalid(connection: Connection, collection: Collection) -> None:
    """Drop the invalid indexes that failed builds left.

    None of them is still being built, since whoever builds it would hold the claim.
    """
    locks.claim(connection, collection)
    _drop_where(connection, collection, lambda _, valid: not valid)


def drop_others(connection: Connection, collection: Collection) -> None:
    """Drop the indexes that searches no longer use."""
    locks.claim(connection, collection)
    active = catalogue.embedding_version(connection, collection)
    if active is not None and has_index(connection, active):
        _drop_where(connection, active, lambda name, _: name != active.vector_index)


def _drop_where(connection: Connection, collection: Collection, goes: Callable[[str, bool], bool]) -> list[str]:
    """Drop the vector indexes for which `goes(name, valid)` is true. Return their names."""
    states = index_states(connection, collection)
    names = [name for name, valid in states.items() if goes(name, valid)]
    if names:
        locks.be_brief(connection)
    for name in names:
        if not states[name]:
            logger.warning("Dropping the invalid index %s, which a failed concurrent build left", name)
        connection.execute(DropIndex(_named(collection, name)))
    return names


def drop_index(connection: Connection, collection: Collection) -> bool:
    """Drop the vector index. Searches are exact until it is built again.

    Returns:
        True if there was an index.
    """
    locks.claim(connection, collection)
    return bool(_drop_where(connection, collection, lambda *_: True))


def analyze(connection: Connection, collection: Collection) -> None:
    """Update the planner's statistics, by which it chooses between the index and an exact scan under a filter.

    Empty the pending lists of the GIN indexes, too. Writers append to these, and every search reads them from end to
    end. A table with an index under construction is left out: the build ends with statistics of its own.
    """
    _analyze(connection, collection, "(SKIP_LOCKED) " if locks.is_claimed(connection, collection) else "")


def _analyze(connection: Connection, collection: Collection, option: str = "") -> None:
    """Run ANALYZE with that option on the tables that searches read."""
    locks.lift_time_limit(connection)
    tables = [collection.chunks, collection.vectors]
    for table in [*tables, lexical_tables(collection).index] if collection.lexical else tables:
        connection.execute(_CLEAN, {"indexed": quoted(connection, table)})
        connection.execute(ddl("ANALYZE %(option)s%(fullname)s", table, option=option))


def _progress(connection: Connection, collection: Collection) -> IndexProgress | None:
    """Return the progress of the build, None before it has begun."""
    statement = text(
        "SELECT phase, blocks_done::float / nullif(blocks_total, 0) AS done FROM pg_stat_progress_create_index "
        "WHERE relid = to_regclass(:vectors)"
    )
    row = connection.execute(statement, {"vectors": quoted(connection, collection.vectors)}).first()
    return None if row is None else IndexProgress(row.phase, row.done)


def _cancel(connection: Connection, session: _Session) -> None:
    """End the statement that builds, or that waits to build. Leave those that clean up after it."""
    statement = text(
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity "
        "WHERE pid = :pid AND state = 'active' AND query ~ 'CREATE INDEX'"
    )
    connection.execute(statement, {"pid": session.pid})


def _named(collection: Collection, name: str) -> Index:
    return Index(name, collection.vectors.to_metadata(MetaData()).c.key)
