"""Memory and workers for the build of a vector index."""

from __future__ import annotations

import logging
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    bindparam,
    cast,
    func,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError

from embedpipe.storage.database import network
from embedpipe.storage.tables import Collection, ddl, quoted

logger = logging.getLogger(__name__)

BUILD_SETTINGS = ("maintenance_work_mem", "max_parallel_maintenance_workers", "statement_timeout")

_WORKERS = 2
_NO_SHARED_MEMORY = ("53100", "53200")
"""SQLSTATE: disk full and out of memory, which is what the server says of /dev/shm."""


def give_resources(connection: Connection, collection: Collection, *, local: bool) -> None:
    """Set the memory and the workers that a build needs, and no timeout. `local` sets them for the transaction alone.

    pgvector builds an index much faster if it fits into maintenance_work_mem. That becomes at least the server's own
    setting, and at most a quarter of what the server expects the system to cache (effective_cache_size).
    """
    network.wait_for_ever(connection)
    connection.execute(select(func.set_config("statement_timeout", "0", local)))
    rows = count_vectors(connection, collection)
    size = 4 if collection.precision == "float32" else 2
    needed = collection.index.memory_bytes(rows, collection.model.dimensions * size // 4)
    own, cache = _bytes("maintenance_work_mem"), _bytes("effective_cache_size")
    memory = func.greatest(own, func.least(bindparam("needed", needed, type_=BigInteger()), cache / 4)) / 1024
    workers = cast(func.current_setting("max_parallel_maintenance_workers"), Integer)
    values: tuple[ColumnElement[Any], ...] = (cast(memory, BigInteger), func.greatest(workers, _WORKERS))
    units = ("kB", "")
    settings = [
        func.set_config(name, func.concat(value, unit), local)
        for name, value, unit in zip(BUILD_SETTINGS[:2], values, units, strict=True)
    ]
    connection.execute(select(*settings))


def count_vectors(connection: Connection, collection: Collection) -> int:
    """Count the vectors. Those of all tenants, which no query sees, are estimated by the planner's statistics."""
    if not collection.tenants:
        return connection.scalar(select(func.count()).select_from(collection.vectors)) or 0
    connection.execute(ddl("ANALYZE %(fullname)s", collection.vectors))
    estimate = text("SELECT reltuples::bigint FROM pg_class WHERE oid = CAST(:vectors AS regclass)")
    rows: int = connection.execute(estimate, {"vectors": quoted(connection, collection.vectors)}).scalar_one()
    return rows


def _bytes(setting: str) -> Any:
    return func.pg_size_bytes(func.current_setting(setting), type_=BigInteger())


def use_one_worker(connection: Connection, *, local: bool) -> None:
    """Have the next build run without parallel workers, which need shared memory."""
    logger.warning("The server lacks shared memory for a parallel build of the vector index. One worker builds it.")
    connection.execute(select(func.set_config("max_parallel_maintenance_workers", "0", local)))


def lacks_shared_memory(error: DBAPIError) -> bool:
    """Return whether a build failed because its parallel workers found no room in shared memory."""
    return getattr(error.orig, "sqlstate", None) in _NO_SHARED_MEMORY and "shared memory" in str(error.orig)
