"""Chunks and vectors in PostgreSQL: `PgVectorStore`, its async twin, and the conditions that searches take.

Other packages import from here, and from the folders `admin`, `attach`, `embedded`, `filters`, `metadata`, `transfer`,
`types` and `write`. All else is private.
"""

from embedpipe.storage.admin import Database, Health
from embedpipe.storage.async_store import AsyncPgVectorStore
from embedpipe.storage.attach import Table
from embedpipe.storage.filters import Condition, Field, Filter
from embedpipe.storage.for_model import store_for_model, store_for_model_if_new
from embedpipe.storage.indexes import IndexProgress, MetadataIndex
from embedpipe.storage.lexical import UpgradeProgress
from embedpipe.storage.reembed import ReembedProgress
from embedpipe.storage.search import (
    MAX_K,
    CosineSample,
    DocumentVersion,
    Fusion,
    FusionMethod,
    Recency,
    Search,
    as_fusion,
)
from embedpipe.storage.store import PgVectorStore
from embedpipe.storage.tables import BM25, INDEX_FROM, Collection, CollectionSettings, VectorIndex
from embedpipe.storage.write import Forgotten, KeptAnswer

__all__ = [
    "BM25",
    "INDEX_FROM",
    "MAX_K",
    "AsyncPgVectorStore",
    "Collection",
    "CollectionSettings",
    "Condition",
    "CosineSample",
    "Database",
    "DocumentVersion",
    "Field",
    "Filter",
    "Forgotten",
    "Fusion",
    "FusionMethod",
    "Health",
    "IndexProgress",
    "KeptAnswer",
    "MetadataIndex",
    "PgVectorStore",
    "Recency",
    "ReembedProgress",
    "Search",
    "Table",
    "UpgradeProgress",
    "VectorIndex",
    "as_fusion",
    "store_for_model",
    "store_for_model_if_new",
]
