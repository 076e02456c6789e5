"""Chunks and vectors in PostgreSQL: `PgVectorStore`, its async twin, and the conditions that searches take."""

from embedpipe.storage.async_store import AsyncPgVectorStore
from embedpipe.storage.engine import Database
from embedpipe.storage.filters import Field, Filter
from embedpipe.storage.health import Health
from embedpipe.storage.index_building import IndexProgress
from embedpipe.storage.metadata_index import MetadataIndex
from embedpipe.storage.schema import BM25
from embedpipe.storage.search import Fusion
from embedpipe.storage.store import PgVectorStore
from embedpipe.storage.vector_index import VectorIndex

__all__ = [
    "BM25",
    "AsyncPgVectorStore",
    "Database",
    "Field",
    "Filter",
    "Fusion",
    "Health",
    "IndexProgress",
    "MetadataIndex",
    "PgVectorStore",
    "VectorIndex",
]
