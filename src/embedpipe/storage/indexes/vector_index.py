"""Builds the vector index, at once or beside other writers, tells how far it is, and drops it.

An index is named by how it is built, so that one of another kind is built beside the one that searches use, which goes
only when the new one is there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVarTuple

from sqlalchemy import (
    DDL,
    BigInteger,
    ColumnElement,
    Connection,
    Index,
    Integer,
    MetaData,
    bindparam,
    cast,
    false,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateIndex, DropIndex

from embedpipe._threads import Stopped, check_stopped, is_stoppable
from embedpipe.metrics.spans import carried
from embedpipe.storage.database import Connections, locks, network
from embedpipe.storage.indexes.states import has_index, index_states
from embedpipe.storage.search import lookup
from embedpipe.storage.tables import Collection, VectorIndex, catalogue, lexical_tables, quoted

Ts = TypeVarTuple("Ts")

logger = logging.getLogger(__name__)

_ANALYZE: Any = DDL("ANALYZE %(fullname)s")  # type: ignore[no-untyped-call]  # SQLAlchemy leaves DDL untyped
_CLEAN = text("""
SELECT gin_clean_pending_list(pg_class.oid) FROM pg_index
JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_am ON pg_am.oid = relam
WHERE amname = 'gin' AND indrelid = to_regclass(:indexed) AND pg_has_role(relowner, 'USAGE')
""")
_POLL_S = 0.1
_WORKERS = 2
_SETTINGS = ("maintenance_work_mem", "max_parallel_maintenance_workers", "statement_timeout")
_NO_SHARED_MEMORY = ("53100", "53200")


@dataclass(frozen=True, slots=True)
class IndexProgress:
    """How far the building of an index is: PostgreSQL's name of the phase, and the part of it that is done, 0 to 1.

    `done` is None in phases that PostgreSQL does not measure; the last report has the phase "finished".
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
    """Build the vector index; None keeps the one that is there, else builds what the catalogue has.

    `on_progress` is called from this thread while another one builds. If it raises, the build is cancelled.
    """
    session = _Session()
    work = partial(_build, database, session, collection, index, concurrently=concurrently)
    if on_progress is None and not is_stoppable():
        work()
        return
    with ThreadPoolExecutor(1) as pool:
        building = pool.submit(carried(work))
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
    """The session that builds, to be found by whoever cancels the build."""

    pid: int | None = None
    cancelled: bool = False

    def begin(self, connection: Connection) -> None:
        """Note who builds from now on. Ends the build where it was cancelled while it waited."""
        if self.cancelled:
            raise Stopped
        self.pid = connection.scalar(select(func.pg_backend_pid()))


def _build(
    database: Connections, session: _Session, collection: Collection, index: VectorIndex | None, *, concurrently: bool
) -> None:
    if concurrently:
        database.run_alone(_build_beside, session, database, collection, index)
        return
    # A transaction for each step: a build of hours holds only the locks that it needs.
    database.run(_in_session, session, drop_invalid, collection)
    database.run(_in_session, session, build, collection, index)
    database.run(_in_session, session, drop_others, collection)
    database.run(_in_session, session, analyze, collection)


def _in_session(connection: Connection, session: _Session, step: Callable[[Connection, *Ts], None], *args: *Ts) -> None:
    session.begin(connection)
    step(connection, *args)


def build(connection: Connection, collection: Collection, index: VectorIndex | None) -> None:
    """Build the vector index while writers wait, unless it is there. `drop_invalid` goes before."""
    locks.claim(connection, collection)
    if _is_there(connection, collection, index):
        return
    wanted = _wanted(connection, collection, index)
    if not has_index(connection, wanted):
        _give_resources(connection, wanted, local=True)
        create = CreateIndex(wanted.index_definition())
        try:
            with connection.begin_nested():
                connection.execute(create)
        except DBAPIError as error:
            if not _lacks_shared_memory(error):
                raise
            _work_alone(connection, local=True)
            connection.execute(create)
    catalogue.set_index(connection, wanted, wanted.index)


def is_wanted(connection: Connection, collection: Collection, min_rows: int) -> tuple[bool, bool]:
    """Whether there is a vector index, and whether one is to be built: of so many rows, where the role may."""
    if has_index(connection, collection):
        return True, False
    if lookup.count(connection, collection) < min_rows:
        return False, False
    owner = text("SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = CAST(:vectors AS regclass)")
    if connection.execute(owner, {"vectors": quoted(connection, collection.vectors)}).scalar_one():
        return False, True
    logger.warning(
        "Collection %r is large enough for a vector index, which only the owner of its tables may build: "
        "have the owner call create_index()",
        collection.name,
    )
    return False, False


def _build_beside(
    connection: Connection, session: _Session, database: Connections, collection: Collection, index: VectorIndex | None
) -> None:
    """Build while others write. What a failure leaves is dropped.

    What changes more than the index runs in transactions of their own, under the claim of this connection.
    """
    session.begin(connection)
    with locks.claimed(connection, collection):
        if _is_there(connection, collection, index):
            return
        database.run(_drop_where, collection, lambda _, valid: not valid)
        wanted = database.run(_wanted, collection, index)
        try:
            _create_beside(connection, wanted)
        except BaseException:
            database.run(_drop_where, wanted, lambda _, valid: not valid)
            raise
        database.run(catalogue.set_index, wanted, wanted.index)
        database.run(_drop_where, wanted, lambda name, _: name != wanted.vector_index)
        database.run(_analyze, wanted)


