"""The loop that every embedding goes through: texts in, checked vectors out. Read `embedding_engine` first."""

from embedpipe.embedding.engine.compressing import Compressor, checked_compressor
from embedpipe.embedding.engine.embedding_engine import EmbeddingEngine, EngineOptions
from embedpipe.embedding.engine.late import check_late_chunking
from embedpipe.embedding.engine.rate_limiter import Limiter, RateLimiter
from embedpipe.embedding.engine.results import EmbeddingAttempt, EmbeddingBatch, EmbeddingResult
from embedpipe.embedding.engine.truncation import OnTooLong

__all__ = [
    "Compressor",
    "EmbeddingAttempt",
    "EmbeddingBatch",
    "EmbeddingEngine",
    "EmbeddingResult",
    "EngineOptions",
    "Limiter",
    "OnTooLong",
    "RateLimiter",
    "check_late_chunking",
    "checked_compressor",
]
