"""Connections: one database, reached from threads and from event loops."""

from __future__ import annotations

import asyncio
import os
import re
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import unquote

from sqlalchemy import URL, Connection, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from embedpipe._forking import Lock, PerProcess, leave, register
from embedpipe._threads import cancelled_once, check_stopped
from embedpipe.errors import ConfigurationError, UnknownCommitError
from embedpipe.storage.database import network
from embedpipe.storage.database.errors import reason_of, translated_errors
from embedpipe.storage.database.retrying import InUseError, RaceError, Tries
from embedpipe.storage.database.session import DRIVERS, SessionSettings, listen, run_on, set_locally
from embedpipe.storage.embedded import SUPERUSER, embedded_url

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from embedpipe.storage.admin import CollectionInfo, Diagnosis

T = TypeVar("T")
E = TypeVar("E")

_SCHEMES = ("postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2", "postgresql+asyncpg")
_SCHEMA_NAME = re.compile(r"\w[\w -]*")
_SEVERAL_HOSTS = re.compile(r"(\w[\w+]*://(?:[^/?@]*@)?)([^/?@]*,[^/?@]*)((?:/[^?@]*)?(?:\?.*)?)", re.DOTALL)
_PLACE = re.compile(r"(\[[^]]+\]|[^:]+)(?::(\d*))?")
_IN_TRANSACTIONS = "READ COMMITTED"
_MAX_NAME_BYTES = 63  # of any name in PostgreSQL
_POOL: dict[str, Any] = {
    "pool_size": 10,
    "max_overflow": 20,
    "pool_recycle": network.MAX_AGE_S,
    "hide_parameters": True,
}
SECRET_OPTIONS = frozenset({"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"})
"""libpq's options that are secrets."""
_COMMIT_UNKNOWN = ("08007", "40003")  # what a pooler or a server says that lost the answer itself


@dataclass(frozen=True, slots=True)
class _Engines(Generic[E]):
    """Two engines on one pool, whose connections stay in autocommit: to set it for each search would take too long."""

    autocommit: E
    transactions: E


class _Secrets(dict[str, Any]):
    def __repr__(self) -> str:
        return f"_Secrets({', '.join(self)})"


