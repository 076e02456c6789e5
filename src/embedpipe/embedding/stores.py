"""Other keepers of vectors behind the cache's protocol: Redis and LangChain's byte stores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable
from urllib.parse import urlsplit

from embedpipe._forking import Given
from embedpipe._optional import require
from embedpipe.embedding.cache import Precision, VectorCache, checked_precision
from embedpipe.embedding.file_cache import FileCache
from embedpipe.errors import ConfigurationError


@runtime_checkable
class ByteStore(Protocol):
    """The part of LangChain's `ByteStore` that is used here."""

    def mget(self, keys: Sequence[str]) -> list[bytes | None]: ...

    def mset(self, key_value_pairs: Sequence[tuple[str, bytes]]) -> None: ...


CacheLike: TypeAlias = VectorCache | ByteStore | Path | str


def opened(cache: CacheLike) -> VectorCache:
    """The cache itself, else one over a folder, a redis:// URL or a byte store."""
    if isinstance(cache, VectorCache):
        return cache
    if isinstance(cache, str) and cache.startswith(("redis://", "rediss://", "unix://")):
        return RedisCache(cache)
    if isinstance(cache, str | Path):
        return FileCache(cache)
    if isinstance(cache, ByteStore):
        return ByteStoreCache(cache)
    raise ConfigurationError(
        f"A folder, a redis:// URL or an object with get_many and put_many was expected as cache=, and "
        f"{type(cache).__name__} came. See embedpipe.embedding.VectorCache."
    )


class RedisCache:
    """Entries in Redis, under `prefix` and the key in hexadecimal digits.

    `client` is a URL or a `redis.Redis` (not one that decodes its replies). `ttl_s` lets entries expire; for a bound on
    memory set Redis's own `maxmemory` and an `allkeys` policy. `precision` as `FileCache`.
    """

    def __init__(
        self,
        client: Any,
        *,
        prefix: str = "embedpipe:",
        ttl_s: int | None = None,
        precision: Precision = "float32",
    ) -> None:
        self.precision = checked_precision(precision)
        self._url = client if isinstance(client, str) else None
        if isinstance(client, str):
            client = require("redis", extra="redis").Redis.from_url(client)
        self._client = client
        self._given = Given(client)
        self._prefix = prefix
        self._ttl_s = ttl_s

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The value of each key in order, None where there is none."""
        values: list[bytes | None] = self._client.mget([self._prefix + key.hex() for key in keys])
        return values

    def put_many(self, entries: Sequence[tuple[bytes, bytes]]) -> None:
        """Keeps each (key, value), in one round trip."""
        with self._client.pipeline(transaction=False) as pipeline:
            for key, value in entries:
                pipeline.set(self._prefix + key.hex(), value, ex=self._ttl_s)
            pipeline.execute()

    def __reduce__(self) -> tuple[Any, ...]:
        if self._url is None or urlsplit(self._url).password:
            raise ConfigurationError(
                "A Redis cache was to be pickled, and it was made of a client or of a URL with a password, which "
                "does not "
                "travel. Make the cache where it is used."
            )
        return _reopened, (self._url, self._prefix, self._ttl_s, self.precision)

    def __repr__(self) -> str:
        return f"RedisCache(prefix={self._prefix!r}, ttl_s={self._ttl_s})"


def _reopened(url: str, prefix: str, ttl_s: int | None, precision: Precision) -> RedisCache:
    return RedisCache(url, prefix=prefix, ttl_s=ttl_s, precision=precision)


class ByteStoreCache:
    """Entries in a LangChain `ByteStore`, under `prefix` and the key in hexadecimal digits.

    `precision` as `FileCache`.
    """

    def __init__(self, store: ByteStore, *, prefix: str = "embedpipe-", precision: Precision = "float32") -> None:
        self.precision = checked_precision(precision)
        self._store = store
        self._given = Given(store)
        self._prefix = prefix

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The value of each key in order, None where there is none."""
        return self._store.mget([self._prefix + key.hex() for key in keys])

    def put_many(self, entries: Sequence[tuple[bytes, bytes]]) -> None:
        """Keeps each (key, value)."""
        self._store.mset([(self._prefix + key.hex(), value) for key, value in entries])

    def __repr__(self) -> str:
        return f"ByteStoreCache({type(self._store).__name__}, prefix={self._prefix!r})"
