"""From texts to vectors, whatever the model."""

from embedpipe.embedding.backend import Limits, Retry
from embedpipe.embedding.cache import VectorCache
from embedpipe.embedding.catalogue import recommend
from embedpipe.embedding.cohere import CohereModel
from embedpipe.embedding.file_cache import CacheStats, FileCache
from embedpipe.embedding.generator import EmbeddingGenerator
from embedpipe.embedding.local import LocalModel
from embedpipe.embedding.openai import OpenAIModel
from embedpipe.embedding.results import EmbeddingAttempt, EmbeddingBatch, EmbeddingResult
from embedpipe.embedding.stores import ByteStoreCache, RedisCache
from embedpipe.embedding.wrapped import WrappedModel

__all__ = [
    "ByteStoreCache",
    "CacheStats",
    "CohereModel",
    "EmbeddingAttempt",
    "EmbeddingBatch",
    "EmbeddingGenerator",
    "EmbeddingResult",
    "FileCache",
    "Limits",
    "LocalModel",
    "OpenAIModel",
    "RedisCache",
    "Retry",
    "VectorCache",
    "WrappedModel",
    "recommend",
]