class Database:
    """One PostgreSQL database, with a pool for threads and one for each event loop.

    `url` is any `postgresql://` URL; None means the environment's `EMBEDPIPE_DATABASE_URL`, else the embedded server,
    which is started when the first connection is made. An engine of `postgresql+psycopg://` does as well: an `Engine`
    for threads, an `AsyncEngine` for its event loop; nothing is left in its sessions, and it is not closed. `schema` is
    where the tables lie, `ef_search` how many candidates an index search looks at (more is slower and finds more).
    `statement_timeout_s` ends what takes longer, but for building indexes; a server that does not do so in time is
    given up. Without it a read is given up after a minute without a word. `lock_timeout_s` is how long an operation
    waits for what others have locked. libpq's parameters for the network have defaults, which the URL may change; an
    engine that is given has its own. `transaction_pooling` says that the URL is a pooler's that shares sessions by
    transaction (PgBouncer, Supavisor), as `?pgbouncer=true` in the URL does: then nothing is left in a session, at the
    price of a round trip. The URL appears in no repr, message or pickle.
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
        self.application_name = application_name
        self._settings = SessionSettings(
            ef_search=ef_search,
            statement_timeout_s=statement_timeout_s,
            lock_timeout_s=lock_timeout_s,
            transaction_pooling=transaction_pooling,
        )
        self._given = url is not None
        self._embedded = False
        self._shared = None if url is None or isinstance(url, str) else _checked_engine(url)
        self._secrets = _Secrets()
        """libpq's secrets but for the password: in the URL, the engine's repr would show them."""
        self._url = self._parsed(url) if isinstance(url, str) else None
        self._lock = Lock()
        self._engines: PerProcess[_Engines[Engine]] = PerProcess(_dispose)  # a store that is forgotten leaves none open
        self._async_engines: dict[asyncio.AbstractEventLoop, _Engines[AsyncEngine]] = {}
        register(self)

    def __repr__(self) -> str:
        return f"Database(schema={self.schema!r})"

    def __reduce__(self) -> Any:
        if self._given:
            raise ConfigurationError(
                "A Database that was given a URL or an engine is not pickled, since the URL would travel with it. Make "
                "one in the other process: without a URL it is what EMBEDPIPE_DATABASE_URL names there, else the "
                "embedded one."
            )
        settings = asdict(self._settings)
        return partial(Database, schema=self.schema, application_name=self.application_name, **settings), ()

    @property
    def engine(self) -> Engine:
        """The engine that threads share, of READ COMMITTED transactions.

        Raises `ConfigurationError` where an engine for event loops was given.
        """
        if self._shared is not None:
            if hasattr(self._shared, "sync_engine"):
                raise ConfigurationError("The Database was given an AsyncEngine: use the stores' async forms.")
            return self._shared
        return self._own().transactions

    def _own(self) -> _Engines[Engine]:
        return self._engines.get(self._opened)

    def _opened(self) -> _Engines[Engine]:
        with self._lock:
            engine = create_engine(self._resolved_url(), isolation_level="AUTOCOMMIT", **self._options())
        listen(engine, self._settings)
        return _Engines(engine, engine.execution_options(isolation_level=_IN_TRANSACTIONS))

    def async_engine(self) -> AsyncEngine:
        """The engine of the running event loop: a pool belongs to one loop.

        Raises `ConfigurationError` where an engine for threads was given.
        """
        from sqlalchemy.ext.asyncio import AsyncEngine

        if isinstance(self._shared, AsyncEngine):
            return self._shared
        if self._shared is not None:
            raise ConfigurationError("The Database was given an Engine: give an AsyncEngine for event loops, or a URL.")
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

    def run(self, operation: Callable[..., T], /, *args: Any, connection: Connection | None = None) -> T:
        """Return what the operation returns, run in a transaction that commits unless it raises.

        With a `connection` it runs there, inside the caller's transaction, which the caller ends. Else a connection
        that turns out to be broken, or read-only since a failover, is replaced, and the operation is run once more. A
        transaction that the server has ended for others' sake (a deadlock, a lost race) is run again a few times, and
        one that finds tables locked for `lock_timeout_s`.

        Raises:
            UnknownCommitError: If the connection was lost after COMMIT was sent and before it was answered.
        """
        answer: T = self._answer(self._transaction, operation, args, connection)
        return answer

    def ensure(self, operation: Callable[..., T], /, *args: Any) -> T:
        """As `run`, for what finds its own work done: it is run again where its COMMIT was lost."""
        try:
            return self.run(operation, *args)
        except UnknownCommitError:
            return self.run(operation, *args)

    def read(self, operation: Callable[..., T], /, *args: Any, connection: Connection | None = None) -> T:
        """As `run`, but without a transaction of its own: for a single statement that only reads."""
        answer: T = self._answer(self._autocommit, operation, args, connection)
        return answer

    def read_in_transaction(
        self, operation: Callable[..., T], /, *args: Any, connection: Connection | None = None
    ) -> T:
        """As `read`, for what sets something for its transaction."""
        answer: T = self._answer(self._reading, operation, args, connection)
        return answer

    async def arun(self, operation: Callable[..., T], /, *args: Any, connection: AsyncConnection | None = None) -> T:
        """As `run`, on the running event loop."""
        answer: T = await cancelled_once(self._aanswer(self._atransaction, operation, args, connection))
        return answer

    async def aensure(self, operation: Callable[..., T], /, *args: Any) -> T:
        """As `ensure`, on the running event loop."""
        try:
            return await self.arun(operation, *args)
        except UnknownCommitError:
            return await self.arun(operation, *args)

    async def aread(self, operation: Callable[..., T], /, *args: Any, connection: AsyncConnection | None = None) -> T:
        """As `read`, on the running event loop."""
        answer: T = await cancelled_once(self._aanswer(self._aautocommit, operation, args, connection))
        return answer

    async def aread_in_transaction(
        self, operation: Callable[..., T], /, *args: Any, connection: AsyncConnection | None = None
    ) -> T:
        """As `read_in_transaction`, on the running event loop."""
        answer: T = await cancelled_once(self._aanswer(self._areading, operation, args, connection))
        return answer

    def run_alone(self, operation: Callable[..., T], /, *args: Any) -> T:
        """Return what the operation returns, run outside of any transaction: for what refuses to stand in one.

        It is run again where others hold what it needs, or where it lost a race.

        Raises `ConfigurationError` behind a pooler, which would take the session away between two statements, and on a
        given engine, in whose sessions nothing is left.
        """
        if self._by_transaction:
            raise ConfigurationError(
                "This needs a session of its own, which a pooler in transaction mode and a given engine do not give. "
                "Connect past the pooler, by the URL of the server itself."
            )
        answer: T = self._answer(self._autocommit, operation, args, None)
        return answer

    def _answer(self, run: Callable[..., Any], operation: Callable[..., T], args: Any, given: Connection | None) -> Any:
        with translated_errors():
            if given is not None:
                return run_on(given, self._settings, operation, *args)
            tries, replaced = Tries(self._settings.lock_timeout_s), False
            while True:
                try:
                    return run(operation, args)
                except (DBAPIError, InUseError, RaceError) as error:
                    pause = tries.after(error)
                    if pause is None:
                        if replaced or not self._replaceable(error):
                            raise
                        pause, replaced = 0, True
                check_stopped()
                time.sleep(pause)

    async def _aanswer(
        self, run: Callable[..., Awaitable[Any]], operation: Callable[..., T], args: Any, given: AsyncConnection | None
    ) -> Any:
        with translated_errors():
            if given is not None:
                return await given.run_sync(run_on, self._settings, operation, *args)
            tries, replaced = Tries(self._settings.lock_timeout_s), False
            while True:
                try:
                    return await run(operation, args)
                except (DBAPIError, InUseError, RaceError) as error:
                    pause = tries.after(error)
                    if pause is None:
                        if replaced or not self._replaceable(error):
                            raise
                        pause, replaced = 0, True
                await asyncio.sleep(pause)

    def _replaceable(self, error: Exception) -> bool:
        """Whether another try may find a connection: the old one broke, or the embedded server was stopped.

        An answer that did not come in time has used up the time for all tries.
        """
        if not isinstance(error, DBAPIError) or isinstance(error.orig, network.NoAnswerError):
            return False
        broken = error.connection_invalidated or (self._embedded and error.statement is None)
        if broken and self._embedded:
            embedded_url()  # starts the server where it does not run; its address stays the same
        return broken

    def _transaction(self, operation: Callable[..., T], args: Any) -> T:
        with self.engine.connect() as connection:
            answer = self._settled(connection, operation, *args)
            with _told_if_unknown():
                connection.commit()
            return answer

    @property
    def _by_transaction(self) -> bool:
        """Whether settings are made for each transaction, since the sessions are also others'."""
        return self._settings.transaction_pooling or self._shared is not None

    def _settled(self, connection: Connection, operation: Callable[..., T], *args: Any) -> T:
        if self._by_transaction:
            set_locally(connection, self._settings)
        return operation(connection, *args)

    def _read(self, connection: Connection, operation: Callable[..., T], *args: Any) -> T:
        if self._settings.answer_s is None:
            network.limit_silence(connection, network.SILENCE_S)
        return operation(connection, *args)

    def _reading(self, operation: Callable[..., T], args: Any) -> T:
        with self.engine.begin() as connection:
            answer: T = self._settled(connection, self._read, operation, *args)
            return answer

    def _autocommit(self, operation: Callable[..., T], args: Any) -> T:
        if self._by_transaction:
            return self._reading(operation, args)
        with self._own().autocommit.connect() as connection:
            return self._read(connection, operation, *args)

    async def _atransaction(self, operation: Callable[..., T], args: Any) -> T:
        async with self._aconnected() as connection:
            answer = await connection.run_sync(self._settled, operation, *args)
            with _told_if_unknown():
                await connection.commit()
            return answer

    async def _areading(self, operation: Callable[..., T], args: Any) -> T:
        async with self._aconnected() as connection, connection.begin():
            return await connection.run_sync(self._settled, self._read, operation, *args)

    @asynccontextmanager
    async def _aconnected(self) -> AsyncIterator[AsyncConnection]:
        """Check out a connection for one transaction."""
        if self._shared is not None:
            async with self.async_engine().connect() as connection:
                yield connection
            return
        async with self._own_async().autocommit.connect() as connection:
            # Not by the engine's own options: cancelled at that, it would not give the connection back.
            await connection.execution_options(isolation_level=_IN_TRANSACTIONS)
            yield connection

    async def _aautocommit(self, operation: Callable[..., T], args: Any) -> T:
        if self._by_transaction:
            return await self._areading(operation, args)
        async with self._own_async().autocommit.connect() as connection:
            return await connection.run_sync(self._read, operation, *args)

    def collections(self) -> list[CollectionInfo]:
        """Every collection of the schema with its model and size, in the order of the names."""
        from embedpipe.storage.admin import list_collections  # which stands on this module

        return self.read(list_collections, self.schema)

    async def acollections(self) -> list[CollectionInfo]:
        """As `collections`, on the running event loop."""
        from embedpipe.storage.admin import list_collections  # which stands on this module

        return await self.aread(list_collections, self.schema)

    def dump(self, path: Path) -> None:
        """Writes a copy of the schema to a file: SQL, or what pg_restore reads where its name ends in `.dump`."""
        from embedpipe.storage.admin import dump  # which stands on this module

        url = self._resolved_url().update_query_dict(self._limits())
        if self._embedded:
            url = url.set(username=SUPERUSER)  # as pg_dump refuses to leave out what row security hides from a role
        dump(url.update_query_dict(self._secrets), path, self.schema, lock_timeout_s=self._settings.lock_timeout_s)

    def diagnose(self) -> Diagnosis:
        """What the schema holds, whether it is whole, and whether indexes serve its searches; nothing is changed."""
        from embedpipe.storage.admin import diagnose  # which stands on this module

        return self.read(diagnose, self.schema)

    async def adiagnose(self) -> Diagnosis:
        """As `diagnose`, on the running event loop."""
        from embedpipe.storage.admin import diagnose  # which stands on this module

        return await self.aread(diagnose, self.schema)

    def close(self) -> None:
        """Closes the connections of threads and of event loops that have ended."""
        self._engines.close()
        with self._lock:
            self._drop_closed_loops()

    async def aclose(self) -> None:
        """Closes the connections of the running event loop, and what `close` closes."""
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
            self._url = self._parsed(named or embedded_url())
        return self._url

    def _parsed(self, url: str) -> URL:
        parsed = _parse_url(url)
        pooled = parsed.query.get("pgbouncer")
        if pooled not in (None, "true", "false"):
            raise ConfigurationError(f"The database URL expected pgbouncer=true or false, got {pooled!r}.")
        if pooled == "true":
            self._settings = replace(self._settings, transaction_pooling=True)
        hidden = {name: value for name, value in parsed.query.items() if name in SECRET_OPTIONS}
        password = hidden.pop("password", None)
        if password is not None:
            parsed = parsed.set(password=password if isinstance(password, str) else password[-1])
        self._secrets = _Secrets(hidden)
        return parsed.difference_update_query(["pgbouncer", "password", *hidden])

    def _options(self) -> dict[str, Any]:
        """Arguments of the engines. A prepared statement lives in a session, and so not behind a pooler."""
        named = {} if "application_name" in self._resolved_url().query else {"application_name": self.application_name}
        unprepared = {"prepare_threshold": None} if self._settings.transaction_pooling else {}
        return {**_POOL, "connect_args": {**self._limits(), **named, **unprepared, **self._secrets}}

    def _limits(self) -> dict[str, str]:
        """libpq's parameters for the network that the URL says nothing of."""
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
    if engine.dialect.driver not in DRIVERS:
        raise ConfigurationError(
            f"Expected an engine of postgresql+psycopg://, got one of {engine.dialect.name} by {engine.dialect.driver}."
        )
    return engine


