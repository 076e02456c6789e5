"""Text in, cited passages out: chunking, embedding, pgvector storage, hybrid retrieval, answers that can be checked."""

from embedpipe.answering.chat import OpenAIChat
from embedpipe.chunking import RecursiveChunker
from embedpipe.embedding import EmbeddingBatch, EmbeddingGenerator, EmbeddingResult
from embedpipe.errors import EmbedPipeError
from embedpipe.ingest import ProcessingStats
from embedpipe.rag import RAGPipeline, RAGResponse
from embedpipe.service import SemanticSearchService
from embedpipe.storage import AsyncPgVectorStore, Database, Field, PgVectorStore
from embedpipe.types import Chunk, Document, ModelSpec, SearchResult

__version__ = "0.1.0"

__all__ = [
    "AsyncPgVectorStore",
    "Chunk",
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
    "ProcessingStats",
    "RAGPipeline",
    "RAGResponse",
    "RecursiveChunker",
    "SearchResult",
    "SemanticSearchService",
]
