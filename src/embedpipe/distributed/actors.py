"""State that the workers of one run share: which documents came already, and the rate of requests."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from embedpipe._optional import require
from embedpipe.errors import StorageError

ANSWER_S = 600.0
"""How long an actor of the run may take to answer. It answers at once, unless its node is overloaded or gone."""


def answered(asked: Any) -> Any:
    """Wait for an actor's answer.

    Raises:
        StorageError: If it does not come within `ANSWER_S`.
    """
    ray = require("ray", extra="ray")
    try:
        return ray.get(asked, timeout=ANSWER_S)
    except ray.exceptions.GetTimeoutError as error:
        raise StorageError(
            f"The actor that all workers of this run share did not answer within {ANSWER_S:.0f} s. Look at "
            "`ray status`, then run the ingest again. What was written is kept."
        ) from error


class Claims:
    """The ids that came so far, each with a digest of its document. They lie in a temporary file of SQLite."""

    def __init__(self) -> None:
        self._file = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._file.execute("CREATE TABLE claims (id BLOB PRIMARY KEY, digest BLOB NOT NULL) WITHOUT ROWID")
        self._file.execute("BEGIN")

    def claim(self, documents: Sequence[tuple[str, bytes]]) -> list[bool]:
        """Return for each (id, digest) whether the document may be taken: the id is new, or came with the same digest.

        An id comes again with the same digest if a task runs again after its worker died.
        """
        return [self._claim(name.encode("utf-8", "surrogatepass"), digest) for name, digest in documents]

    def _claim(self, name: bytes, digest: bytes) -> bool:
        self._file.execute("INSERT OR IGNORE INTO claims VALUES (?, ?)", (name, digest))
        first = self._file.execute("SELECT digest FROM claims WHERE id = ?", (name,)).fetchone()[0]
        return bytes(first) == digest

    def ids(self) -> list[str]:
        """Return every id that came."""
        return [name.decode("utf-8", "surrogatepass") for (name,) in self._file.execute("SELECT id FROM claims")]


class SharedLimiter:
    """A worker's side of the one `RateLimiter` of a run. That is an actor, which measures time for all workers."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def reserve(self, tokens: int) -> float:
        """Do the same as `RateLimiter.reserve`."""
        seconds: float = answered(self._actor.reserve.remote(tokens))
        return seconds

    def pause(self, seconds: float) -> None:
        """Do the same as `RateLimiter.pause`."""
        self._actor.pause.remote(seconds)

    def learn(self, headers: Mapping[str, str]) -> None:
        """Do the same as `RateLimiter.learn`. Only headers about rates are sent."""
        stated = {name: value for name, value in headers.items() if name.startswith("x-ratelimit-")}
        if stated:
            self._actor.learn.remote(stated)