def _checked_schema(name: str) -> str:
    if not _SCHEMA_NAME.fullmatch(name) or len(name.encode()) > _MAX_NAME_BYTES:
        raise ConfigurationError(
            f"schema expected a name of letters, digits, underscores, hyphens and spaces, at most {_MAX_NAME_BYTES} "
            f"bytes, got {name!r:.100}."
        )
    return name


def _parse_url(url: str) -> URL:
    if url.partition("?")[0].count("@") > 1:
        raise ConfigurationError(
            "The database URL has more than one @. Percent-encode the password: @ is %40, / is %2F, : is %3A."
        )
    url, hosts = _hosts_apart(url)
    cut = "\x00" in unquote(url)  # libpq would take what stands before it, and another server's address then
    try:
        parsed = None if cut else make_url(url).update_query_dict(hosts)
    except (ArgumentError, ValueError):
        parsed = None
    if parsed is None or _has_login(parsed.database):
        raise ConfigurationError(  # SQLAlchemy's own message may quote the URL, so it is not chained
            "The database URL cannot be read; expected postgresql://user:password@host:port/name, with @, / and : "
            "percent-encoded in each part (%40, %2F, %3A) and without the character 0."
        )
    if parsed.drivername not in _SCHEMES:
        raise ConfigurationError(
            f"Expected a postgresql:// database URL, got one that starts with {parsed.drivername}://. "
            "embedpipe stores in PostgreSQL with pgvector."
        )
    return parsed.set(drivername="postgresql+psycopg")


def _has_login(database: str | None) -> bool:
    """Whether the name of the database is the rest of a login, whose user name has a / in it."""
    return database is not None and ":" in database.partition("@")[0] and "@" in database


def _hosts_apart(url: str) -> tuple[str, dict[str, str]]:
    """Return the URL without its hosts where it names several, as libpq's may, and the parameters that name them."""
    found = _SEVERAL_HOSTS.fullmatch(url)
    if found is None:
        return url, {}
    before, named, after = found.groups()
    places = [_PLACE.fullmatch(place) for place in named.split(",")]
    if None in places:
        raise ConfigurationError(
            "The database URL cannot be read: a host is missing or its port is no number. Name them as in "
            "postgresql://user:password@host1:port,host2:port/name."
        )
    hosts = ",".join(place[1].strip("[]") for place in places if place)
    ports = ",".join(place[2] or "" for place in places if place)
    return f"{before}{after}", {"host": hosts, "port": ports}
