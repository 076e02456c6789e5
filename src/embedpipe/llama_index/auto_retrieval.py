"""What a LlamaIndex `VectorIndexAutoRetriever` needs to know of a collection."""

from __future__ import annotations

from llama_index.core.vector_stores import MetadataInfo, VectorStoreInfo

from embedpipe.storage.metadata import MetadataDescription


def vector_store_info(description: MetadataDescription, content_info: str) -> VectorStoreInfo:
    """Return what a model must know to write filters.

    Args:
        description: What `service.describe_metadata()` returned. Pass it to the `EmbedPipeVectorStore`, too, so that
            the filters that the model writes are fitted to it.
        content_info: What the documents are about, for the model.
    """
    keys = [
        MetadataInfo(name=key.name, type=f"list of {key.type}s" if key.is_list else key.type, description=key.summary)
        for key in description.keys
    ]
    return VectorStoreInfo(metadata_info=keys, content_info=content_info)
