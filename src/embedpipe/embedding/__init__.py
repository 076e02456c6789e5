"""From texts to vectors, whatever the model.

Start with `generator`. `engine/` is its loop, `cache/` keeps vectors between calls, `providers/` finds a model by its
name, `catalogue` lists published models. A provider is a module with the name of its prefix: `openai`, `cohere`,
`local/`. Other packages import from here only.
"""

from embedpipe._providers import Retry
from embedpipe.embedding import catalogue
from embedpipe.embedding.backend import EmbeddingResponse, LimitedModel, Limits, RemoteModel
from embedpipe.embedding.cache import (
    ByteStoreCache,
    CacheLike,
    CacheStats,
    FileCache,
    RedisCache,
    TextCache,
    VectorCache,
)
from embedpipe.embedding.catalogue import recommend
from embedpipe.embedding.checking import Finding, check_model
from embedpipe.embedding.cohere import CohereModel
from embedpipe.embedding.engine import (
    EmbeddingAttempt,
    EmbeddingBatch,
    EmbeddingResult,
    Limiter,
    RateLimiter,
    check_late_chunking,
)
from embedpipe.embedding.generator import EmbeddingGenerator, checked_generator
from embedpipe.embedding.local import LocalModel
from embedpipe.embedding.openai import OpenAIModel
from embedpipe.embedding.providers import LangChainEmbeddings, WrappedModel, check_published
from embedpipe.embedding.vectors import find_unusable, to_unit_length
from embedpipe.text import TokenCountingModel

__all__ = [
    "ByteStoreCache",
    "CacheLike",
    "CacheStats",
    "CohereModel",
    "EmbeddingAttempt",
    "EmbeddingBatch",
    "EmbeddingGenerator",
    "EmbeddingResponse",
    "EmbeddingResult",
    "FileCache",
    "Finding",
    "LangChainEmbeddings",
    "LimitedModel",
    "Limiter",
    "Limits",
    "LocalModel",
    "OpenAIModel",
    "RateLimiter",
    "RedisCache",
    "RemoteModel",
    "Retry",
    "TextCache",
    "TokenCountingModel",
    "VectorCache",
    "WrappedModel",
    "catalogue",
    "check_late_chunking",
    "check_model",
    "check_published",
    "checked_generator",
    "find_unusable",
    "recommend",
    "to_unit_length",
]
