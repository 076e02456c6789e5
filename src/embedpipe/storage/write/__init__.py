"""Writing and deleting chunks and documents.

Imported from outside of `embedpipe.storage` too, by whoever prepares documents for it.
"""

from embedpipe.storage.write import chunks, documents, refusals, statements
from embedpipe.storage.write.chunks import ChunkRows, check_size, checked_id, checked_rows, select_rows
from embedpipe.storage.write.documents import (
    ConcurrentChangeError,
    DocumentBatch,
    DocumentRow,
    Known,
    StoredDocument,
    Written,
)

__all__ = [
    "ChunkRows",
    "ConcurrentChangeError",
    "DocumentBatch",
    "DocumentRow",
    "Known",
    "StoredDocument",
    "Written",
    "check_size",
    "checked_id",
    "checked_rows",
    "chunks",
    "documents",
    "refusals",
    "select_rows",
    "statements",
]
