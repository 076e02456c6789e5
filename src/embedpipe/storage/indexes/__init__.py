"""The vector index and the indexes on metadata keys: built, listed and dropped."""

from embedpipe.storage.indexes import metadata, vector
from embedpipe.storage.indexes.metadata import MetadataIndex
from embedpipe.storage.indexes.states import has_index, index_states
from embedpipe.storage.indexes.vector import IndexProgress

__all__ = ["IndexProgress", "MetadataIndex", "has_index", "index_states", "metadata", "vector"]
