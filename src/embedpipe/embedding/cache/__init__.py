"""Keep vectors between calls: the protocol of a cache, the bytes of an entry, and the caches themselves."""

from embedpipe.embedding.cache.caches import ByteStoreCache, CacheLike, open_cache
from embedpipe.embedding.cache.entries import (
    ForgettingCache,
    KeyMaker,
    Precision,
    Treatment,
    VectorCache,
    decode,
    encode,
    rounded,
)
from embedpipe.embedding.cache.file_cache import CacheStats, FileCache
from embedpipe.embedding.cache.redis_cache import RedisCache
from embedpipe.embedding.cache.text_cache import TextCache

__all__ = [
    "ByteStoreCache",
    "CacheLike",
    "CacheStats",
    "FileCache",
    "ForgettingCache",
    "KeyMaker",
    "Precision",
    "RedisCache",
    "TextCache",
    "Treatment",
    "VectorCache",
    "decode",
    "encode",
    "open_cache",
    "rounded",
]
