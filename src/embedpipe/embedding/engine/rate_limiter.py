"""Keep to requests and tokens per minute, for all that share a limiter."""

from __future__ import annotations

import contextlib
import math
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from embedpipe._forking import UNFORKED, Lock
from embedpipe._private import private_file, private_folder
from embedpipe.embedding.backend import Limits
from embedpipe.errors import ConfigurationError, EmbeddingError

_BURST_S = 1.0
_FILE_S = 30.0  # so long SQLite waits for another process that has locked the file
_LONGEST_PAUSE_S = 60.0
_LONGEST_S = 86400.0
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class LimiterState:
    """When the next request may start, by each measure, in seconds since the epoch."""

    requests: float = 0.0
    tokens: float = 0.0
    pause: float = 0.0


class _Store(Protocol):
    def change(self) -> contextlib.AbstractContextManager[list[LimiterState]]:
        """Lock the state and hand it out in a list of one. What the list holds at the end is kept."""
        ...


class _Memory:
    def __init__(self) -> None:
        self._lock = Lock()
        self._state = [LimiterState()]

    @contextlib.contextmanager
    def change(self) -> Iterator[list[LimiterState]]:
        with self._lock:
            yield self._state


class _File:
    """Keeps the state in an SQLite file, for several processes. A process that dies within a change loses nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        private_folder(path.parent)
        private_file(path)
        with self._open() as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS state (id INTEGER PRIMARY KEY CHECK (id = 1), "
                "requests REAL NOT NULL, tokens REAL NOT NULL, pause REAL NOT NULL)"
            )
            connection.execute("INSERT OR IGNORE INTO state VALUES (1, 0, 0, 0)")

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with (
                UNFORKED,
                contextlib.closing(sqlite3.connect(self._path, timeout=_FILE_S, isolation_level=None)) as connection,
            ):
                connection.execute("PRAGMA synchronous = OFF")  # after a power cut the limits start afresh
                yield connection
        except sqlite3.OperationalError as error:
            raise EmbeddingError(
                f"The file of shared limits {self._path} cannot be used: {error}. If another process has held it for "
                f"{_FILE_S:.0f} s, end that one, or name another file in Limits(shared=)."
            ) from error
        except sqlite3.DatabaseError as error:
            raise ConfigurationError(
                f"{self._path} is not a file of shared limits: {error}. Remove it, or name another one in "
                "Limits(shared=)."
            ) from error

    @contextlib.contextmanager
    def change(self) -> Iterator[list[LimiterState]]:
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")  # locks for writing before it reads: no two take the same place
            row = connection.execute("SELECT requests, tokens, pause FROM state").fetchone()
            held = [_bounded(*(row or ()))]
            yield held
            now = held[0]
            connection.execute(
                "UPDATE state SET requests = ?, tokens = ?, pause = ?", (now.requests, now.tokens, now.pause)
            )
            connection.execute("COMMIT")


def _bounded(*times: object) -> LimiterState:
    """Return the state that the file holds. A value that is no time, or is too far off for any request, counts as 0."""
    latest = time.time() + _LONGEST_S
    return LimiterState(*(each if isinstance(each, float) and 0.0 <= each <= latest else 0.0 for each in times))


class Limiter(Protocol):
    """Says when a request may start: `RateLimiter`, or `distributed.actors.SharedLimiter`, which asks an actor."""

    def reserve(self, tokens: int) -> float: ...

    def pause(self, seconds: float) -> None: ...

    def learn(self, headers: Mapping[str, str]) -> None: ...


class RateLimiter:
    """Hands out starting times so that both rates hold: first come, first served.

    Each request reserves its place at once, and sleeps until then, in a thread or on an event loop. This is the virtual
    scheduling form of the generic cell rate algorithm (ITU-T I.371), with a burst of one second.
    """

    def __init__(self, limits: Limits) -> None:
        self._requests = limits.requests_per_minute
        self._tokens = limits.tokens_per_minute
        self._stated = (limits.requests_per_minute is None, limits.tokens_per_minute is None)
        self._store: _Store = _File(Path(limits.shared)) if limits.shared else _Memory()

    def reserve(self, tokens: int) -> float:
        """Reserve the place of a request of so many tokens, and return the seconds to wait before it may start."""
        now = time.time()
        with self._store.change() as held:
            state = held[0]
            # A request starts when both rates and all pauses allow it. Each rate's next free moment then moves on by
            # the time that this request takes of it: cost * 60 s / rate.
            start = max(now, state.requests, state.tokens, state.pause)
            held[0] = replace(
                state,
                requests=_advanced(state.requests, start, _duration(1, self._requests, stated=self._stated[0])),
                tokens=_advanced(state.tokens, start, _duration(tokens, self._tokens, stated=self._stated[1])),
            )
        return start - now

    def pause(self, seconds: float) -> None:
        """Let no request start for so long."""
        until = time.time() + seconds
        with self._store.change() as held:
            held[0] = replace(held[0], pause=max(held[0].pause, until))

    def learn(self, headers: Mapping[str, str]) -> None:
        """Take over the rates of OpenAI's `x-ratelimit-*` headers, if none was set. Names are in lower case."""
        if self._stated[0]:
            self._requests = _number(headers, "x-ratelimit-limit-requests") or self._requests
        if self._stated[1]:
            self._tokens = _number(headers, "x-ratelimit-limit-tokens") or self._tokens
        for measure in ("requests", "tokens"):  # nothing is left: wait until the provider counts anew
            reset = seconds(headers.get(f"x-ratelimit-reset-{measure}", ""))
            if reset and _number(headers, f"x-ratelimit-remaining-{measure}") == 0:
                self.pause(min(reset, _LONGEST_PAUSE_S))


def _duration(cost: float, per_minute: float | None, *, stated: bool) -> float | None:
    """Return the seconds of a rate that a request takes; at most a minute if the provider states it, maybe wrongly."""
    if not per_minute:
        return None
    takes = cost * 60.0 / per_minute
    return min(takes, _LONGEST_PAUSE_S) if stated else takes


def _advanced(due: float, start: float, takes: float | None) -> float:
    """Return when the request after one that starts at `start` is due: unused time counts for a burst at most."""
    return due if takes is None else max(due, start - _BURST_S) + takes


def _number(headers: Mapping[str, str], name: str) -> float | None:
    try:
        number = float(headers[name])
    except (KeyError, ValueError):
        return None
    return number if math.isfinite(number) and number >= 0.0 else None


def seconds(duration: str) -> float:
    """Return the seconds of a duration such as "6m0s" or "20ms"; 0 for anything else."""
    return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(duration))
