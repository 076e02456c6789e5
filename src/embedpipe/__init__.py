"""Text in, cited passages out: chunking, embedding, pgvector storage, hybrid retrieval, answers that can be checked."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embedpipe.answering import OpenAIChat
    from embedpipe.chunking import RecursiveChunker
    from embedpipe.embedding import EmbeddingBatch, EmbeddingGenerator, EmbeddingResult
    from embedpipe.errors import EmbedPipeError
    from embedpipe.ingest import AsyncBatchProcessor, ContextualHeader, ProcessedDocument, ProcessingStats
    from embedpipe.rag import RAGPipeline, RAGResponse
    from embedpipe.service import SemanticSearchService
    from embedpipe.storage import AsyncPgVectorStore, Database, Field, PgVectorStore, Table
    from embedpipe.types import Chunk, Document, ModelSpec, SearchResult

__version__ = "0.1.0"

__all__ = [
    "AsyncBatchProcessor",
    "AsyncPgVectorStore",
    "Chunk",
    "ContextualHeader",
    "Database",
    "Document",
    "EmbedPipeError",
    "EmbeddingBatch",
    "EmbeddingGenerator",
    "EmbeddingResult",
    "Field",
    "ModelSpec",
    "OpenAIChat",
    "PgVectorStore",
    "ProcessedDocument",
    "ProcessingStats",
    "RAGPipeline",
    "RAGResponse",
    "RecursiveChunker",
    "SearchResult",
    "SemanticSearchService",
    "Table",
]

_HOMES = {
    "embedpipe.answering.chat": ["OpenAIChat"],
    "embedpipe.chunking": ["RecursiveChunker"],
    "embedpipe.embedding": ["EmbeddingBatch", "EmbeddingGenerator", "EmbeddingResult"],
    "embedpipe.errors": ["EmbedPipeError"],
    "embedpipe.ingest": ["AsyncBatchProcessor", "ContextualHeader", "ProcessedDocument", "ProcessingStats"],
    "embedpipe.rag": ["RAGPipeline", "RAGResponse"],
    "embedpipe.service": ["SemanticSearchService"],
    "embedpipe.storage": ["AsyncPgVectorStore", "Database", "Field", "PgVectorStore", "Table"],
    "embedpipe.types": ["Chunk", "Document", "ModelSpec", "SearchResult"],
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """A public name, imported at its first use: SQLAlchemy and numpy alone take most of a second on a slow machine."""
    if name not in _HOME:
        raise AttributeError(f"module 'embedpipe' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