def _create_beside(connection: Connection, wanted: Collection) -> None:
    create = CreateIndex(wanted.index_definition(concurrently=True), if_not_exists=True)
    before = connection.execute(select(*[func.current_setting(name) for name in _SETTINGS])).one()
    try:
        _give_resources(connection, wanted, local=False)
        try:
            connection.execute(create)
        except DBAPIError as error:
            if not _lacks_shared_memory(error):
                raise
            connection.execute(DropIndex(_named(wanted, wanted.vector_index), if_exists=True))
            _work_alone(connection, local=False)
            connection.execute(create)
    finally:
        if not connection.invalidated:
            pairs = zip(_SETTINGS, before, strict=True)
            connection.execute(select(*[func.set_config(name, value, false()) for name, value in pairs]))


def _wanted(connection: Connection, collection: Collection, index: VectorIndex | None) -> Collection:
    """The collection as it will be: with the wanted index, its lists counted out."""
    wanted = index or collection.index
    wanted.check(collection.model.dimensions, collection.precision)
    if _is_there(connection, collection, index):
        return collection
    return replace(collection, index=wanted.sized(_rows(connection, collection)))


def _is_there(connection: Connection, collection: Collection, index: VectorIndex | None) -> bool:
    wanted = index or collection.index
    return wanted.is_met_by(collection.index) and has_index(connection, collection)


def drop_invalid(connection: Connection, collection: Collection) -> None:
    """Drop indexes that a failed build left. None is being built, since that would hold the claim."""
    locks.claim(connection, collection)
    _drop_where(connection, collection, lambda _, valid: not valid)


def drop_others(connection: Connection, collection: Collection) -> None:
    """Drop the indexes that searches do not use any more."""
    locks.claim(connection, collection)
    active = catalogue.embedding_version(connection, collection)
    if active is not None and has_index(connection, active):
        _drop_where(connection, active, lambda name, _: name != active.vector_index)


def _drop_where(connection: Connection, collection: Collection, goes: Callable[[str, bool], bool]) -> list[str]:
    """Drop those vector indexes that `goes(name, valid)` is true of."""
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
    """Bring the planner's statistics up to date, which decide between the index and an exact scan under a filter.

    Also files what writers left beside the GIN indexes, which every search would else read from end to end. A table of
    which an index is being built is left out, since that ends with statistics of its own.
    """
    _analyze(connection, collection, "(SKIP_LOCKED) " if locks.is_claimed(connection, collection) else "")


def _analyze(connection: Connection, collection: Collection, option: str = "") -> None:
    tables = [collection.chunks, collection.vectors]
    for table in [*tables, lexical_tables(collection).index] if collection.lexical else tables:
        connection.execute(_CLEAN, {"indexed": quoted(connection, table)})
        statement: Any = DDL("ANALYZE %(option)s%(fullname)s", context={"option": option})  # type: ignore[no-untyped-call]  # SQLAlchemy leaves DDL untyped
        connection.execute(statement.against(table))


def _give_resources(connection: Connection, wanted: Collection, *, local: bool) -> None:
    """Memory for what is built, up to a quarter of what the server counts on for caching, and workers; no timeout."""
    network.wait_for_ever(connection)
    rows = _rows(connection, wanted)
    size = 4 if wanted.precision == "float32" else 2
    needed = wanted.index.memory_bytes(rows, wanted.model.dimensions * size // 4)
    own, cache = _bytes("maintenance_work_mem"), _bytes("effective_cache_size")
    memory = func.greatest(own, func.least(bindparam("needed", needed, type_=BigInteger()), cache / 4)) / 1024
    workers = cast(func.current_setting("max_parallel_maintenance_workers"), Integer)
    values: tuple[ColumnElement[Any], ...] = (
        cast(memory, BigInteger),
        func.greatest(workers, _WORKERS),
        literal_column("0"),
    )
    units = ("kB", "", "")
    settings = [
        func.set_config(name, func.concat(value, unit), local)
        for name, value, unit in zip(_SETTINGS, values, units, strict=True)
    ]
    connection.execute(select(*settings))


def _rows(connection: Connection, collection: Collection) -> int:
    """How many vectors there are; of all tenants, which no query sees, by the planner's statistics."""
    if not collection.tenants:
        return connection.scalar(select(func.count()).select_from(collection.vectors)) or 0
    connection.execute(_ANALYZE.against(collection.vectors))
    estimate = text("SELECT reltuples::bigint FROM pg_class WHERE oid = CAST(:vectors AS regclass)")
    rows: int = connection.execute(estimate, {"vectors": quoted(connection, collection.vectors)}).scalar_one()
    return rows


def _bytes(setting: str) -> Any:
    return func.pg_size_bytes(func.current_setting(setting), type_=BigInteger())


def _work_alone(connection: Connection, *, local: bool) -> None:
    logger.warning("The server lacks shared memory for a parallel build of the vector index: one worker builds it")
    connection.execute(select(func.set_config("max_parallel_maintenance_workers", "0", local)))


def _lacks_shared_memory(error: DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) in _NO_SHARED_MEMORY and "shared memory" in str(error.orig)


def _progress(connection: Connection, collection: Collection) -> IndexProgress | None:
    statement = text(
        "SELECT phase, blocks_done::float / nullif(blocks_total, 0) AS done FROM pg_stat_progress_create_index "
        "WHERE relid = to_regclass(:vectors)"
    )
    row = connection.execute(statement, {"vectors": quoted(connection, collection.vectors)}).first()
    return None if row is None else IndexProgress(row.phase, row.done)


def _cancel(connection: Connection, session: _Session) -> None:
    """Ends the statement that builds, or waits for the lock to; not those that clean up after it."""
    statement = text(
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity "
        "WHERE pid = :pid AND state = 'active' AND query ~ 'CREATE INDEX'"
    )
    connection.execute(statement, {"pid": session.pid})


def _named(collection: Collection, name: str) -> Index:
    return Index(name, collection.vectors.to_metadata(MetaData()).c.key)
