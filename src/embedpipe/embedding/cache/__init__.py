"""Keep vectors between calls: the protocol of a cache, the bytes of an entry, and the caches themselves."""

from embedpipe.embedding.cache.caches import ByteStoreCache, CacheLike, RedisCache, opened
from embedpipe.embedding.cache.entries import KeyMaker, Precision, VectorCache
from embedpipe.embedding.cache.file_cache import CacheStats, FileCache

__all__ = [
    "ByteStoreCache",
    "CacheLike",
    "CacheStats",
    "FileCache",
    "KeyMaker",
    "Precision",
    "RedisCache",
    "VectorCache",
    "opened",
]
