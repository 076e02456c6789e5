"""The loop that every embedding goes through: dedupe, cache, count, batch, send, retry, check, hand back in order."""

from embedpipe.embedding.engine.rate_limiter import Limiter, RateLimiter
from embedpipe.embedding.engine.results import EmbeddingAttempt, EmbeddingBatch, EmbeddingResult

__all__ = ["EmbeddingAttempt", "EmbeddingBatch", "EmbeddingResult", "Limiter", "RateLimiter"]
