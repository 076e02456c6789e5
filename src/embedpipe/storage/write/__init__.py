"""Writing and deleting chunks and documents.

Imported from outside of `embedpipe.storage` too, by whoever prepares documents for it.
"""

from embedpipe.storage.write import answers, chunks, documents, forgetting, refusals, statements
from embedpipe.storage.write.answers import KeptAnswer
from embedpipe.storage.write.chunks import ChunkRows, check_size, checked_id, checked_rows, select_rows
from embedpipe.storage.write.documents import (
    ConcurrentChangeError,
    DocumentBatch,
    DocumentRow,
    Known,
    StoredDocument,
    Written,
)
from embedpipe.storage.write.forgetting import Forgotten

__all__ = [
    "ChunkRows",
    "ConcurrentChangeError",
    "DocumentBatch",
    "DocumentRow",
    "Forgotten",
    "KeptAnswer",
    "Known",
    "StoredDocument",
    "Written",
    "answers",
    "check_size",
    "checked_id",
    "checked_rows",
    "chunks",
    "documents",
    "forgetting",
    "refusals",
    "select_rows",
    "statements",
]
