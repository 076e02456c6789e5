"""From a model's name or a framework's embeddings to a backend, and what the backends behind a network share."""

from embedpipe.embedding.providers.frameworks import (
    LangChainEmbeddings,
    LlamaIndexEmbedding,
    WrappedModel,
    check_published,
)
from embedpipe.embedding.providers.registry import as_model, model_named

__all__ = [
    "LangChainEmbeddings",
    "LlamaIndexEmbedding",
    "WrappedModel",
    "as_model",
    "check_published",
    "model_named",
]
