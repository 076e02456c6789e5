"""Import the vector stores of langchain-postgres without embedding again."""

from __future__ import annotations

from collections.abc import Callable

from embedpipe.langchain._documents import DOCUMENT_KEYS, DocumentKey, Placing
from embedpipe.storage import Database, PgVectorStore
from embedpipe.storage.transfer import ImportReport, LangChainCollection, LangChainTable, import_rows

Progress = Callable[[ImportReport], None]


def import_collection(
    store: PgVectorStore,
    collection: str = "langchain",
    *,
    schema: str = "public",
    source: Database | str | None = None,
    document_key: DocumentKey = DOCUMENT_KEYS,
    on_progress: Progress | None = None,
) -> ImportReport:
    """Import a `PGVector` collection with its ids, texts, metadata and vectors.

    A second run writes the same again.

    Args:
        store: The store to write to, bound to the model of the vectors.
        collection: The name of the `PGVector` collection.
        schema: The database schema of its tables.
        source: The database of the collection. None means the store's own.
        document_key: The metadata keys that hold the document of a text, see `EmbedPipeVectorStore`.
        on_progress: Called with the report after each batch.

    Returns:
        The number of rows imported, and the errors of those that were not.

    Raises:
        CollectionNotFoundError: If there is no such collection. The message lists all collections.
        SchemaError: If a table is missing.
        ModelMismatchError: If the vectors have another dimension than the store's model.
    """
    rows, placing = LangChainCollection(name=collection, schema=schema), Placing(document_key)
    return import_rows(store, rows, placing.row_chunk, database=source, on_progress=on_progress)


def import_table(
    store: PgVectorStore,
    table: str,
    *,
    schema: str = "public",
    content_column: str = "content",
    embedding_column: str = "embedding",
    metadata_json_column: str = "langchain_metadata",
    id_column: str | None = None,
    source: Database | str | None = None,
    document_key: DocumentKey = DOCUMENT_KEYS,
    on_progress: Progress | None = None,
) -> ImportReport:
    """Import the table of a `PGVectorStore`. Further columns become metadata.

    Values without a JSON form, such as dates, become text. A second run writes the same again.

    Args:
        store: The store to write to, bound to the model of the vectors.
        table: The name of the table.
        schema: Its database schema.
        content_column: The column of the texts.
        embedding_column: The column of the vectors.
        metadata_json_column: The column of the metadata.
        id_column: The column of the ids. None takes the primary key.
        source: The database of the table. None means the store's own.
        document_key: The metadata keys that hold the document of a text, see `EmbedPipeVectorStore`.
        on_progress: Called with the report after each batch.

    Returns:
        The number of rows imported, and the errors of those that were not.

    Raises:
        SchemaError: If the table or a column is missing.
        ModelMismatchError: If the vectors have another dimension than the store's model.
    """
    rows = LangChainTable(
        name=table,
        schema=schema,
        content=content_column,
        embedding=embedding_column,
        metadata=metadata_json_column,
        id=id_column,
    )
    placing = Placing(document_key)
    return import_rows(store, rows, placing.row_chunk, database=source, on_progress=on_progress)
