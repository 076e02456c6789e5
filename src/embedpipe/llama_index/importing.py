"""What LlamaIndex's Postgres store holds, taken over without embedding it again."""

from __future__ import annotations

from collections.abc import Callable

from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.utils import metadata_dict_to_node

from embedpipe.errors import InputError
from embedpipe.llama_index._nodes import to_chunk
from embedpipe.storage import Database, PgVectorStore
from embedpipe.storage.transfer import ImportReport, SourceRow, import_rows, llama_index_table
from embedpipe.types import Chunk


def import_table(
    store: PgVectorStore,
    table_name: str,
    *,
    schema_name: str = "public",
    source: Database | str | None = None,
    on_progress: Callable[[ImportReport], None] | None = None,
) -> ImportReport:
    """What became of the nodes of a `PGVectorStore`: they come back as it would give them, with ids and relationships.

    `table_name` and `schema_name` are what that store was made with. `store` is bound to the model that the nodes were
    embedded with. `source` is where the table lies, by default the store's own database. Of a node that was stored
    several times, the last counts; a second run writes the same again. Raises `SchemaError` for a missing table and
    `ModelMismatchError` for vectors of another dimension.
    """
    rows = llama_index_table(table_name, schema=schema_name)
    return import_rows(store, rows, _chunk, database=source, on_progress=on_progress)


def _chunk(row: SourceRow) -> Chunk:
    if "_node_content" not in row.metadata:  # of an early version
        return to_chunk(TextNode(id_=row.id, text=row.text, metadata=dict(row.metadata)))
    try:
        return to_chunk(metadata_dict_to_node(dict(row.metadata), text=row.text))
    except (TypeError, ValueError) as error:
        raise InputError(f"Row {row.id!r:.200} holds no node that LlamaIndex reads: {error}") from error
