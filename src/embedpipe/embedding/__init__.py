"""From texts to vectors, whatever the model."""

from embedpipe.embedding.backend import Limits, Retry
from embedpipe.embedding.catalogue import recommend
from embedpipe.embedding.generator import EmbeddingGenerator
from embedpipe.embedding.local import LocalModel
from embedpipe.embedding.openai import OpenAIModel
from embedpipe.embedding.results import EmbeddingAttempt, EmbeddingBatch, EmbeddingResult

__all__ = [
    "EmbeddingAttempt",
    "EmbeddingBatch",
    "EmbeddingGenerator",
    "EmbeddingResult",
    "Limits",
    "LocalModel",
    "OpenAIModel",
    "Retry",
    "recommend",
]
