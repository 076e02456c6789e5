"""Limits on waiting for the network, so that a connection whose packets are lost ends with an error.

TCP notices a peer that acknowledges nothing: keepalives and TCP_USER_TIMEOUT do that, on both sides. It does not notice
a proxy that acknowledges and forwards nothing, nor a server process that stands still. For these the client counts the
time itself, in a generator around the driver's own. That takes 2 microseconds of CPU for each statement.
"""

from __future__ import annotations

from collections.abc import Generator
from time import monotonic
from typing import Any

import psycopg
from psycopg.pq import Conninfo, TransactionStatus
from psycopg.waiting import Ready
from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine, ExceptionContext
from sqlalchemy.exc import InvalidatePoolError

CONNECT_S = 10
"""How long opening a connection may take, at each address: from the first packet until the server is ready."""
SILENCE_S = 60.0
"""How long a read may go without a word from the server where no `statement_timeout_s` is set."""
LONGEST_S = 3600.0
"""The same for what writes, which may wait for others' locks or move much. Index builds have no limit."""
GRACE_S = 5.0
"""How much longer than `statement_timeout_s` the client waits: the server should have ended the statement by then."""
IDLE_S = 30.0
"""A connection that lay unused for longer is tried before it is used."""
MAX_AGE_S = 1800
"""An older connection is replaced, so that a change of the server's address is followed."""

