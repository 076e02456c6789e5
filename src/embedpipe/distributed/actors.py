"""What the workers of one run share: which documents came already, and the rate of requests."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from embedpipe._optional import require
from embedpipe.errors import StorageError

ANSWER_S = 600.0
"""What an actor of the run may take to answer: it does so at once, unless its node is overloaded or gone."""


def answered(asked: Any) -> Any:
    """Return what an actor answers. Raises `StorageError` where it does not in time."""
    ray = require("ray", extra="ray")
    try:
        return ray.get(asked, timeout=ANSWER_S)
    except ray.exceptions.GetTimeoutError as error:
        raise StorageError(
            f"What the workers of this run share did not answer in {ANSWER_S:.0f} s. Look at `ray status`, then run it "
            "again: what was written is kept."
        ) from error


class Claims:
    """The ids that came so far, each with a digest of its document, in a file of SQLite's own."""

    def __init__(self) -> None:
        self._file = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._file.execute("CREATE TABLE claims (id BLOB PRIMARY KEY, digest BLOB NOT NULL) WITHOUT ROWID")
        self._file.execute("BEGIN")

    def claim(self, documents: Sequence[tuple[str, bytes]]) -> list[bool]:
        """Whether each document may be taken: its id is new, or came with the same digest.

        The same digest is most often a task that runs again after its worker died.
        """
        return [self._claim(name.encode("utf-8", "surrogatepass"), digest) for name, digest in documents]

    def _claim(self, name: bytes, digest: bytes) -> bool:
        self._file.execute("INSERT OR IGNORE INTO claims VALUES (?, ?)", (name, digest))
        first = self._file.execute("SELECT digest FROM claims WHERE id = ?", (name,)).fetchone()[0]
        return bytes(first) == digest

    def ids(self) -> list[str]:
        """Every id that came."""
        return [name.decode("utf-8", "surrogatepass") for (name,) in self._file.execute("SELECT id FROM claims")]


class SharedLimiter:
    """A worker's side of the one `RateLimiter` of a run, which is an actor: it measures time for all of them."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def reserve(self, tokens: int) -> float:
        """As `RateLimiter.reserve`."""
        seconds: float = answered(self._actor.reserve.remote(tokens))
        return seconds

    def pause(self, seconds: float) -> None:
        """As `RateLimiter.pause`."""
        self._actor.pause.remote(seconds)

    def learn(self, headers: Mapping[str, str]) -> None:
        """As `RateLimiter.learn`; only what speaks of rates is sent."""
        stated = {name: value for name, value in headers.items() if name.startswith("x-ratelimit-")}
        if stated:
            self._actor.learn.remote(stated)
