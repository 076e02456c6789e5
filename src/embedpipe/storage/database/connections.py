"""`Connections`: the pools of one database, for threads and for event loops, and how operations run on them."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Generic, TypeVar, TypeVarTuple

from sqlalchemy import URL, Connection, Dialect, Engine, create_engine
from sqlalchemy.exc import DBAPIError

from embedpipe._checks import checked_text, shown
from embedpipe._forking import Lock, PerProcess, leave, register
from embedpipe._threads import cancelled_once
from embedpipe.errors import ConfigurationError, UnknownCommitError
from embedpipe.storage.database import network
from embedpipe.storage.database.errors import reason_of, translated_errors
from embedpipe.storage.database.retrying import Tries
from embedpipe.storage.database.session import DRIVERS, SessionSettings, listen, prepare_given, set_locally
from embedpipe.storage.database.url import Secrets, read_url
from embedpipe.storage.embedded import embedded_url
from embedpipe.storage.tables import enter_tenant

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
E = TypeVar("E")

_SCHEMA_NAME = re.compile(r"\w[\w -]*")
_IN_TRANSACTIONS = "READ COMMITTED"
_MAX_NAME_BYTES = 63  # of any name in PostgreSQL
_POOL: dict[str, Any] = {
    "pool_size": 10,
    "max_overflow": 20,
    "pool_recycle": network.MAX_AGE_S,
    "hide_parameters": True,
}
_COMMIT_UNKNOWN = ("08007", "40003")  # what a pooler or a server says that lost the answer itself


@dataclass(frozen=True, slots=True)
class _Engines(Generic[E]):
    """Two engines on one pool, whose connections stay in autocommit: to set it for each search would take too long."""

    autocommit: E
    transactions: E


class Connections:
    """Connections to one database, with a pool for threads and one for each event loop. See `Database`.

    An operation is a function `op(connection, *args) -> result` on SQLAlchemy's `Connection`, for threads and event
    loops alike: `run` and `read` call it, `arun` and `aread` call it by `run_sync`.
    """

    def __init__(
        self,
        url: str | Engine | AsyncEngine | None = None,
        *,
        schema: str = "embedpipe",
        ef_search: int = 64,
        statement_timeout_s: float | None = None,
        lock_timeout_s: float = 600.0,
        application_name: str = "embedpipe",
        transaction_pooling: bool = False,
    ) -> None:
        # Here and not where it is first needed: while one thread imports SQLAlchemy's ORM, which this brings, the other
        # threads cannot build statements.
        import sqlalchemy.ext.asyncio  # noqa: F401

        self.schema = _checked_schema(schema)
        self.full_at = -inf  # when a write last found the disk full, on the monotonic clock
        self.application_name = checked_text("application_name", application_name, error=ConfigurationError)
        self._settings = SessionSettings(
            ef_search=ef_search,
            statement_timeout_s=statement_timeout_s,
            lock_timeout_s=lock_timeout_s,
            transaction_pooling=transaction_pooling,
        )
        self._given = url is not None
        self._embedded = False
        self._shared = None if url is None or isinstance(url, str) else _checked_engine(url)
        self._secrets = Secrets()
        self._url = self._read(url) if isinstance(url, str) else None
        self._lock = Lock()
        self._engines: PerProcess[_Engines[Engine]] = PerProcess(_dispose)  # a store that is forgotten leaves none open
        self._async_engines: dict[asyncio.AbstractEventLoop, _Engines[AsyncEngine]] = {}
        register(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(schema={self.schema!r})"

    def __reduce__(self) -> Any:
        if self._given:
            raise ConfigurationError(
                "A Database that was given a URL or an engine is not pickled, since the URL would travel with it. Make "
                "one in the other process: without a URL it is what EMBEDPIPE_DATABASE_URL names there, else the "
                "embedded one."
            )
        settings = asdict(self._settings)
        return partial(type(self), schema=self.schema, application_name=self.application_name, **settings), ()

    @property
    def engine(self) -> Engine:
        """The engine that threads share, of READ COMMITTED transactions.

        Raises:
            ConfigurationError: If an engine for event loops was given.
        """
        if self._shared is not None:
            if hasattr(self._shared, "sync_engine"):
                raise ConfigurationError("The Database was given an AsyncEngine. Use the stores' async forms.")
            return self._shared
        return self._engines.get(self._opened).transactions

    def _opened(self) -> _Engines[Engine]:
        with self._lock:
            engine = create_engine(self._resolved_url(), isolation_level="AUTOCOMMIT", **self._options())
        listen(engine, self._settings)
        return _Engines(engine, engine.execution_options(isolation_level=_IN_TRANSACTIONS))

    def async_engine(self) -> AsyncEngine:
        """Return the engine of the running event loop: a pool belongs to one loop.

        Raises:
            ConfigurationError: If an engine for threads was given.
        """
        from sqlalchemy.ext.asyncio import AsyncEngine

        if isinstance(self._shared, AsyncEngine):
            return self._shared
        if self._shared is not None:
            raise ConfigurationError("The Database was given an Engine. Give an AsyncEngine for event loops, or a URL.")
        return self._own_async().transactions

    def _own_async(self) -> _Engines[AsyncEngine]:
        from sqlalchemy.ext.asyncio import create_async_engine  # a tenth of the package's import time

        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._async_engines:
                self._drop_closed_loops()
                engine = create_async_engine(self._resolved_url(), isolation_level="AUTOCOMMIT", **self._options())
                listen(engine.sync_engine, self._settings)
                transactions = engine.execution_options(isolation_level=_IN_TRANSACTIONS)
                self._async_engines[loop] = _Engines(engine, transactions)
            return self._async_engines[loop]

    def run(
        self,
        operation: Callable[[Connection, *Ts], T],
        /,
        *args: *Ts,
        connection: Connection | None = None,
        tenant: str | None = None,
    ) -> T:
        """Run an operation in a transaction, which commits unless the operation raises.

        A connection that turns out to be broken, or read-only since a failover, is replaced, and the operation runs
        once more. If the server ends the transaction for others' sake (a deadlock, a lost race), it runs again a few
        times. If others have locked its tables, it runs again until `lock_timeout_s` have passed.

        Args:
            operation: Called as `operation(connection, *args)`.
            args: Its further arguments.
            connection: Run here instead, once, inside the caller's own transaction, which the caller ends.
            tenant: Whose rows the operation sees and writes.

        Returns:
            What the operation returns.

        Raises:
            UnknownCommitError: If the connection was lost after COMMIT was sent and before it was answered.
        """
        if connection is not None:
            return self._run_on(connection, tenant, operation, *args)
        tries = self._tries()
        while True:
            with tries, self._transaction(tenant) as own:
                return operation(own, *args)
            tries.pause()

    def ensure(self, operation: Callable[[Connection, *Ts], T], /, *args: *Ts) -> T:
        """Run an operation that finds its own work done, and again where its COMMIT was lost."""
        try:
            return self.run(operation, *args)
        except UnknownCommitError:
            return self.run(operation, *args)

    def read(
        self,
        operation: Callable[[Connection, *Ts], T],
        /,
        *args: *Ts,
        connection: Connection | None = None,
        tenant: str | None = None,
    ) -> T:
        """Run an operation that only reads: as `run`, but in autocommit, since each statement is whole by itself."""
        if connection is not None:
            return self._run_on(connection, tenant, operation, *args)
        tries = self._tries()
        while True:
            with tries, self._autocommit(tenant) as own:
                return operation(own, *args)
            tries.pause()

    async def arun(
        self,
        operation: Callable[[Connection, *Ts], T],
        /,
        *args: *Ts,
        connection: AsyncConnection | None = None,
        tenant: str | None = None,
    ) -> T:
        """Do as `run`, on the running event loop."""
        return await cancelled_once(self._aattempt(self._atransaction, tenant, connection, operation, *args))

    async def aensure(self, operation: Callable[[Connection, *Ts], T], /, *args: *Ts) -> T:
        """Do as `ensure`, on the running event loop."""
        try:
            return await self.arun(operation, *args)
        except UnknownCommitError:
            return await self.arun(operation, *args)

    async def aread(
        self,
        operation: Callable[[Connection, *Ts], T],
        /,
        *args: *Ts,
        connection: AsyncConnection | None = None,
        tenant: str | None = None,
    ) -> T:
        """Do as `read`, on the running event loop."""
        return await cancelled_once(self._aattempt(self._aautocommit, tenant, connection, operation, *args))

    async def _aattempt(
        self,
        connected: Callable[[str | None], AbstractAsyncContextManager[AsyncConnection]],
        tenant: str | None,
        given: AsyncConnection | None,
        operation: Callable[[Connection, *Ts], T],
        *args: *Ts,
    ) -> T:
        if given is not None:
            return await given.run_sync(lambda sync: self._run_on(sync, tenant, operation, *args))
        tries = self._tries()
        while True:
            with tries:
                async with connected(tenant) as own:
                    return await own.run_sync(operation, *args)
            await tries.apause()

    def run_alone(self, operation: Callable[[Connection, *Ts], T], /, *args: *Ts) -> T:
        """Run an operation outside of any transaction, for what refuses to stand in one.

        It is run again where others hold what it needs, or where it lost a race.

        Raises:
            ConfigurationError: If the session is shared: a pooler would take it away between two statements, and
                nothing is left in the sessions of a given engine.
        """
        if self._by_transaction:
            raise ConfigurationError(
                "This needs a session of its own, which a pooler in transaction mode and a given engine do not give. "
                "Connect past the pooler, by the URL of the server itself."
            )
        return self.read(operation, *args)

    def _tries(self) -> Tries:
        if self._url is None:
            self._resolved_url()  # says whether it is the embedded server, which is started again where it was stopped
        return Tries(self._settings.lock_timeout_s, embedded=self._embedded)

    @property
    def _by_transaction(self) -> bool:
        """Whether settings are made for each transaction, since the sessions are also others'."""
        return self._settings.transaction_pooling or self._shared is not None

    def _run_on(
        self, given: Connection, tenant: str | None, operation: Callable[[Connection, *Ts], T], *args: *Ts
    ) -> T:
        with translated_errors():
            prepare_given(given, self._settings)
            if tenant is not None:
                enter_tenant(given, tenant)
            return operation(given, *args)

    def _prepare(self, connection: Connection, tenant: str | None) -> None:
        """Set for a transaction what its session does not have."""
        if self._by_transaction:
            set_locally(connection, self._settings)
        if tenant is not None:
            enter_tenant(connection, tenant)

    def _limit_silence(self, connection: Connection) -> None:
        if self._settings.statement_timeout_s is None:
            network.limit_silence(connection, network.SILENCE_S)

    @contextmanager
    def _transaction(self, tenant: str | None) -> Iterator[Connection]:
        """Check out a connection for one transaction, which is committed at the end."""
        with self.engine.connect() as connection:
            self._prepare(connection, tenant)
            yield connection
            with _told_if_unknown():
                connection.commit()

    @contextmanager
    def _autocommit(self, tenant: str | None) -> Iterator[Connection]:
        """Check out a connection in autocommit; in a transaction where something has to be set for it."""
        if tenant is None and not self._by_transaction:
            with self._engines.get(self._opened).autocommit.connect() as connection:
                if self._settings.statement_timeout_s is None:
                    network.limit_silence(connection, network.SILENCE_S)
                yield connection
            return
        with self.engine.begin() as connection:
            self._limit_silence(connection)
            self._prepare(connection, tenant)
            yield connection

    @asynccontextmanager
    async def _atransaction(self, tenant: str | None) -> AsyncIterator[AsyncConnection]:
        async with self._aconnected() as connection:
            await connection.run_sync(self._prepare, tenant)
            yield connection
            with _told_if_unknown():
                await connection.commit()

    @asynccontextmanager
    async def _aautocommit(self, tenant: str | None) -> AsyncIterator[AsyncConnection]:
        if tenant is None and not self._by_transaction:
            async with self._own_async().autocommit.connect() as connection:
                await connection.run_sync(self._limit_silence)
                yield connection
            return
        async with self._aconnected() as connection, connection.begin():
            await connection.run_sync(self._limit_silence)
            await connection.run_sync(self._prepare, tenant)
            yield connection

    @asynccontextmanager
    async def _aconnected(self) -> AsyncIterator[AsyncConnection]:
        if self._shared is not None:
            async with self.async_engine().connect() as connection:
                yield connection
            return
        async with self._own_async().autocommit.connect() as connection:
            # Not by the engine's own options: cancelled at that, it would not give the connection back.
            await connection.execution_options(isolation_level=_IN_TRANSACTIONS)
            yield connection

    def close(self) -> None:
        """Close the connections of threads and of event loops that have ended."""
        self._engines.close()
        with self._lock:
            self._drop_closed_loops()

    async def aclose(self) -> None:
        """Close the connections of the running event loop, and what `close` closes."""
        engines = self._async_engines.pop(asyncio.get_running_loop(), None)
        if engines is not None:
            await engines.autocommit.dispose()
        self.close()

    def after_fork(self) -> None:
        """Leave the pools of event loops, and what a given engine has in its pool, to the parent."""
        leave(self._async_engines)
        self._async_engines = {}
        if self._shared is not None:
            engine = getattr(self._shared, "sync_engine", self._shared)
            leave(engine.pool)
            engine.dispose(close=False)

    def _resolved_url(self) -> URL:
        if self._shared is not None:
            return self._shared.url
        if self._url is None:
            named = os.environ.get("EMBEDPIPE_DATABASE_URL")
            self._embedded = not named
            self._url = self._read(named or embedded_url())
        return self._url

    def _read(self, url: str) -> URL:
        read = read_url(url)
        if read.transaction_pooling:
            self._settings = replace(self._settings, transaction_pooling=True)
        self._secrets = read.secrets
        return read.url

    def _options(self) -> dict[str, Any]:
        """Return the arguments of the engines. A prepared statement lives in a session, and so not behind a pooler."""
        named = {} if "application_name" in self._resolved_url().query else {"application_name": self.application_name}
        unprepared = {"prepare_threshold": None} if self._settings.transaction_pooling else {}
        return {**_POOL, "connect_args": {**self._limits(), **named, **unprepared, **self._secrets}}

    def _limits(self) -> dict[str, str]:
        """Return libpq's parameters for the network that the URL says nothing of."""
        stated = self._resolved_url().query
        return {name: value for name, value in network.parameters().items() if name not in stated}

    def _drop_closed_loops(self) -> None:
        for loop in [loop for loop in self._async_engines if loop.is_closed()]:
            engine = self._async_engines.pop(loop).autocommit
            # A loop may be running in this thread; the driver closes a connection from any other one.
            closer = threading.Thread(target=lambda engine=engine: asyncio.run(engine.dispose()), daemon=True)
            closer.start()
            closer.join(network.CONNECT_S)  # what is not closed by then, the loop's end has closed


