"""The files of an export.

collection.json      the collection's name, model, counts, and how vectors are stored
chunks.parquet       a row for each chunk: ids, place, text, header, metadata and payload as JSON, vector
documents.parquet    a row for each document: id, text if it is kept, metadata as JSON
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from embedpipe._optional import require

FORMAT = 1

DESCRIPTION, CHUNKS, DOCUMENTS = "collection.json", "chunks.parquet", "documents.parquet"
KEY = b"embedpipe"
"""The key of the description in the schema of chunks.parquet. With it, that file can be used alone."""

Stored: TypeAlias = Literal["float32", "int8"]


def arrow() -> Any:
    """Import pyarrow, with its module for Parquet."""
    require("pyarrow.parquet", extra="export")
    return require("pyarrow", extra="export")


def document_schema() -> Any:
    pa = arrow()
    return pa.schema([("id", pa.string()), ("text", pa.string()), ("metadata", pa.string())])


def chunk_schema(dimensions: int, vectors: Stored, description: bytes) -> Any:
    """Return the columns in the order in which the database gives them, with the vector last."""
    pa = arrow()
    number = pa.float32() if vectors == "float32" else pa.int8()
    return pa.schema(
        [
            ("id", pa.string()),
            ("document_id", pa.string()),
            ("chunk_index", pa.int32()),
            ("text", pa.string()),
            ("start_index", pa.int32()),
            ("end_index", pa.int32()),
            ("metadata", pa.string()),
            ("payload", pa.string()),
            ("header", pa.string()),
            ("vector", pa.list_(pa.field("item", number, nullable=False), dimensions)),
        ],
        metadata={KEY: description},
    )
