"""The vector index and the indexes on metadata keys: built, listed and dropped."""

from embedpipe.storage.indexes import metadata_index, vector_index
from embedpipe.storage.indexes.metadata_index import MetadataIndex
from embedpipe.storage.indexes.states import has_index, index_states
from embedpipe.storage.indexes.vector_index import IndexProgress

__all__ = ["IndexProgress", "MetadataIndex", "has_index", "index_states", "metadata_index", "vector_index"]
