"""A cache of vectors in Redis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import inf
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from embedpipe._forking import Given
from embedpipe._optional import require
from embedpipe.embedding.cache.entries import Precision, checked_precision
from embedpipe.errors import ConfigurationError

_TIMEOUT_S = 5.0
_HEALTH_CHECK_S = 30
"""A connection that was unused for longer is tested before it is used."""
_LEFT_ALONE_S = 30.0


class RedisCache:
    """Keeps entries in Redis, under `prefix` and the key in hexadecimal digits.

    With a URL, connecting and each reply may take 5 s, unless the URL says otherwise (`?socket_timeout=2`). If the
    server is not reached, it is left alone for half a minute: nothing is found and nothing is kept meanwhile.

    Args:
        client: A URL, or a `redis.Redis` that does not decode its replies.
        prefix: What each key in Redis begins with.
        ttl_s: Seconds after which an entry expires; None for never. To bound the memory, set Redis's own `maxmemory`
            and an `allkeys` policy.
        precision: As for `FileCache`.
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
        """Return the value of each key, in order; None for a key that has none."""
        if self._is_left_alone():
            return [None] * len(keys)
        with self._left_alone_if_lost():
            values: list[bytes | None] = self._client.mget([self._prefix + key.hex() for key in keys])
        return values

    def put_many(self, entries: Sequence[tuple[bytes, bytes]]) -> None:
        """Keep each (key, value), in one round trip."""
        if self._is_left_alone():
            return
        with self._left_alone_if_lost(), self._client.pipeline(transaction=False) as pipeline:
            for key, value in entries:
                pipeline.set(self._prefix + key.hex(), value, ex=self._ttl_s)
            pipeline.execute()

    def delete_many(self, keys: Sequence[bytes]) -> int:
        """Delete the entries of these keys. Return how many there were.

        Raises:
            Exception: What the client raises if the server is not reached.
        """
        return int(self._client.delete(*[self._prefix + key.hex() for key in keys])) if keys else 0

    def _is_left_alone(self) -> bool:
        return monotonic() < self._left_alone_until

    @contextmanager
    def _left_alone_if_lost(self) -> Iterator[None]:
        """Leave a server alone for a while if it is not reached: else each batch of an ingest would wait for it."""
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
                "This Redis cache cannot be pickled: it was made from a client, or from a URL with a password. "
                "Make it in the process that uses it."
            )
        return _reopened, (self._url, self._prefix, self._ttl_s, self.precision)

    def __repr__(self) -> str:
        return f"RedisCache(prefix={self._prefix!r}, ttl_s={self._ttl_s})"


def _connected(url: str) -> Any:
    """Return a client that gives up in time. Options in the URL win."""
    redis = require("redis", extra="redis")
    # A broken connection is replaced at once; redis-py's own retries would wait for ten timeouts.
    retry = redis.retry.Retry(redis.backoff.NoBackoff(), 1, supported_errors=(redis.exceptions.ConnectionError,))
    options = {"socket_timeout": _TIMEOUT_S, "health_check_interval": _HEALTH_CHECK_S, "retry": retry}
    if not url.startswith("unix:"):
        options |= {"socket_connect_timeout": _TIMEOUT_S, "socket_keepalive": True}
    try:
        return redis.Redis.from_url(url, **options)
    except (ValueError, TypeError):  # its message may quote a part of the password
        raise ConfigurationError(
            "The redis:// URL of cache= cannot be read. Pass redis://user:password@host:port/number, and "
            "percent-encode the password: @ is %40, / is %2F, : is %3A."
        ) from None


def _has_secret(url: str) -> bool:
    """Return whether a URL of Redis has a password, before the host or among the options."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return True
    return bool(parts.password) or "@" in parts.path or "password" in parts.query.lower()


def _reopened(url: str, prefix: str, ttl_s: int | None, precision: Precision) -> RedisCache:
    return RedisCache(url, prefix=prefix, ttl_s=ttl_s, precision=precision)
