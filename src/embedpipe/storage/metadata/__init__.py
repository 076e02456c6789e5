"""Describe the metadata of a collection: keys, types, examples and ranges. Fit filters that models write to it.

Imported from outside of `embedpipe.storage` too, by whoever shows a collection's metadata to a model.
"""

from embedpipe.storage.metadata.coercion import coerced
from embedpipe.storage.metadata.description import KeyDescription, KeyType, MetadataDescription, describe
from embedpipe.storage.metadata.sample import MetadataSample, sample

__all__ = [
    "KeyDescription",
    "KeyType",
    "MetadataDescription",
    "MetadataSample",
    "coerced",
    "describe",
    "sample",
]
