"""When an operation on the database is run again: it lost a race, or others hold what it needs.

40001, 40P01, 23505        serialization failure, deadlock, a race for a unique index
XX000                      a row of PostgreSQL's own catalogue changed, or its table went, under a statement
55P03, `InUseError`        a lock was not to be had in the time that the operation allows itself
"""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy.exc import DBAPIError

from embedpipe.errors import LockTimeoutError, StorageError
from embedpipe.metrics.spans import span

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
    """The tries of one operation: how many there were, and since when."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._began = time.monotonic()
        self._races = self._waits = 0

    def _pause(self, error: Exception) -> float | None:
        if is_locked(error):
            waited = time.monotonic() - self._began
            if waited >= self._limit_s:
                raise LockTimeoutError(
                    f"Others held what the operation needs for {waited:.0f} s: {_reason(error)}. Look for long or idle "
                    "transactions in pg_stat_activity, then run it again; lock_timeout_s of the Database is the limit."
                ) from _original(error)
            self._waits += 1
            return _jittered(self._waits, longest=min(_LONGEST_PAUSE_S, self._limit_s))
        if not is_race(error) or self._races == _TRIES - 1:
            return None
        self._races += 1
        logger.info("Running an operation again, try %d: %s", self._races + 1, _reason(error))
        return _jittered(self._races, longest=_LONGEST_PAUSE_S)

    def after(self, error: Exception) -> float | None:
        """Return for how many seconds to wait before another try, None where there is none. Observers are told of it.

        Raises `LockTimeoutError` where others have held a lock for as long as the operation waits.
        """
        pause = self._pause(error)
        if pause is not None:
            stage = span("database.wait") if is_locked(error) else span("database.retry", retries=1)
            with suppress(Exception), stage:
                raise _original(error)
        return pause


def is_locked(error: Exception) -> bool:
    """Whether the operation failed since others hold a lock."""
    return isinstance(error, InUseError) or _state(error) == _LOCKED


def is_race(error: Exception) -> bool:
    """Whether the operation failed since others did something at the same time, and may succeed now."""
    state = _state(error)
    internal = state == "XX000" and isinstance(error, DBAPIError) and _INTERNAL.search(str(error.orig)) is not None
    return isinstance(error, RaceError) or state in _RACES or internal


def _state(error: Exception) -> str | None:
    return getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None


def _original(error: Exception) -> BaseException:
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def _reason(error: Exception) -> str:
    return str(_original(error)).strip().partition("\n")[0].rstrip(".")


def _jittered(number: int, *, longest: float) -> float:
    """Between half and all of a pause that doubles, so that those who met do not meet again."""
    pause: float = min(_FIRST_PAUSE_S * 2**number, longest)
    return pause * random.uniform(0.5, 1)  # noqa: S311 - no secret