PARAMETERS = {
    "connect_timeout": str(CONNECT_S),
    "keepalives": "1",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
"""libpq's parameters for the network. All are whole numbers."""
# The server's side of the same: else the locks of a client that vanished are held for two hours.
FOR_SERVER = """
SELECT set_config(name, wanted, false) FROM pg_settings
JOIN (VALUES ('tcp_keepalives_idle', '30'), ('tcp_keepalives_interval', '10'), ('tcp_keepalives_count', '3'),
             ('tcp_user_timeout', '60000')) AS ours (name, wanted) USING (name)
WHERE source = 'default'
"""
_USED, _READ_ONLY = "embedpipe_used", "embedpipe_read_only"
_READ_ONLY_TRANSACTION = "25006"


def parameters() -> dict[str, str]:
    """Return libpq's parameters for the network, but for those that the environment sets (PGCONNECT_TIMEOUT)."""
    stated = {option.keyword.decode() for option in Conninfo.get_defaults() if option.val is not None}
    return {name: value for name, value in PARAMETERS.items() if name not in stated}


class NoAnswerError(psycopg.OperationalError):
    """The server did not answer in time. The connection was closed."""


class _Bounded:
    """The limits of a driver connection on the wait for each answer: to a statement, with its BEGIN, or to a COMMIT."""

    answer_s: float | None = CONNECT_S
    """From the moment that all was sent until the whole answer is there."""
    silence_s: float | None = None
    """Without a byte in either direction."""

    pgconn: Any

    def _in_time(self, gen: Any) -> Generator[Any, Any, Any]:
        """Run the driver's generator, which waits for the socket; close the connection where a limit has passed.

        The driver resumes it when the socket is ready, and else ten times a second.
        """
        answer_s, silence_s = self.answer_s, self.silence_s
        sent = heard = monotonic()
        interrupted = False
        try:
            state = next(gen)
            while True:
                ready = yield state
                now = monotonic()
                if ready is None:  # begun anew after an interruption: the server was asked to end the statement
                    interrupted, answer_s, sent = True, GRACE_S, now
                elif ready:
                    heard = now
                    sent = now if ready & Ready.W else sent
                state = gen.send(ready)
                if answer_s is not None and now - sent > answer_s:
                    waited = now - sent
                    break
                if silence_s is not None and now - heard > silence_s:
                    waited = now - heard
                    break
        except StopIteration as end:
            return end.value
        self.pgconn.finish()
        if interrupted:
            raise psycopg.errors.QueryCanceled  # for the driver to go on with the interruption
        raise NoAnswerError(f"no answer came in {waited:.0f} s")

    def _before_end(self, *, commit: bool) -> None:
        """Bound a COMMIT or ROLLBACK also where statements are not. Both are short, however long these were."""
        if self.answer_s is None:
            self.answer_s = SILENCE_S if commit else CONNECT_S


class BoundedConnection(_Bounded, psycopg.Connection[Any]):
    """A connection that closes itself where the server does not answer in time."""

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        """Wait as the driver does, within the limits."""
        return super().wait(self._in_time(gen), *args, **kwargs)

    def commit(self) -> None:
        """Commit, within the limits."""
        self._before_end(commit=True)
        super().commit()

    def rollback(self) -> None:
        """Roll back if a transaction is open, within the limits. The pool calls this after each use."""
        if self.pgconn.transaction_status != TransactionStatus.IDLE:
            self._before_end(commit=False)
            super().rollback()


class BoundedAsyncConnection(_Bounded, psycopg.AsyncConnection[Any]):
    """A `BoundedConnection` for event loops."""

    async def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        """Wait as the driver does, within the limits."""
        return await super().wait(self._in_time(gen), *args, **kwargs)

    async def commit(self) -> None:
        """Commit, within the limits."""
        self._before_end(commit=True)
        await super().commit()

    async def rollback(self) -> None:
        """Roll back if a transaction is open, within the limits."""
        if self.pgconn.transaction_status != TransactionStatus.IDLE:
            self._before_end(commit=False)
            await super().rollback()


def _opened(*args: Any, **parameters: Any) -> BoundedConnection:
    connection = BoundedConnection.connect(*args, **parameters)
    connection.answer_s = _opening_s(parameters)
    return connection


async def _aopened(*args: Any, **parameters: Any) -> BoundedAsyncConnection:
    connection = await BoundedAsyncConnection.connect(*args, **parameters)
    connection.answer_s = _opening_s(parameters)
    return connection


def _opening_s(parameters: dict[str, Any]) -> float:
    """Return how long each statement may take that makes a connection ready: as long as connecting may."""
    return max(float(parameters.get("connect_timeout", 0)), 0) or CONNECT_S


def set_limits(driver: Any, *, answer_s: float | None) -> None:
    """Set the limits that a driver connection has while nobody asks for others."""
    driver.answer_s = answer_s
    driver.silence_s = LONGEST_S if answer_s is None else None


def limit_silence(connection: Connection, seconds: float) -> None:
    """Have the connection wait so long for the next byte of an answer, until its pool has it back.

    A connection of an engine that was given waits as it does.
    """
    driver = connection.connection.driver_connection
    if isinstance(driver, _Bounded):
        driver.silence_s = seconds


def wait_longest(connection: Connection) -> None:
    """Have the connection wait for each byte of an answer as for a write, whatever `statement_timeout_s` is."""
    driver = connection.connection.driver_connection
    if isinstance(driver, _Bounded):
        set_limits(driver, answer_s=None)


def wait_for_ever(connection: Connection) -> None:
    """Have the connection wait for answers without a limit, until its pool has it back, for what may take hours."""
    driver = connection.connection.driver_connection
    if isinstance(driver, _Bounded):
        driver.answer_s = driver.silence_s = None


def listen(engine: Engine, *, answer_s: float | None) -> None:
    """Have the engine open connections that are bounded, by `answer_s` once used, and try them after a rest."""

    def connect(dialect: Any, record: Any, cargs: Any, cparams: Any) -> Any:
        if not dialect.is_async:
            return _opened(*cargs, **cparams)
        cparams["async_creator_fn"] = _aopened
        return None

    def returned(connection: Any, record: Any) -> None:
        if connection is not None:
            set_limits(record.driver_connection, answer_s=answer_s)
            record.info[_USED] = monotonic()

    def taken(connection: Any, record: Any, proxy: Any) -> None:
        if monotonic() - record.info.get(_USED, monotonic()) <= IDLE_S:
            return
        record.driver_connection.answer_s = GRACE_S
        try:
            engine.dialect.do_ping(connection)
        except psycopg.Error as error:
            raise InvalidatePoolError from error  # the others will be no better; the pool opens a new one
        record.driver_connection.answer_s = answer_s

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "checkin", returned)
    event.listen(engine, "checkout", taken)
    event.listen(engine, "handle_error", _leave_read_only)


def _leave_read_only(context: ExceptionContext) -> None:
    """Have the pool drop its sessions where one turns out to be read-only: a failover may have left them behind.

    A new session that is read-only too says that the server is, and is kept for a while.
    """
    if getattr(context.original_exception, "sqlstate", None) != _READ_ONLY_TRANSACTION or context.connection is None:
        return
    info, now = context.connection.info, monotonic()
    if _USED not in info:
        info[_READ_ONLY] = now
    elif _READ_ONLY not in info or now - info[_READ_ONLY] > IDLE_S:
        context.is_disconnect = True
