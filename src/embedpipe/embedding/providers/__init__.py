"""From a model's name or a framework's embeddings to a backend, and what the backends behind a network share."""

from embedpipe.embedding.providers.frameworks import (
    LangChainEmbeddings,
    LlamaIndexEmbedding,
    WrappedModel,
    check_published,
)

__all__ = ["LangChainEmbeddings", "LlamaIndexEmbedding", "WrappedModel", "check_published"]
