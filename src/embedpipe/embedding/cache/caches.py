"""Other keepers of vectors behind the cache's protocol: Redis and LangChain's byte stores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any, Protocol, TypeAlias, runtime_checkable
from urllib.parse import urlsplit

from embedpipe._forking import Given
from embedpipe._optional import require
from embedpipe.embedding.cache.entries import Precision, VectorCache, checked_precision
from embedpipe.embedding.cache.file_cache import FileCache
from embedpipe.errors import ConfigurationError


@runtime_checkable
class ByteStore(Protocol):
    """The part of LangChain's `ByteStore` that is used here."""

    def mget(self, keys: Sequence[str]) -> list[bytes | None]: ...

    def mset(self, key_value_pairs: Sequence[tuple[str, bytes]]) -> None: ...


_PATIENCE_S = 5.0
_REST_S = 30
"""A connection that lay unused for longer is tried before it is used."""
_LEFT_ALONE_S = 30.0

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

    With a URL, connecting and each reply may take 5 s, unless it says otherwise (`?socket_timeout=2`). A server that
    was not reached is left alone for half a minute: nothing is found and nothing is kept meanwhile.
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
        self._url = client if isinstance(client, str) and not _has_secret(client) else None
        if isinstance(client, str):
            client = _connected(client)
        self._client = client
        self._left_alone_until = -inf
        self._given = Given(client)
        self._prefix = prefix
        self._ttl_s = ttl_s

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The value of each key in order, None where there is none."""
        if self._is_left_alone():
            return [None] * len(keys)
        with self._left_alone_if_lost():
            values: list[bytes | None] = self._client.mget([self._prefix + key.hex() for key in keys])
        return values

    def put_many(self, entries: Sequence[tuple[bytes, bytes]]) -> None:
        """Keeps each (key, value), in one round trip."""
        if self._is_left_alone():
            return
        with self._left_alone_if_lost(), self._client.pipeline(transaction=False) as pipeline:
            for key, value in entries:
                pipeline.set(self._prefix + key.hex(), value, ex=self._ttl_s)
            pipeline.execute()

    def _is_left_alone(self) -> bool:
        return monotonic() < self._left_alone_until

    @contextmanager
    def _left_alone_if_lost(self) -> Iterator[None]:
        """Leave a server that cannot be reached alone for a while: else each batch of an ingest would wait for it."""
        try:
            yield
        except Exception as error:
            lost = require("redis", extra="redis").exceptions
            if isinstance(error, lost.ConnectionError | lost.TimeoutError):
                self._left_alone_until = monotonic() + _LEFT_ALONE_S
            raise

    def __reduce__(self) -> tuple[Any, ...]:
        if self._url is None:
            raise ConfigurationError(
                "A Redis cache was to be pickled, and it was made of a client or of a URL with a password, which "
                "does not travel. Make the cache where it is used."
            )
        return _reopened, (self._url, self._prefix, self._ttl_s, self.precision)

    def __repr__(self) -> str:
        return f"RedisCache(prefix={self._prefix!r}, ttl_s={self._ttl_s})"


def _connected(url: str) -> Any:
    """A client that gives up in time. What the URL says of it wins."""
    redis = require("redis", extra="redis")
    # A broken connection is replaced at once; redis-py's own retries would wait for ten timeouts.
    retry = redis.retry.Retry(redis.backoff.NoBackoff(), 1, supported_errors=(redis.exceptions.ConnectionError,))
    options = {"socket_timeout": _PATIENCE_S, "health_check_interval": _REST_S, "retry": retry}
    if not url.startswith("unix:"):
        options |= {"socket_connect_timeout": _PATIENCE_S, "socket_keepalive": True}
    try:
        return redis.Redis.from_url(url, **options)
    except (ValueError, TypeError):  # its message may quote a part of the password
        raise ConfigurationError(
            "The redis:// URL of cache= cannot be read; expected redis://user:password@host:port/number. "
            "Percent-encode the password: @ is %40, / is %2F, : is %3A."
        ) from None


def _has_secret(url: str) -> bool:
    """Whether a URL of Redis has a password, before the host or among the options."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return True
    return bool(parts.password) or "@" in parts.path or "password" in parts.query.lower()


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
