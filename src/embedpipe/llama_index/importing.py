"""Import the tables of LlamaIndex's Postgres store without embedding again."""

from __future__ import annotations

from collections.abc import Callable

from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.utils import metadata_dict_to_node

from embedpipe.errors import InputError
from embedpipe.llama_index._nodes import to_chunk
from embedpipe.storage import Database, PgVectorStore
from embedpipe.storage.transfer import ImportReport, LlamaIndexTable, SourceRow, import_rows
from embedpipe.types import Chunk


def import_table(
    store: PgVectorStore,
    table_name: str,
    *,
    schema_name: str = "public",
    source: Database | str | None = None,
    on_progress: Callable[[ImportReport], None] | None = None,
) -> ImportReport:
    """Import the nodes of a `PGVectorStore` with their ids, relationships and vectors.

    If a node is stored several times, the last one counts. A second run writes the same again.

    Args:
        store: The store to write to, bound to the model of the vectors.
        table_name: The `table_name` of the `PGVectorStore`.
        schema_name: The `schema_name` of the `PGVectorStore`.
        source: The database of the table. None means the store's own.
        on_progress: Called with the report after each batch.

    Returns:
        The number of rows imported, and the errors of those that were not.

    Raises:
        SchemaError: If the table is missing.
        ModelMismatchError: If the vectors have another dimension than the store's model.
    """
    rows = LlamaIndexTable(name=table_name, schema=schema_name)
    return import_rows(store, rows, _chunk, database=source, on_progress=on_progress)


def _chunk(row: SourceRow) -> Chunk:
    if "_node_content" not in row.metadata:  # a row of an early version
        return to_chunk(TextNode(id_=row.id, text=row.text, metadata=dict(row.metadata)))
    try:
        return to_chunk(metadata_dict_to_node(dict(row.metadata), text=row.text))
    except (TypeError, ValueError) as error:
        raise InputError(f"LlamaIndex cannot read the node of row {row.id!r:.200}: {error}") from error
