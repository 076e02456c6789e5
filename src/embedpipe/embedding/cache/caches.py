"""The cache that a user names: a folder, a redis:// URL, a byte store of LangChain, or an object with the protocol."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeAlias, runtime_checkable

from embedpipe._forking import Given
from embedpipe.embedding.cache.entries import Precision, VectorCache, checked_precision
from embedpipe.embedding.cache.file_cache import FileCache
from embedpipe.embedding.cache.redis_cache import RedisCache
from embedpipe.errors import ConfigurationError


@runtime_checkable
class ByteStore(Protocol):
    """The part of LangChain's `ByteStore` that is used here."""

    def mget(self, keys: Sequence[str]) -> list[bytes | None]: ...

    def mset(self, key_value_pairs: Sequence[tuple[str, bytes]]) -> None: ...

    def mdelete(self, keys: Sequence[str]) -> None: ...


CacheLike: TypeAlias = VectorCache | ByteStore | Path | str


def open_cache(cache: CacheLike) -> VectorCache:
    """Return the cache itself, or one over a folder, a redis:// URL or a byte store.

    Raises:
        ConfigurationError: If it is none of these.
    """
    if isinstance(cache, VectorCache):
        return cache
    if isinstance(cache, str) and cache.startswith(("redis://", "rediss://", "unix://")):
        return RedisCache(cache)
    if isinstance(cache, str | Path):
        return FileCache(cache)
    if isinstance(cache, ByteStore):
        return ByteStoreCache(cache)
    raise ConfigurationError(
        f"`cache` cannot be of type {type(cache).__name__}. Pass a folder, a redis:// URL, or an object "
        "with get_many and put_many (see embedpipe.embedding.VectorCache)."
    )


class ByteStoreCache:
    """Keeps entries in a LangChain `ByteStore`, under `prefix` and the key in hexadecimal digits.

    `precision` is as for `FileCache`.
    """

    def __init__(self, store: ByteStore, *, prefix: str = "embedpipe-", precision: Precision = "float32") -> None:
        self.precision = checked_precision(precision)
        self._store = store
        self._given = Given(store)
        self._prefix = prefix

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key, in order; None for a key that has none."""
        return self._store.mget([self._prefix + key.hex() for key in keys])

    def put_many(self, entries: Sequence[tuple[bytes, bytes]]) -> None:
        """Keep each (key, value)."""
        self._store.mset([(self._prefix + key.hex(), value) for key, value in entries])

    def delete_many(self, keys: Sequence[bytes]) -> int:
        """Delete the entries of these keys. Return how many there were."""
        names = [self._prefix + key.hex() for key in keys]
        there = sum(value is not None for value in self._store.mget(names))
        self._store.mdelete(names)
        return there

    def __repr__(self) -> str:
        return f"ByteStoreCache({type(self._store).__name__}, prefix={self._prefix!r})"
