"""Chunks and vectors in PostgreSQL: `PgVectorStore`, its async twin, and the conditions that searches take."""

from embedpipe.storage.admin.health import Health
from embedpipe.storage.async_store import AsyncPgVectorStore
from embedpipe.storage.database.pool import Database
from embedpipe.storage.filters.fields import Field, Filter
from embedpipe.storage.indexes.metadata import MetadataIndex
from embedpipe.storage.indexes.vector import IndexProgress
from embedpipe.storage.search.hybrid import Fusion
from embedpipe.storage.store import PgVectorStore
from embedpipe.storage.tables.collection import BM25
from embedpipe.storage.types.vector_index import VectorIndex

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
