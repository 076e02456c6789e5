"""Chunks and vectors in PostgreSQL: `PgVectorStore`, its async twin, and the conditions that searches take.

Other packages import from here, and from the folders `admin`, `embedded`, `filters`, `transfer`, `types` and `write`.
All else is private.
"""

from embedpipe.storage.admin import Health
from embedpipe.storage.async_store import AsyncPgVectorStore
from embedpipe.storage.database import Database
from embedpipe.storage.filters import Field, Filter
from embedpipe.storage.for_model import bound, bound_where_new
from embedpipe.storage.indexes import IndexProgress, MetadataIndex
from embedpipe.storage.plans import MAX_K, Condition
from embedpipe.storage.reembed import ReembedProgress
from embedpipe.storage.search import Fusion
from embedpipe.storage.store import PgVectorStore
from embedpipe.storage.tables import BM25, INDEX_FROM, Collection, CollectionSettings, VectorIndex

__all__ = [
    "BM25",
    "INDEX_FROM",
    "MAX_K",
    "AsyncPgVectorStore",
    "Collection",
    "CollectionSettings",
    "Condition",
    "Database",
    "Field",
    "Filter",
    "Fusion",
    "Health",
    "IndexProgress",
    "MetadataIndex",
    "PgVectorStore",
    "ReembedProgress",
    "VectorIndex",
    "bound",
    "bound_where_new",
]
