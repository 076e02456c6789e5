"""The user's table as the database has it now: its name, the types of its key, and whether it can be attached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from embedpipe.errors import ConfigurationError, SchemaError
from embedpipe.storage.attach.table import Table
from embedpipe.storage.tables import Collection

_OID_BY_NAME = text("SELECT CAST(to_regclass(:name) AS oid)")
# The triggers know the table also after it was renamed or moved to another schema.
_OID_BY_TRIGGERS = text("""
SELECT tgrelid FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid JOIN pg_class ON pg_class.oid = tgrelid
WHERE proname = :function AND pronamespace = to_regnamespace(quote_ident(:schema)) AND tgparentid = 0
ORDER BY relispartition LIMIT 1
""")
_RELATION = text("""
SELECT pg_class.oid, nspname AS schema, relname AS name, relkind AS kind, relpersistence AS persistence, relispartition,
       relrowsecurity, pg_class.oid::regclass::text AS shown,
       EXISTS (SELECT FROM pg_inherits WHERE inhparent = pg_class.oid) AS has_children
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE pg_class.oid = :oid
""")
# -1 keeps a type's limit out: `character` would be one character.
_COLUMNS = text("""
SELECT attname AS name, format_type(atttypid, -1) AS type, attnotnull AS required, attgenerated = 'v' AS virtual
FROM pg_attribute WHERE attrelid = :oid AND attnum > 0 AND NOT attisdropped
""")
_IS_UNIQUE = text("""
SELECT EXISTS (
    SELECT FROM pg_index WHERE indrelid = :oid AND indisunique AND indimmediate AND indisvalid
    AND indpred IS NULL AND indexprs IS NULL
    AND (SELECT array_agg(attname::text ORDER BY attname::text COLLATE "C") FROM pg_attribute
         WHERE attrelid = indrelid AND attnum = ANY ((indkey::smallint[])[0:indnkeyatts - 1])) = :names
)
""")
_REFUSED_KINDS = {
    "v": "is a view. Attach the table that it reads",
    "m": "is a materialized view, which has no triggers. Attach the table that it reads",
    "f": "is a foreign table. Attach it in its own database",
}


@dataclass(frozen=True, slots=True)
class Source:
    """The attached table. `key_types` are the types of `definition.key`, in that order, as SQL writes them."""

    definition: Table
    oid: int
    schema: str
    name: str
    key_types: tuple[str, ...]
    partitioned: bool


def function_name(collection: Collection) -> str:
    """Return the name of the function that the triggers on the table call."""
    return f"c{collection.number}_note_changes"


def checked_source(connection: Connection, collection: Collection, table: Table) -> Source:
    """Return the table that is to be attached.

    Raises:
        ConfigurationError: If there is none, or if it cannot be attached.
    """
    oid = connection.scalar(_OID_BY_NAME, {"name": table.name})
    row = connection.execute(_RELATION, {"oid": oid}).one_or_none()
    if row is None:
        raise ConfigurationError(
            f"There is no table {table.name!r} that this role can name. Check the name. Write it as in SQL, with its "
            'schema, and with double quotes around capitals: public."Articles".'
        )
    fault = _REFUSED_KINDS.get(row.kind)
    if row.kind not in (*_REFUSED_KINDS, "r", "p"):
        fault = "is no table. Name a table"
    elif row.persistence == "t":
        fault = "is a temporary table, which other sessions do not see. Attach an ordinary table"
    elif row.persistence == "u":
        fault = "is unlogged: a crash empties it without a trace. Run ALTER TABLE ... SET LOGGED first"
    elif row.relispartition:
        fault = "is a partition. Attach the partitioned table"
    elif row.kind == "r" and row.has_children:
        fault = "has tables that inherit from it, whose rows it shows. Attach one of these, or use partitions"
    elif row.relrowsecurity:
        fault = "has row-level security, which searches of the collection would not keep to. It cannot be attached yet"
    elif row.schema == collection.schema:
        fault = "is one of embedpipe's own. Attach another table"
    if fault is not None:
        raise ConfigurationError(f"{row.shown} {fault}.")
    types = _checked_columns(connection, row, table)
    return Source(table, row.oid, row.schema, row.name, types, row.kind == "p")


def _checked_columns(connection: Connection, row: Any, table: Table) -> tuple[str, ...]:
    """Return the types of the key."""
    columns = {column.name: column for column in connection.execute(_COLUMNS, {"oid": row.oid})}
    for name in (*table.key, *table.text, *table.metadata):
        if name not in columns:
            raise ConfigurationError(f"{row.shown} has no column {name!r}. It has {', '.join(map(repr, columns))}.")
        if columns[name].virtual:
            raise ConfigurationError(f"Column {name!r} of {row.shown} is virtual. Have it stored, or leave it out.")
    unique = connection.scalar(_IS_UNIQUE, {"oid": row.oid, "names": sorted(table.key, key=str.encode)})
    if not unique or not all(columns[name].required for name in table.key):
        names = ", ".join(table.key)
        raise ConfigurationError(
            f"({names}) does not identify a row of {row.shown}. Name the columns of its primary key, or those of a "
            "unique index without a condition, and NOT NULL."
        )
    return tuple(columns[name].type for name in table.key)


def found_source(connection: Connection, collection: Collection, definition: Table) -> Source:
    """Return the table that the collection follows, under its present name.

    Raises:
        SchemaError: If the table, or a column of it, is no longer there.
    """
    row = relation(connection, collection)
    again = "Attach it again, with the columns that it has now, or detach it."
    if row is None:
        raise SchemaError(
            f"The triggers on {definition.name} are gone: it was dropped, or restored without them. {again}"
        )
    types = {column.name: column.type for column in connection.execute(_COLUMNS, {"oid": row.oid})}
    for name in (*definition.key, *definition.text, *definition.metadata):
        if name not in types:
            raise SchemaError(f"{row.shown} no longer has the column {name!r}. {again}")
    return Source(
        definition, row.oid, row.schema, row.name, tuple(types[name] for name in definition.key), row.kind == "p"
    )


def relation(connection: Connection, collection: Collection) -> Any:
    """Return the row of the table that has the collection's triggers, None if no table has."""
    names = {"function": function_name(collection), "schema": collection.schema}
    oid = connection.scalar(_OID_BY_TRIGGERS, names)
    return connection.execute(_RELATION, {"oid": oid}).one_or_none()


def check_sees_all(connection: Connection, source: Source) -> None:
    """Check that row-level security hides no row from this role: it would be taken for deleted.

    Raises:
        ConfigurationError: If it may.
    """
    hides = text("SELECT row_security_active(CAST(:oid AS oid))")
    if connection.scalar(hides, {"oid": source.oid}):
        raise ConfigurationError(
            f"Row-level security of {source.schema}.{source.name} hides rows from this role, and they would be taken "
            "for deleted. Sync as the owner of the table, or as a role with BYPASSRLS."
        )
