"""Sessions: connections made ready for use, with pgvector's types known to the driver and the settings for searches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, TypeVarTuple

from sqlalchemy import Connection, Engine, event

from embedpipe._checks import MOST_SECONDS, Bounds, check_fields
from embedpipe._forking import cut_in_children
from embedpipe._threads import in_thread
from embedpipe.errors import ConfigurationError
from embedpipe.storage.database import network
from embedpipe.storage.types import register_types

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

DRIVERS = ("psycopg", "psycopg_async")

_KNOWS_TYPES, _IS_SET = "embedpipe_types", "embedpipe_set"

_VECTOR_TYPES = """
SELECT type.typname, type.oid, type.typarray
FROM pg_extension AS extension JOIN pg_type AS type ON type.typnamespace = extension.extnamespace
WHERE extension.extname = 'vector' AND type.typname IN ('vector', 'halfvec')
"""
_SETTINGS = """
SELECT set_config('search_path', CASE WHEN nspname = ANY (current_schemas(false)) THEN current_setting('search_path')
           ELSE concat_ws(', ', nullif(current_setting('search_path'), ''), quote_ident(nspname)) END, %(local)s),
       set_config('hnsw.ef_search', %(ef_search)s, %(local)s),
       set_config('hnsw.iterative_scan', 'relaxed_order', %(local)s),
       set_config('ivfflat.iterative_scan', 'relaxed_order', %(local)s),
       set_config('statement_timeout', coalesce(%(timeout)s, current_setting('statement_timeout')), %(local)s),
       set_config('lock_timeout', coalesce(%(lock_timeout)s, current_setting('lock_timeout')), %(local)s)
FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'vector'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """The settings for searches. They are set for the session, or for each transaction where the session is shared."""

    ef_search: int = 64
    statement_timeout_s: float | None = None
    lock_timeout_s: float = 600.0
    transaction_pooling: bool = False

    def __post_init__(self) -> None:
        seconds = Bounds(above=0, most=MOST_SECONDS)
        check_fields(self, {"ef_search": Bounds(1, 1000), "statement_timeout_s": seconds, "lock_timeout_s": seconds})

    @property
    def answer_s(self) -> float | None:
        """Seconds that the client waits for an answer, since the server should have ended the statement by then."""
        return None if self.statement_timeout_s is None else self.statement_timeout_s + network.GRACE_S

    def values(self, *, local: bool, timeout: bool = True) -> dict[str, Any]:
        """Return what the statement that sets them is bound to."""
        return {
            "ef_search": str(self.ef_search),
            "local": local,
            "timeout": _milliseconds(self.statement_timeout_s if timeout else None),
            "lock_timeout": _milliseconds(self.lock_timeout_s if timeout else None),
        }


def _milliseconds(seconds: float | None) -> str | None:
    return None if seconds is None else str(max(round(seconds * 1000), 1))


def listen(engine: Engine, settings: SessionSettings) -> None:
    """Prepare each connection that the engine opens."""

    def prepare(connection: Any, record: Any) -> None:
        cut_in_children(record.driver_connection)
        try:
            before, connection.autocommit = connection.autocommit, True
            cursor = connection.cursor()
            cursor.execute(_VECTOR_TYPES)
            if _register(record.driver_connection, cursor.fetchall()):
                record.info[_KNOWS_TYPES] = True
                if not settings.transaction_pooling:
                    cursor.execute(_SETTINGS, settings.values(local=False))
                    record.info[_IS_SET] = True
            if not settings.transaction_pooling:
                cursor.execute(network.FOR_SERVER)
            cursor.close()
            connection.autocommit = before
        except BaseException:
            record.driver_connection.pgconn.finish()  # no pool of SQLAlchemy 2.0 would close it
            raise
        network.set_limits(record.driver_connection, answer_s=settings.answer_s)

    event.listen(engine, "connect", prepare)
    network.listen(engine, answer_s=settings.answer_s)
    event.listen(engine, "checkin", _drop_unprepared)


def _drop_unprepared(connection: Any, record: Any) -> None:
    """Close a connection that was opened before the extension was created, so that the next one knows its types."""
    if connection is not None and _KNOWS_TYPES not in record.info:
        record.invalidate()


def set_locally(connection: Connection, settings: SessionSettings) -> None:
    """Set what searches need until the transaction ends, and have the driver know pgvector's types."""
    _learn_types(connection)
    connection.exec_driver_sql(_SETTINGS, settings.values(local=True))


def prepare_given(connection: Connection, settings: SessionSettings) -> None:
    """Prepare a caller's connection, which may know neither pgvector's types nor its schema yet.

    What is set there ends with the caller's transaction; a connection in autocommit has none, and keeps it.
    """
    if not isinstance(connection, Connection):
        raise ConfigurationError(
            f"connection= is a {type(connection).__name__}. Pass a Connection of SQLAlchemy, which is in a transaction."
        )
    if connection.dialect.driver not in DRIVERS:
        raise ConfigurationError(
            f"connection= is one of {connection.dialect.driver}. Pass a connection of postgresql+psycopg://."
        )
    _learn_types(connection)
    driver: Any = connection.connection.driver_connection
    if _IS_SET not in connection.info:
        connection.exec_driver_sql(_SETTINGS, settings.values(local=not driver.autocommit, timeout=False))


def run_off_loop(connection: Connection, function: Callable[[*Ts], T], *args: *Ts) -> T:
    """Return what the function returns; where an event loop would wait for it, it runs in a thread meanwhile."""
    adapted: Any = connection.connection.dbapi_connection
    if not hasattr(adapted, "run_async"):
        return function(*args)
    answer: T = adapted.run_async(lambda _: in_thread(function, *args))
    return answer


def _learn_types(connection: Connection) -> None:
    driver: Any = connection.connection.driver_connection
    if _KNOWS_TYPES not in connection.info and _register(driver, connection.exec_driver_sql(_VECTOR_TYPES).all()):
        connection.info[_KNOWS_TYPES] = True


def _register(driver: Any, rows: Any) -> bool:
    """Teach the driver connection pgvector's types. Return whether pgvector is there."""
    if rows:
        register_types(driver, [tuple(row) for row in rows])
    return bool(rows)
