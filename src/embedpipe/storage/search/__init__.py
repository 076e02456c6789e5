"""Searches, and what stands near a chunk that is stored."""

from embedpipe.storage.search import hybrid, similar
from embedpipe.storage.search.hybrid import Fusion, FusionMethod, Search, as_fusion
from embedpipe.storage.search.similar import StoredVectors

__all__ = ["Fusion", "FusionMethod", "Search", "StoredVectors", "as_fusion", "hybrid", "similar"]
