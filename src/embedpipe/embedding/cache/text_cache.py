"""Keep what a chat model wrote, in a cache of the same kind as for vectors."""

from __future__ import annotations

import hashlib
import logging
import zlib
from collections.abc import Sequence

from embedpipe.embedding.cache.caches import CacheLike, open_cache
from embedpipe.embedding.cache.entries import HEADER, KEY_SIZE

logger = logging.getLogger(__name__)

_CHECKED_FROM = 4
_TEXT = 0
"""What stands for the type of numbers in an entry that is a text."""


class TextCache:
    """Texts that one model wrote, by a hash of what it was asked. A cache that fails costs requests, never a text."""

    def __init__(self, cache: CacheLike, model: str) -> None:
        self._cache = open_cache(cache)
        self._model = model
        self._start = hashlib.sha256(b"text\0" + model.encode()).digest()[: KEY_SIZE // 2]

    def key(self, *asked: str) -> bytes:
        """Return the key of 32 bytes: half a hash of the model's name, half one of everything that it was asked."""
        digest = hashlib.sha256(self._start)
        for part in asked:
            data = part.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "big"))
            digest.update(data)
        return self._start + digest.digest()[: KEY_SIZE // 2]

    def get_many(self, keys: Sequence[bytes]) -> list[str | None]:
        """Return the text of each key, in order; None for a key that has none, or whose text is damaged."""
        try:
            values = self._cache.get_many(keys)
        except Exception:
            logger.exception("The cache %r cannot be read. What it may hold is asked for again.", self._cache)
            return [None] * len(keys)
        return [None if value is None else _text(key, value) for key, value in zip(keys, values, strict=True)]

    def put(self, key: bytes, text: str) -> None:
        """Keep a text."""
        name = self._model.encode()[:255]
        body = HEADER.pack(0, _TEXT, 0, len(name), 0)[_CHECKED_FROM:] + name + text.encode("utf-8", "surrogatepass")
        try:
            self._cache.put_many([(key, zlib.crc32(body, zlib.crc32(key)).to_bytes(4, "little") + body)])
        except Exception:
            logger.exception("The cache %r cannot be written: a text of %s is not kept.", self._cache, self._model)

    def __repr__(self) -> str:
        return f"TextCache({self._cache!r}, {self._model!r})"


def _text(key: bytes, value: bytes) -> str | None:
    body = value[_CHECKED_FROM:]
    if value[:_CHECKED_FROM] != zlib.crc32(body, zlib.crc32(key)).to_bytes(4, "little"):
        return None
    name_size = HEADER.unpack_from(value)[3]
    return value[HEADER.size + name_size :].decode("utf-8", "surrogatepass")
