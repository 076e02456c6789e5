"""When an operation on the database is run again: it lost a race, others hold what it needs, or its connection broke.

40001, 40P01, 23505        serialization failure, deadlock, a race for a unique index
XX000                      a row of PostgreSQL's own catalogue changed, or its table went, under a statement
55P03, `InUseError`        a lock was not granted in the time that the operation allows itself
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from embedpipe._threads import check_stopped
from embedpipe.errors import LockTimeoutError, StorageError
from embedpipe.metrics import span
from embedpipe.storage.database.errors import cause_of, translated
from embedpipe.storage.database.network import NoAnswerError
from embedpipe.storage.embedded import embedded_url

logger = logging.getLogger(__name__)

_TRIES = 6
"""Of an operation that loses races. More would hide that somebody locks in another order than `locks` says."""

_RACES = ("40001", "40P01", "23505")
_INTERNAL = re.compile(r"tuple concurrently (updated|deleted)|could not open relation|cache lookup failed")
_LOCKED = "55P03"
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 1.0


class InUseError(StorageError):
    """Others hold what the operation needs. `Database.run` tries again, until `lock_timeout_s` have passed."""


class RaceError(StorageError):
    """What the operation looked at has changed meanwhile. `Database.run` tries again."""


@contextmanager
def lasting() -> Iterator[None]:
    """Raise `RaceError` where a table is gone, for an operation that finds its tables in the catalogue."""
    try:
        yield
    except DBAPIError as error:
        if _state(error) != "42P01":
            raise
        raise RaceError("A collection was dropped or embedded anew while it was looked at. Run it again.") from error


class Tries:
    """The tries of one operation. Each runs in a `with` block of this, and `pause` stands between two of them.

        tries = Tries(...)
        while True:
            with tries, connected() as connection:
                return operation(connection)
            tries.pause()

    The block swallows the error of a try that is worth another one. It raises any other error, translated.
    """

    def __init__(self, lock_timeout_s: float, *, embedded: bool) -> None:
        self._lock_timeout_s = lock_timeout_s
        self._embedded = embedded
        self._began = time.monotonic()
        self._races = self._waits = 0
        self._reconnected = False
        self._pause_s = 0.0

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(error, DBAPIError | InUseError | RaceError) and self._is_retryable(error):
            return True
        if isinstance(error, SQLAlchemyError):
            raise translated(error) from cause_of(error)
        return False

    def pause(self) -> None:
        """Wait before the next try. End here where the task that waits for this thread was cancelled."""
        check_stopped()
        time.sleep(self._pause_s)

    async def apause(self) -> None:
        """Do the same as `pause`, on an event loop."""
        await asyncio.sleep(self._pause_s)

    def _is_retryable(self, error: DBAPIError | InUseError | RaceError) -> bool:
        """Return whether there is another try, and note how long to wait for it. Observers are told of it.

        Raises `LockTimeoutError` where others have held a lock for as long as the operation waits.
        """
        if is_locked(error):
            waited = time.monotonic() - self._began
            if waited >= self._lock_timeout_s:
                raise LockTimeoutError(
                    f"Others held what the operation needs for {waited:.0f} s: {_reason(error)}. Look for long or idle "
                    "transactions in pg_stat_activity, then run it again; lock_timeout_s of the Database is the limit."
                ) from cause_of(error)
            self._waits += 1
            self._pause_s = _jittered(self._waits, longest=min(_LONGEST_PAUSE_S, self._lock_timeout_s))
            stage = span("database.wait")
        elif is_race(error) and self._races < _TRIES - 1:
            self._races += 1
            logger.info("Running an operation again, try %d: %s", self._races + 1, _reason(error))
            self._pause_s = _jittered(self._races, longest=_LONGEST_PAUSE_S)
            stage = span("database.retry", retries=1)
        elif not self._reconnected and self._is_lost(error):
            self._reconnected, self._pause_s = True, 0.0
            return True
        else:
            return False
        with suppress(Exception), stage:
            raise cause_of(error)
        return True

    def _is_lost(self, error: Exception) -> bool:
        """Return whether another try may find a connection: the old one broke, or the embedded server was stopped.

        An answer that did not come in time has used up the time for all tries.
        """
        if not isinstance(error, DBAPIError) or isinstance(error.orig, NoAnswerError):
            return False
        broken = error.connection_invalidated or (self._embedded and error.statement is None)
        if broken and self._embedded:
            embedded_url()  # starts the server where it does not run; its address stays the same
        return broken


def is_locked(error: Exception) -> bool:
    """Return whether the operation failed since others hold a lock."""
    return isinstance(error, InUseError) or _state(error) == _LOCKED


def is_race(error: Exception) -> bool:
    """Return whether the operation failed since others did something at the same time, and may succeed now."""
    state = _state(error)
    internal = state == "XX000" and isinstance(error, DBAPIError) and _INTERNAL.search(str(error.orig)) is not None
    return isinstance(error, RaceError) or state in _RACES or internal


def _state(error: Exception) -> str | None:
    return getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None


def _reason(error: Exception) -> str:
    return str(cause_of(error)).strip().partition("\n")[0].rstrip(".")


def _jittered(number: int, *, longest: float) -> float:
    """Return between half and all of a pause that doubles, so that those who met do not meet again."""
    pause: float = min(_FIRST_PAUSE_S * 2**number, longest)
    return pause * random.uniform(0.5, 1)  # noqa: S311 - no secret
