"""What langchain-postgres stored, taken over without embedding it again."""

from __future__ import annotations

from collections.abc import Callable

from embedpipe.langchain._documents import DOCUMENT_KEYS, DocumentKey, Placing
from embedpipe.storage import Database, PgVectorStore
from embedpipe.storage.transfer import (
    ImportReport,
    Source,
    SourceRow,
    import_rows,
    langchain_collection,
    langchain_table,
)
from embedpipe.types import Chunk

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
    """What became of the documents of a `PGVector` collection: ids, texts, metadata and vectors are those stored.

    `store` is bound to the model that they were embedded with. `source` is where the collection lies, by default the
    store's own database. `document_key` names the metadata that say of which document a text is, as in
    `EmbedPipeVectorStore`. A second run writes the same again. Raises `CollectionNotFoundError`, which names those
    there are, `SchemaError` for a missing table and `ModelMismatchError` for vectors of another dimension.
    """
    return _import(store, langchain_collection(collection, schema=schema), source, document_key, on_progress)


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
    """As `import_collection`, of a `PGVectorStore`'s own table, whose further columns are metadata too.

    `id_column` None is its primary key. Values that JSON does not have, such as dates, become text.
    """
    rows = langchain_table(
        table,
        schema=schema,
        content=content_column,
        embedding=embedding_column,
        metadata=metadata_json_column,
        id=id_column,
    )
    return _import(store, rows, source, document_key, on_progress)


def _import(
    store: PgVectorStore,
    rows: Source,
    source: Database | str | None,
    key: DocumentKey,
    on_progress: Progress | None,
) -> ImportReport:
    placing = Placing(key)

    def chunk(row: SourceRow) -> Chunk:
        return placing.chunk(f"Row {row.id!r:.200}", row.text, row.metadata, row.id)

    return import_rows(store, rows, chunk, database=source, on_progress=on_progress)
