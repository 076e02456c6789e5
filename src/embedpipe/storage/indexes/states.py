"""The vector indexes that PostgreSQL has, and whether each is valid."""

from __future__ import annotations

from sqlalchemy import Connection, text

from embedpipe.storage.tables import METHODS, Collection, quoted


def has_index(connection: Connection, collection: Collection) -> bool:
    """Return whether the collection's vector index is there and valid."""
    return index_states(connection, collection).get(collection.vector_index, False)


def index_states(connection: Connection, collection: Collection) -> dict[str, bool]:
    """Return the names of the indexes on a collection's vectors, and whether each is valid.

    Leave out the primary key, and indexes that others made. Raise the server's UndefinedTable if the table is gone.
    """
    statement = text(
        "SELECT relname, indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "
        "JOIN pg_am ON pg_am.oid = relam WHERE indrelid = CAST(:vectors AS regclass) AND amname = ANY (:methods)"
    )
    rows = connection.execute(statement, {"vectors": quoted(connection, collection.vectors), "methods": list(METHODS)})
    return {name: valid for name, valid in rows if name.startswith(collection.index_prefix)}
