"""Searches: dense, lexical and hybrid. Chunks looked up by id, document or condition, and what is near a stored one."""

from embedpipe.storage.search import cosine_sample, dense, execution, lookup, neighbors
from embedpipe.storage.search.cosine_sample import CosineSample
from embedpipe.storage.search.lookup import CHUNK_COLUMNS, StoredVectors
from embedpipe.storage.search.options import MAX_K, Fusion, FusionMethod, Search, as_fusion

__all__ = [
    "CHUNK_COLUMNS",
    "MAX_K",
    "CosineSample",
    "Fusion",
    "FusionMethod",
    "Search",
    "StoredVectors",
    "as_fusion",
    "cosine_sample",
    "dense",
    "execution",
    "lookup",
    "neighbors",
]
