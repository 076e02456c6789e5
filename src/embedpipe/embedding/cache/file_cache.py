"""A cache of vectors in a folder, for several processes at once."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedpipe._forking import UNFORKED, Lock, PerProcess, close_before
from embedpipe._optional import require
from embedpipe._private import private_folder, tighten
from embedpipe.embedding.cache.entries import KEY_SIZE, Precision, checked_precision, model_of
from embedpipe.errors import ConfigurationError
from embedpipe.types import ModelSpec

logger = logging.getLogger(__name__)

_MODEL_SIZE = KEY_SIZE // 2
_TRANSACTION = 4096  # entries; others wait to write meanwhile
_SLACK = 1 << 28  # beside twice the entries: LMDB writes pages anew before it frees the old ones


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats:
    """The entries and bytes that a cache holds, and what this process has found and missed in it."""

    entries: int
    bytes: int
    hits: int
    misses: int


@dataclass(eq=False, slots=True, weakref_slot=True)
class _Opened:
    environment: Any
    index: Any
    entries: Any
    closed: bool = False

    def close(self) -> None:
        self.closed = True
        self.environment.close()


@dataclass(slots=True)
class _Asked:
    """What this process has found and missed in a cache."""

    hits: int = 0
    misses: int = 0


_OPEN: weakref.WeakValueDictionary[Path, _Opened] = weakref.WeakValueDictionary()
_OPENING = Lock()


def _shared(cache: FileCache) -> _Opened:
    """Return the one opening of a folder in this process: LMDB allows no second one."""
    with _OPENING:
        place = cache.folder.resolve()
        opened = _OPEN.get(place)
        if opened is None or opened.closed:
            opened = _OPEN[place] = cache.open()
        return opened


def _close_all() -> None:
    for opened in list(_OPEN.values()):
        opened.close()


close_before(_close_all)  # LMDB can be neither used nor closed in a child; each process opens the folder anew


class FileCache:
    """Keeps entries in a folder, by LMDB. Several processes may use it at once, and each may be killed at any time.

    Entries lie in the order in which they were written, and an index of keys points at them. If they grow over
    `max_bytes`, the oldest are removed. A file that is damaged as a whole is set aside with a warning, and the cache
    starts empty.

    An int8 cache and one of whole vectors never return each other's vectors, and with int8 a text has the rounded
    vector from its first call on.

    Args:
        folder: Where the file is. It is created if it is missing.
        max_bytes: The most that entries take, at least a megabyte.
        precision: How a number is kept. "float16" halves the bytes. "int8" quarters them, with a scale for each
            vector: with all-MiniLM-L6-v2 on SciFact each vector had a cosine of .9999 or more to the original, and
            99.5 % of the ten nearest were the same.

    Raises:
        ConfigurationError: If `max_bytes` is too small, or there is no such precision.
        MissingExtraError: If LMDB is not installed.
    """

    def __init__(self, folder: Path | str, *, max_bytes: int = 4 << 30, precision: Precision = "float32") -> None:
        if max_bytes < 1 << 20:
            raise ConfigurationError(f"max_bytes={max_bytes} is too small. Pass at least a megabyte ({1 << 20}).")
        self.folder = Path(folder).expanduser()
        self.max_bytes = max_bytes
        self.precision = checked_precision(precision)
        self._lock = Lock()
        self._asked: PerProcess[_Asked] = PerProcess()
        self._opened: _Opened | None = None
        require("lmdb", extra="cache")

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key, in order; None for a key that has none."""
        with self._begun() as (transaction, index, entries):
            places = dict(transaction.cursor(index).getmulti(keys))
            values = dict(transaction.cursor(entries).getmulti(list(places.values())))
        found = [values.get(places.get(key, b"")) for key in keys]
        missing = found.count(None)
        asked = self._asked.get(_Asked)
        with self._lock:
            asked.hits += len(found) - missing
            asked.misses += missing
        return [None if value is None else value[KEY_SIZE:] for value in found]

    def put_many(self, entries: Sequence[tuple[bytes, bytes]]) -> None:
        """Keep each (key, value), and replace what was there under the key."""
        for start in range(0, len(entries), _TRANSACTION):
            with self._begun(write=True) as (transaction, _, _):
                self._put(transaction, entries[start : start + _TRANSACTION])
                self._evict(transaction)

    def delete_many(self, keys: Sequence[bytes]) -> int:
        """Delete the entries of these keys. The file keeps their bytes until it uses the place again.

        Returns:
            How many entries there were.
        """
        with self._begun(write=True) as (transaction, index, entries):
            places = transaction.cursor(index).getmulti(sorted(set(keys)))
            for key, place in places:
                transaction.delete(place, db=entries)
                transaction.delete(key, db=index)
        return len(places)

    def clear(self, model: str | ModelSpec | None = None) -> int:
        """Remove the entries of a model, by its name or whole specification, or all entries.

        Returns:
            How many entries there were.
        """
        with self._begun(write=True) as (transaction, index, entries):
            if model is None:
                dropped = int(transaction.stat(entries)["entries"])
                transaction.drop(index, delete=False)
                transaction.drop(entries, delete=False)
                return dropped
            return sum(self._drop(transaction, prefix) for prefix in self._models(transaction, model))

    def stats(self) -> CacheStats:
        """Return the entries and bytes in the folder, and the hits and misses of this process."""
        with self._begun() as (transaction, _, entries):
            count = int(transaction.stat(entries)["entries"])
            size = self._used(transaction)
        asked = self._asked.get(_Asked)
        return CacheStats(entries=count, bytes=size, hits=asked.hits, misses=asked.misses)

    def close(self) -> None:
        """Let go of the file. It closes with its last user in this process, and the next call opens it again."""
        self._opened = None

    @contextmanager
    def _begun(self, *, write: bool = False) -> Iterator[tuple[Any, Any, Any]]:
        """Open a transaction, with the index and the entries. No fork of the process happens within it."""
        with UNFORKED:
            environment, index, entries = self._environment()
            with environment.begin(write=write) as transaction:
                yield transaction, index, entries

    def _put(self, transaction: Any, entries: Sequence[tuple[bytes, bytes]]) -> None:
        _, index, stored = self._environment()
        cursor = transaction.cursor(stored)
        # Entries are appended under rising numbers. Keys are hashes: in their order, each entry would change a page of
        # its own. Only the index, which is small, is in the order of keys.
        first = int.from_bytes(cursor.key(), "big") + 1 if cursor.last() else 1
        latest = dict(entries)
        for _, place in transaction.cursor(index).getmulti(list(latest)):
            transaction.delete(place, db=stored)
        placed = [(key, (first + offset).to_bytes(8, "big")) for offset, key in enumerate(latest)]
        cursor.putmulti([(place, key + latest[key]) for key, place in placed], append=True)
        transaction.cursor(index).putmulti(sorted(placed))

    def _evict(self, transaction: Any) -> None:
        _, index, stored = self._environment()
        if self._used(transaction) <= self.max_bytes:
            return
        dropped = 0
        while self._used(transaction) > self.max_bytes * 0.9:  # room for a while, so that not each write evicts
            cursor = transaction.cursor(stored)
            if not cursor.first():
                break
            oldest = [(bytes(place), bytes(value[:KEY_SIZE])) for place, value in _first(cursor, 256)]
            for place, key in oldest:
                transaction.delete(place, db=stored)
                if transaction.get(key, db=index) == place:  # else the key has a newer entry
                    transaction.delete(key, db=index)
            dropped += len(oldest)
        logger.info(
            "The cache in %s was over its %d bytes: the oldest %d entries were removed.",
            self.folder,
            self.max_bytes,
            dropped,
        )

    def _used(self, transaction: Any) -> int:
        _, index, entries = self._environment()
        statistics = [transaction.stat(index), transaction.stat(entries)]
        return sum(s["psize"] * (s["branch_pages"] + s["leaf_pages"] + s["overflow_pages"]) for s in statistics)

    def _models(self, transaction: Any, model: str | ModelSpec) -> list[bytes]:
        """Return the fingerprints of a model that have entries."""
        _, index, entries = self._environment()
        if isinstance(model, ModelSpec):
            return [bytes.fromhex(model.fingerprint)]
        cursor = transaction.cursor(index)
        prefixes: list[bytes] = []
        more = cursor.first()
        while more:
            prefix = cursor.key()[:_MODEL_SIZE]
            value = transaction.get(cursor.value(), db=entries)
            if value is not None and model_of(value[KEY_SIZE:]) == model:
                prefixes.append(prefix)
            more = cursor.set_range(prefix + b"\xff" * _MODEL_SIZE)  # behind the last key of this model
        return prefixes

    def _drop(self, transaction: Any, prefix: bytes) -> int:
        _, index, entries = self._environment()
        cursor = transaction.cursor(index)
        dropped = 0
        found = cursor.set_range(prefix)
        while found and cursor.key().startswith(prefix):
            transaction.delete(cursor.value(), db=entries)
            found = cursor.delete()
            dropped += 1
        return dropped

    def _environment(self) -> tuple[Any, Any, Any]:
        """Return LMDB's environment, index and entries, opened again after a fork. Call it within `UNFORKED`."""
        opened = self._opened
        if opened is None or opened.closed:
            opened = self._opened = _shared(self)
        return opened.environment, opened.index, opened.entries

    def open(self) -> _Opened:
        """Open the file, or a new one if it is damaged."""
        lmdb = require("lmdb", extra="cache")
        private_folder(self.folder)
        try:
            return self._open_sound(lmdb)
        except (lmdb.CorruptedError, lmdb.InvalidError, lmdb.VersionMismatchError) as error:
            aside = self.folder / f"data.mdb.damaged-{os.getpid()}"
            (self.folder / "data.mdb").replace(aside)
            logger.warning(
                "The cache in %s is damaged (%s). It is set aside as %s, and a new one is begun.",
                self.folder,
                error,
                aside.name,
            )
            return self._open_sound(lmdb)

    def _open_sound(self, lmdb: Any) -> _Opened:
        for name in ("data.mdb", "lock.mdb"):
            if (self.folder / name).exists():
                tighten(self.folder / name)
        environment = lmdb.open(
            str(self.folder),
            map_size=2 * self.max_bytes + _SLACK,
            max_dbs=2,
            max_readers=1024,
            metasync=False,
            mode=0o600,
        )
        pages = environment.info()["last_pgno"] + 1
        if (self.folder / "data.mdb").stat().st_size < pages * environment.stat()["psize"]:
            environment.close()  # reading beyond the file's end would kill the process
            raise lmdb.CorruptedError("the file is cut short")
        return _Opened(environment, environment.open_db(b"index"), environment.open_db(b"entries"))

    def __repr__(self) -> str:
        return f"FileCache({str(self.folder)!r}, max_bytes={self.max_bytes})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.folder, self.max_bytes, self.precision)


def _first(cursor: Any, count: int) -> list[tuple[bytes, bytes]]:
    return [entry for entry, _ in zip(cursor.iternext(), range(count), strict=False)]


def _reopened(folder: Path, max_bytes: int, precision: Precision) -> FileCache:
    return FileCache(folder, max_bytes=max_bytes, precision=precision)
