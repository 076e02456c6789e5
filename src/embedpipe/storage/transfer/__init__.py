"""Whole collections in and out: snapshots, and importers that read other libraries' tables.

Stands on the stores. Imported by exports, adapters and the command line.
"""

from embedpipe.storage.transfer.importers import (
    BATCH_ROWS,
    ImportReport,
    LangChainCollection,
    LangChainTable,
    LlamaIndexTable,
    Source,
    SourceRow,
    import_rows,
)
from embedpipe.storage.transfer.snapshot import common_beginning, document_ids, in_snapshot, read_chunks, read_documents

__all__ = [
    "BATCH_ROWS",
    "ImportReport",
    "LangChainCollection",
    "LangChainTable",
    "LlamaIndexTable",
    "Source",
    "SourceRow",
    "common_beginning",
    "document_ids",
    "import_rows",
    "in_snapshot",
    "read_chunks",
    "read_documents",
]
