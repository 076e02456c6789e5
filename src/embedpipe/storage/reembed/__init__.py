"""A change of model: the collection's chunks embedded anew, and the vectors of each model they were embedded with."""

from embedpipe.storage.reembed.embedding_versions import drop_embedding_versions
from embedpipe.storage.reembed.run import Reembedding, ReembedProgress

__all__ = ["ReembedProgress", "Reembedding", "drop_embedding_versions"]
