"""Findings, and the quick checks that find them: of the database, the role, and a collection's index.

Nothing here reads a table of a collection from end to end. `health` runs these checks alone. `diagnosis` runs them,
too, and counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, bindparam, func, inspect, select, text
from sqlalchemy.dialects.postgresql import ARRAY, TEXT

from embedpipe.errors import SchemaError
from embedpipe.storage.indexes import has_index
from embedpipe.storage.search import dense
from embedpipe.storage.tables import (
    INDEX_FROM,
    Catalogue,
    Collection,
    find_collection,
    pending_migrations,
    quoted,
    written_tables,
)
from embedpipe.storage.types import bound_vector

_SESSION = text("SELECT pg_is_in_recovery() AS standby, current_setting('transaction_read_only') = 'on' AS read_only")
_LACKING = text(
    "SELECT name, string_agg(privilege, ', ' ORDER BY privilege) "
    "FROM unnest(:tables) AS name CROSS JOIN unnest(:privileges) AS privilege "
    "WHERE has_table_privilege(to_regclass(name), privilege) IS NOT TRUE GROUP BY name ORDER BY name"
).bindparams(bindparam("tables", type_=ARRAY(TEXT)), bindparam("privileges", type_=ARRAY(TEXT)))
_MAY_CREATE = text(
    "SELECT CASE WHEN EXISTS (SELECT FROM pg_namespace WHERE nspname = :schema)"
    "       THEN has_schema_privilege(:schema, 'CREATE')"
    "       ELSE has_database_privilege(current_database(), 'CREATE') END"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault, or something that could be better.

    Attributes:
        collection: Name of the collection that it is about. None for the whole database.
        message: What was found.
        advice: What to do.
        wrong: Whether results are wrong or may be. If not, it only costs time or space.
    """

    collection: str | None
    message: str
    advice: str
    wrong: bool


def check_extension(connection: Connection) -> Iterator[Finding]:
    """Check that the database has pgvector, in the version of its server."""
    versions = text("SELECT installed_version, default_version FROM pg_available_extensions WHERE name = 'vector'")
    row = connection.execute(versions).first()
    if row is None:
        advice = "Install pgvector 0.8 or newer on the server."
        yield Finding(None, "The server does not have pgvector.", advice, wrong=True)
    elif row.installed_version is None:
        advice = "Run `embedpipe db migrate`, or have an administrator run what it prints with --sql."
        yield Finding(None, "The extension pgvector is not in the database.", advice, wrong=True)
    elif row.installed_version != row.default_version:
        message = f"The database has pgvector {row.installed_version}, and the server has {row.default_version}."
        yield Finding(None, message, "Run: ALTER EXTENSION vector UPDATE;", wrong=False)


def check_migrations(connection: Connection, schema: str) -> tuple[int | None, list[Finding]]:
    """Check that all migrations of this embedpipe are applied, and none of a newer one.

    Returns:
        The number of the last migration, None before anything was created, and what was found.
    """
    if not inspect(connection).has_table("migrations", schema=schema):
        return None, []
    last = connection.scalar(select(func.max(Catalogue(schema).migrations.c.number)))
    try:
        pending = pending_migrations(connection, schema)
    except SchemaError as error:
        return last, [Finding(None, str(error), "Until then, no collection can be read.", wrong=True)]
    message, advice = f"{len(pending)} migrations are not applied.", "Run `embedpipe db migrate`."
    return last, [Finding(None, message, advice, wrong=True)] if pending else []


def find_or_explain(connection: Connection, schema: str, name: str) -> tuple[Collection | None, list[Finding]]:
    """Find a collection. If a newer embedpipe has recorded it, say so."""
    try:
        return find_collection(connection, schema, name), []
    except SchemaError as error:
        advice = "Until then, the collection can be neither searched nor written."
        return None, [Finding(name, str(error), advice, wrong=True)]


def check_session(connection: Connection) -> Iterator[Finding]:
    """Check that the database takes writes."""
    state = connection.execute(_SESSION).one()
    if state.standby:
        advice = "Searches work. Connect to the primary to ingest."
        yield Finding(None, "The database is a standby, which takes no writes.", advice, wrong=True)
    elif state.read_only:
        message = "The database takes no writes, because default_transaction_read_only is on."
        advice = "Set it to off for the server, the database, the role, or in the URL."
        yield Finding(None, message, advice, wrong=True)


def check_reading(connection: Connection, collection: Collection) -> Iterator[Finding]:
    """Check that the role may read the collection's tables."""
    yield from _check_privileges(connection, collection, "SELECT")


def check_writing(connection: Connection, collection: Collection) -> Iterator[Finding]:
    """Check that the role may write the collection's tables."""
    yield from _check_privileges(connection, collection, "INSERT", "UPDATE", "DELETE")


def check_creating(connection: Connection, schema: str) -> Iterator[Finding]:
    """Check that the role may create a collection."""
    if not connection.scalar(_MAY_CREATE, {"schema": schema}):
        message = f"The role may not create a collection in schema {schema!r}."
        command = "embedpipe db migrate --sql --collection NAME --model MODEL --grant-to ROLE"
        advice = f"Have an administrator run what `{command}` prints."
        yield Finding(None, message, advice, wrong=True)


def _check_privileges(connection: Connection, collection: Collection, *privileges: str) -> Iterator[Finding]:
    names = [quoted(connection, table) for table in written_tables(collection)]
    lacking = connection.execute(_LACKING, {"tables": names, "privileges": list(privileges)}).all()
    if lacking:
        what = ", ".join(f"{privilege} on {table}" for table, privilege in lacking)
        advice = "Have an administrator run what `embedpipe db migrate --sql --collection NAME --grant-to ROLE` prints."
        yield Finding(collection.name, f"The role lacks {what}.", advice, wrong=True)


def check_index(name: str, index: str | None, *, serves: bool | None, vectors: int) -> Iterator[Finding]:
    """Check that a large collection has a vector index that searches use.

    Args:
        name: Name of the collection.
        index: Method and kind of its index, None if it has none.
        serves: Whether searches use the index.
        vectors: Number of its vectors.
    """
    if vectors < INDEX_FROM:
        return
    if index is None:
        message = f"There is no vector index, so every search compares with {vectors} vectors."
        yield Finding(name, message, "Call create_index().", wrong=False)
    if serves is False:
        message = "There is a vector index, but the planner does not use it."
        advice = "Call refresh_statistics(). If that does not help, check the server's random_page_cost and enable_*."
        yield Finding(name, message, advice, wrong=True)


def index_of(connection: Connection, collection: Collection) -> str | None:
    """Return method and kind of the collection's vector index, such as "hnsw full". None if it has none."""
    index = collection.index
    return f"{index.method} {index.kind}" if has_index(connection, collection) else None


def index_serves(connection: Connection, collection: Collection) -> bool:
    """Return whether the planner uses the vector index for a search. It plans one, and runs nothing."""
    dense.tune(connection, collection)
    nearest = select(dense.candidates(collection, None, exact=False))
    vector = bound_vector(np.ones(collection.model.dimensions, dtype=np.float32), collection.precision)
    counts = {"candidates": 10, "wide": collection.index.oversampled(10)}
    compiled = nearest.compile(dialect=connection.dialect).construct_expanded_state({"vector": vector, **counts})
    plan = connection.exec_driver_sql(
        "EXPLAIN " + compiled.statement, {**compiled.parameters, "vector": vector}
    ).scalars()
    return any(collection.vector_index in line for line in plan)