def _dispose(engines: _Engines[Engine]) -> None:
    engines.autocommit.dispose()


@contextmanager
def _told_if_unknown() -> Iterator[None]:
    """Turn the loss of the connection during COMMIT into `UnknownCommitError`: to run it again may do it twice."""
    try:
        yield
    except DBAPIError as error:
        if not error.connection_invalidated and getattr(error.orig, "sqlstate", None) not in _COMMIT_UNKNOWN:
            raise
        raise UnknownCommitError(
            f"The connection was lost while the transaction was being committed ({reason_of(error)}) Whether it was "
            "committed is not known. Run the same call again. It is safe to repeat where chunks have ids."
        ) from error.orig


def _checked_engine(engine: Engine | AsyncEngine) -> Engine | AsyncEngine:
    if not isinstance(getattr(engine, "dialect", None), Dialect):
        raise ConfigurationError(f"The database is a {type(engine).__name__}. Pass a postgresql:// URL or an engine.")
    if engine.dialect.driver not in DRIVERS:
        raise ConfigurationError(
            f"The engine is one of {engine.dialect.name} by {engine.dialect.driver}. Give one of postgresql+psycopg://."
        )
    return engine


def _checked_schema(name: object) -> str:
    if not isinstance(name, str) or not _SCHEMA_NAME.fullmatch(name) or len(name.encode()) > _MAX_NAME_BYTES:
        raise ConfigurationError(
            f"schema={shown(name)} cannot be used. Pass a name of letters, digits, underscores, hyphens and spaces, of "
            f"at most {_MAX_NAME_BYTES} bytes."
        )
    return name
