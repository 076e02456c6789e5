"""Which indexes on vectors there are, and whether each is valid."""

from __future__ import annotations

from sqlalchemy import Connection, text

from embedpipe.storage.tables import Collection, quoted


def has_index(connection: Connection, collection: Collection) -> bool:
    """Whether the vector index is there and valid."""
    return index_states(connection, collection).get(collection.vector_index, False)


def index_states(connection: Connection, collection: Collection) -> dict[str, bool]:
    """Whether each index on the vectors is valid, by its name; without the primary key and what others made.

    Raises the server's UndefinedTable where the vectors are gone.
    """
    statement = text(
        "SELECT relname, indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "
        "JOIN pg_am ON pg_am.oid = relam WHERE indrelid = CAST(:vectors AS regclass) AND amname IN ('hnsw', 'ivfflat')"
    )
    rows = connection.execute(statement, {"vectors": quoted(connection, collection.vectors)})
    return {name: valid for name, valid in rows if name.startswith(collection.index_prefix)}
