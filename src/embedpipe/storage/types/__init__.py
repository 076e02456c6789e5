"""How Python values travel to PostgreSQL and back: arrays, vectors and JSON.

Imported from outside of `embedpipe.storage` too, by whoever makes rows or reads them.
"""

from embedpipe.storage.types.jsonb import dumps, dumps_value, storable_text
from embedpipe.storage.types.key_order import in_jsonb_order, order_record, ordered
from embedpipe.storage.types.pg_types import (
    BoundArray,
    BytesArray,
    HalfVectorColumn,
    IntegerArray,
    JsonbArray,
    Precision,
    TextArray,
    VectorColumn,
    bound_count,
    bound_vector,
    checked_vectors,
    register_types,
    text_array,
    unpack_vector,
    vector_array,
    vector_column,
)
from embedpipe.storage.types.records import from_record, newer

__all__ = [
    "BoundArray",
    "BytesArray",
    "HalfVectorColumn",
    "IntegerArray",
    "JsonbArray",
    "Precision",
    "TextArray",
    "VectorColumn",
    "bound_count",
    "bound_vector",
    "checked_vectors",
    "dumps",
    "dumps_value",
    "from_record",
    "in_jsonb_order",
    "newer",
    "order_record",
    "ordered",
    "register_types",
    "storable_text",
    "text_array",
    "unpack_vector",
    "vector_array",
    "vector_column",
]
