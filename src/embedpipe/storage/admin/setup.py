"""The SQL that an administrator runs if the application's own role may not create tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Connection, case, cast, func, insert, inspect, literal_column, select, text, true
from sqlalchemy.dialects.postgresql import REGCLASS
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.schema import CreateSchema, CreateTable

from embedpipe.errors import CollectionNotFoundError
from embedpipe.storage.tables import Catalogue, Collection, CollectionSettings, catalogue, past_tables, written_tables

_DIALECT: Any = PGDialect(paramstyle="named")  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
_AS_USUAL = CollectionSettings()


def setup_statements(
    connection: Connection,
    *,
    schema: str,
    collection: str | None = None,
    settings: CollectionSettings = _AS_USUAL,
    role: str | None = None,
) -> list[str]:
    """Return the statements that set the database up, to be run in one transaction.

    They create the extension, the schema and the catalogue, as far as they are missing. They fit the database as it is
    now, so run them before others change it.

    Args:
        connection: To the database that is to be set up. It is only read.
        schema: Name of the schema for the tables.
        collection: Name of a collection to create, if there is none.
        settings: What the collection is created with. A new one needs a model.
        role: A role to grant what it needs to search and to write. It may not build indexes.

    Returns:
        Statements in order, each without a semicolon.

    Raises:
        CollectionNotFoundError: If the collection is not there, and the settings have no model.
        ConfigurationError: If the collection cannot be created, or was created with other settings.
        ModelMismatchError: If the collection holds another model's vectors.
        SchemaError: If the tables are those of a newer embedpipe.
    """
    lines = list(_catalogue(connection, schema))
    made = None
    if collection is not None:
        made = _found(connection, schema, collection)
        if made is None:
            made = _planned(connection, schema, collection, settings)
            lines += _creation(made)
        else:
            catalogue.check_same(made, settings)
    if role is not None:
        lines += _grants(connection, schema, made, role)
    return lines


def script(statements: Iterable[str]) -> str:
    """Join statements into one transaction for psql."""
    return ";\n\n".join(["BEGIN", *statements, "COMMIT"]) + ";\n"


def run(connection: Connection, statements: Iterable[str]) -> None:
    """Run the statements."""
    for statement in statements:
        connection.exec_driver_sql(statement.replace("%", "%%"))


def _catalogue(connection: Connection, schema: str) -> Iterator[str]:
    yield "CREATE EXTENSION IF NOT EXISTS vector"
    pending = catalogue.pending_migrations(connection, schema)
    if pending:
        yield _sql(CreateSchema(schema, if_not_exists=True))
        yield _sql(CreateTable(Catalogue(schema).migrations, if_not_exists=True))
    path = func.concat(func.quote_ident(schema), ", ", literal_column("extnamespace::regnamespace"))
    of_vector = literal_column("extname") == "vector"
    yield _sql(select(func.set_config("search_path", path, true())).select_from(text("pg_extension")).where(of_vector))
    for number, statements in pending:
        yield f"-- Migration {number}\n{statements.strip().removesuffix(';')}"
        yield _sql(insert(Catalogue(schema).migrations).values(number=number))


def _found(connection: Connection, schema: str, name: str) -> Collection | None:
    if not catalogue.exists(connection, schema, name):
        return None
    return catalogue.find_collection(connection, schema, name)


def _planned(connection: Connection, schema: str, name: str, settings: CollectionSettings) -> Collection:
    if settings.model is None:
        raise CollectionNotFoundError(
            f"There is no collection {name!r} in schema {schema!r}. Name its model to create it."
        )
    number = 1
    if inspect(connection).has_table("collections", schema=schema):
        number = _next_number(connection, schema)
    return catalogue.planned(connection, schema, name, number=number, model=settings.model, settings=settings)


def _next_number(connection: Connection, schema: str) -> int:
    """Return a number that no collection has or had: a store that had opened one would write into the new tables."""
    highest = select(func.max(Catalogue(schema).collections.c.number)).scalar_subquery()
    sequence = cast(func.pg_get_serial_sequence(_name(schema) + ".collections", "number"), REGCLASS)
    readable = func.has_sequence_privilege(sequence, "SELECT, USAGE")
    given = case((readable, func.pg_sequence_last_value(sequence)))  # NULL before the first
    number: int = connection.execute(select(func.coalesce(func.greatest(highest, given), 0) + 1)).scalar_one()
    return number


def _creation(collection: Collection) -> Iterator[str]:
    yield from map(_sql, catalogue.creation(collection))
    table = _name(collection.schema) + ".collections"
    yield _sql(select(func.setval(func.pg_get_serial_sequence(table, "number"), collection.number)))


def _grants(connection: Connection, schema: str, collection: Collection | None, role: str) -> Iterator[str]:
    to = f"TO {_name(role)}"
    of_vector = text("SELECT extnamespace::regnamespace FROM pg_extension WHERE extname = 'vector'")
    holders = {_name(schema), *connection.scalars(of_vector)} - {"public"}
    yield f"GRANT USAGE ON SCHEMA {', '.join(sorted(holders))} {to}"
    yield f"GRANT SELECT ON ALL TABLES IN SCHEMA {_name(schema)} {to}"
    functions = [f"{_name(schema)}.{name}" for name in ("word_pieces", "text_configuration", "seconds_of_date")]
    yield f"GRANT EXECUTE ON FUNCTION {', '.join(functions)} {to}"
    if collection is None:
        return
    written = written_tables(collection) + (past_tables(collection).of(collection) if collection.history else [])
    names = ", ".join(_DIALECT.identifier_preparer.format_table(table) for table in written)
    yield f"GRANT INSERT, UPDATE, DELETE ON {names} {to}"
    versions = _DIALECT.identifier_preparer.format_table(Catalogue(schema).embedding_versions)
    yield f"GRANT INSERT, DELETE ON {_DIALECT.identifier_preparer.format_table(Catalogue(schema).answers)} {to}"
    yield f"GRANT UPDATE (cosine_mean, cosine_spread, cosine_chunks) ON {versions} {to}"


def _name(value: str) -> str:
    return str(_DIALECT.identifier_preparer.quote(value))


def _sql(statement: Any) -> str:
    return str(statement.compile(dialect=_DIALECT, compile_kwargs={"literal_binds": True})).strip()
