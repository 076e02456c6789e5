"""Searches: dense, lexical and hybrid. Chunks looked up by id, document or condition, and what is near a stored one."""

from embedpipe.storage.search import cosine_sample, dense, execution, history, lookup, neighbors, overview
from embedpipe.storage.search.cosine_sample import CosineSample
from embedpipe.storage.search.history import DocumentVersion
from embedpipe.storage.search.lookup import CHUNK_COLUMNS, StoredVectors
from embedpipe.storage.search.options import MAX_K, Fusion, FusionMethod, Recency, Search, as_fusion
from embedpipe.storage.search.overview import ListedDocument, MetadataKey

__all__ = [
    "CHUNK_COLUMNS",
    "MAX_K",
    "CosineSample",
    "DocumentVersion",
    "Fusion",
    "FusionMethod",
    "ListedDocument",
    "MetadataKey",
    "Recency",
    "Search",
    "StoredVectors",
    "as_fusion",
    "cosine_sample",
    "dense",
    "execution",
    "history",
    "lookup",
    "neighbors",
    "overview",
]
