"""The catalogue: the collections of a schema, the models whose vectors each has, and the migrations of both."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from importlib import resources
from typing import Any, get_args

from sqlalchemy import (
    ColumnElement,
    Connection,
    Insert,
    Text,
    and_,
    cast,
    func,
    insert,
    inspect,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, REGCONFIG
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateSchema, CreateTable
from sqlalchemy.sql.base import Executable

from embedpipe._checks import check_fields
from embedpipe.errors import CollectionNotFoundError, ConfigurationError, ModelMismatchError, SchemaError
from embedpipe.storage.tables.collection import BM25, SEGMENTATION, Catalogue, Collection, default_precision
from embedpipe.storage.tables.history import create_history_statements
from embedpipe.storage.tables.index_types import VectorIndex, default_index
from embedpipe.storage.tables.lexical_index import create_lexical_statements
from embedpipe.storage.tables.view import CreateView
from embedpipe.storage.types import Precision, from_record, newer, storable_text
from embedpipe.types import ModelSpec

logger = logging.getLogger(__name__)

_MAX_DIMENSIONS = 16_000
_OLDEST_PGVECTOR = (0, 8)
_LOCK = 0x656D626564  # any number, the same in every process, so that who migrates or creates waits for the other


def migrate(connection: Connection, schema: str) -> None:
    """Bring extension, schema and catalogue up to date. Do nothing if they are.

    Args:
        connection: In a transaction.
        schema: Name of the schema of the tables. It is created if it is missing.

    Raises:
        SchemaError: If the role may not do it, if pgvector is missing or older than 0.8, or if the tables are those of
            a newer embedpipe.
    """
    if not pending_migrations(connection, schema):
        return
    lock(connection)
    _ensure_extension(connection)
    catalogue = Catalogue(schema)
    connection.execute(CreateSchema(schema, if_not_exists=True))
    connection.execute(CreateTable(catalogue.migrations, if_not_exists=True))
    path = connection.scalar(text("SELECT current_setting('search_path')"))
    connection.execute(text("SELECT set_config('search_path', quote_ident(:schema), true)"), {"schema": schema})
    for number, statements in pending_migrations(connection, schema):
        logger.info("Applying migration %04d to schema %s", number, schema)
        connection.exec_driver_sql(statements.replace("%", "%%"))
        connection.execute(insert(catalogue.migrations).values(number=number))
    connection.execute(text("SELECT set_config('search_path', :path, true)"), {"path": path})


def pending_migrations(connection: Connection, schema: str) -> list[tuple[int, str]]:
    """Return number and SQL of the migrations that were not applied yet, in order.

    Raises:
        SchemaError: If the tables are those of a newer embedpipe.
    """
    known = dict(_migration_files())
    applied: set[int] = set()
    if inspect(connection).has_table("migrations", schema=schema):
        applied = set(connection.scalars(select(Catalogue(schema).migrations.c.number)))
    newer = applied - known.keys()
    if newer:
        raise SchemaError(
            f"The tables in schema {schema!r} are at migration {max(newer)}. This embedpipe knows {max(known)}. "
            "Upgrade embedpipe."
        )
    return [(number, known[number]) for number in sorted(known.keys() - applied)]


def _migration_files() -> Iterator[tuple[int, str]]:
    folder = resources.files("embedpipe.storage.tables") / "migrations"
    for file in folder.iterdir():
        if file.name.endswith(".sql"):
            yield int(file.name.partition("_")[0]), file.read_text(encoding="utf-8")


def _ensure_extension(connection: Connection) -> None:
    version = _extension_version(connection)
    if version is None:
        try:
            with connection.begin_nested():
                connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS vector")
        except DBAPIError as error:
            raise SchemaError(
                f"The extension pgvector is not in the database and cannot be created: {str(error.orig).strip()}. "
                "Install pgvector on the server, and have an administrator run: CREATE EXTENSION vector;"
            ) from error.orig
        version = _extension_version(connection)
    assert version is not None  # noqa: S101 - it was just created
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST_PGVECTOR:
        raise SchemaError(
            f"The database has pgvector {version}, and 0.8 or newer is needed. Run: ALTER EXTENSION vector UPDATE;"
        )


def _extension_version(connection: Connection) -> str | None:
    version: str | None = connection.scalar(text("SELECT extversion FROM pg_extension WHERE extname = 'vector'"))
    return version


@dataclass(frozen=True, slots=True)
class CollectionSettings:
    """Settings of a collection. None means the default for a new collection, and any value for one that is opened."""

    model: ModelSpec | None = None
    language: str | None = None
    precision: Precision | None = None
    lexical: bool | BM25 | None = None
    tenants: bool | None = None
    history: bool | None = None

    def __post_init__(self) -> None:
        check_fields(self)


def checked_name(name: str) -> str:
    """Return a collection's name if it can be one.

    Raises:
        ConfigurationError: If it is empty.
        InputError: If it is no str, or PostgreSQL cannot store it.
    """
    if not storable_text(name, "collection"):
        raise ConfigurationError("The name of the collection is empty. Pass a name.")
    return name


def open_collection(connection: Connection, schema: str, name: str, settings: CollectionSettings) -> Collection:
    """Return the collection of that name. Create it if there is none and the settings have a model.

    Raises:
        CollectionNotFoundError: If there is none and the settings have no model.
        ModelMismatchError: If it holds another model's vectors.
        ConfigurationError: If the settings cannot work, or differ from those that it was created with.
    """
    checked_name(name)
    found = find_collection(connection, schema, name)
    if found is None and settings.model is not None:
        lock(connection)
        found = find_collection(connection, schema, name) or _create(connection, schema, name, settings.model, settings)
    if found is None:
        raise CollectionNotFoundError(
            f"There is no collection {name!r} in schema {schema!r}. Pass a model to create it, or check the name."
        )
    check_same(found, settings)
    return found


def exists(connection: Connection, schema: str, name: str) -> bool:
    """Return whether there is a collection of that name. False if there is no schema yet."""
    if not inspect(connection).has_table("collections", schema=schema):
        return False
    collections = Catalogue(schema).collections
    return connection.scalar(select(collections.c.number).where(collections.c.name == name)) is not None


def find_collection(connection: Connection, schema: str, name: str) -> Collection | None:
    """Return the collection of that name with the model that it uses, or None.

    Raises:
        SchemaError: If a newer embedpipe has recorded it.
    """
    return next((found for found in embedding_versions(connection, schema, name) if found.active), None)


def embedding_versions(connection: Connection, schema: str, name: str) -> list[Collection]:
    """Return the collection of that name once for each model of which it has vectors, oldest first."""
    catalogue = Catalogue(schema)
    collections, versions = catalogue.collections, catalogue.embedding_versions
    statement = (
        select(collections.c.number, collections.c.language, collections.c.lexical, collections.c.tenants)
        .add_columns(collections.c.segmentation, collections.c.word_index, collections.c.history)
        .add_columns(versions.c.number.label("embedding_version"), versions.c.model)
        .add_columns(versions.c.precision, versions.c.index.label("vector_index"), versions.c.active)
        .join_from(collections, versions, collections.c.number == versions.c.collection)
        .where(collections.c.name == name)
        .order_by(versions.c.number)
    )
    return [_collection(schema, name, row) for row in connection.execute(statement)]


def embedding_version(connection: Connection, collection: Collection) -> Collection | None:
    """Return the collection, with the same model, as the catalogue has it now. None if it is gone."""
    found = embedding_versions(connection, collection.schema, collection.name)
    same = (collection.number, collection.embedding_version)
    return next((each for each in found if (each.number, each.embedding_version) == same), None)


def _collection(schema: str, name: str, row: Any) -> Collection:
    owner = f"of collection {name!r}"
    if row.precision not in get_args(Precision):
        raise newer(f"The precision {owner}", f"it is {row.precision!r}")
    if not 1 <= row.segmentation <= SEGMENTATION:
        raise newer(f"The index of words {owner}", f"its segmentation is {row.segmentation}")
    return Collection(
        schema,
        row.number,
        name,
        row.language,
        row.embedding_version,
        from_record(ModelSpec, row.model, what=f"The model {owner}"),
        row.precision,
        from_record(VectorIndex, row.vector_index, what=f"The vector index {owner}"),
        active=row.active,
        lexical=None if row.lexical is None else _bm25(row.lexical, name),
        tenants=row.tenants,
        segmentation=row.segmentation,
        word_index=row.word_index,
        history=row.history,
    )


def next_embedding_version(connection: Connection, collection: Collection) -> int:
    """Return a number that no embedding version of the collection ever had, also none that was dropped."""
    collections = Catalogue(collection.schema).collections
    last = collections.c.last_version
    statement = update(collections).where(collections.c.number == collection.number).values(last_version=last + 1)
    number: int = connection.execute(statement.returning(last)).scalar_one()
    return number


def add_embedding_version(connection: Connection, collection: Collection) -> None:
    """Record that the collection has vectors of its model, in use or not."""
    connection.execute(_version_row(collection))


def _version_row(collection: Collection) -> Insert:
    return insert(Catalogue(collection.schema).embedding_versions).values(
        collection=collection.number,
        number=collection.embedding_version,
        fingerprint=collection.model.fingerprint,
        model=_json(collection.model),
        dimensions=collection.model.dimensions,
        precision=collection.precision,
        index=_json(collection.index),
        active=collection.active,
    )


def _json(value: ModelSpec | VectorIndex | BM25) -> ColumnElement[Any]:
    record = value.record() if isinstance(value, ModelSpec) else asdict(value)
    return cast(literal(json.dumps(record), Text), JSONB)


def lock(connection: Connection) -> None:
    """Wait until nobody else migrates or creates a collection, and keep others from it until the transaction ends."""
    connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))


def set_index(connection: Connection, collection: Collection, index: VectorIndex) -> Collection:
    """Record an index as the one that the collection's searches use. Return the collection with it."""
    versions = Catalogue(collection.schema).embedding_versions
    here = and_(versions.c.collection == collection.number, versions.c.number == collection.embedding_version)
    connection.execute(update(versions).where(here).values(index=asdict(index)))
    return replace(collection, index=index)


def next_lexical(connection: Connection, collection: Collection) -> BM25 | None:
    """Return the parameters of the index of words that is being built, None if none is."""
    collections = Catalogue(collection.schema).collections
    record = connection.scalar(select(collections.c.next_lexical).where(collections.c.number == collection.number))
    return None if record is None else _bm25(record, collection.name)


def set_next_lexical(connection: Connection, collection: Collection, lexical: BM25 | None) -> None:
    """Record the parameters of the index of words that is being built, or that none is."""
    collections = Catalogue(collection.schema).collections
    value = None if lexical is None else _json(lexical)
    here = collections.c.number == collection.number
    connection.execute(update(collections).where(here).values(next_lexical=value))


def set_word_index(connection: Connection, collection: Collection) -> None:
    """Record the index of words that searches use, with its parameters. None is being built any more."""
    collections = Catalogue(collection.schema).collections
    assert collection.lexical is not None  # noqa: S101 - it has one
    values = {
        "segmentation": collection.segmentation,
        "word_index": collection.word_index,
        "lexical": _json(collection.lexical),
        "next_lexical": None,
    }
    connection.execute(update(collections).where(collections.c.number == collection.number).values(values))


def _bm25(record: Any, name: str) -> BM25:
    return from_record(BM25, record, what=f"The weighing of words of collection {name!r}")


def _create(
    connection: Connection, schema: str, name: str, model: ModelSpec, settings: CollectionSettings
) -> Collection:
    table = connection.dialect.identifier_preparer.format_table(Catalogue(schema).collections)
    number = connection.execute(select(func.nextval(func.pg_get_serial_sequence(table, "number")))).scalar_one()
    collection = planned(connection, schema, name, number=number, model=model, settings=settings)
    for statement in creation(collection):
        connection.execute(statement)
    logger.info("Created collection %r for %s", name, model.name)
    return collection


def planned(
    connection: Connection, schema: str, name: str, *, number: int, model: ModelSpec, settings: CollectionSettings
) -> Collection:
    """Return a collection that is to be created, under that number.

    Raises:
        ConfigurationError: If it cannot be created.
    """
    language = settings.language or "english"
    _check_possible(connection, model, language)
    precision = settings.precision or default_precision(model.dimensions)
    index = default_index(model.dimensions, precision)
    lexical = _words(settings.lexical)
    kept = {"tenants": settings.tenants is True, "history": settings.history is True}
    return Collection(schema, number, name, language, 1, model, precision, index, lexical=lexical, **kept)


def _words(lexical: bool | BM25 | None) -> BM25 | None:
    if isinstance(lexical, BM25):
        return lexical
    return None if lexical is False else BM25()


def creation(collection: Collection) -> list[Executable]:
    """Return the statements that create a planned collection: its rows in the catalogue, and its tables."""
    row = insert(Catalogue(collection.schema).collections).values(
        number=collection.number,
        name=collection.name,
        language=cast(literal(collection.language), REGCONFIG),
        lexical=None if collection.lexical is None else _json(collection.lexical),
        tenants=collection.tenants,
        segmentation=collection.segmentation,
        word_index=collection.word_index,
        history=collection.history,
    )
    words = create_lexical_statements(collection) if collection.lexical else []
    history = create_history_statements(collection) if collection.history else []
    return [row, _version_row(collection), *collection.create_statements(), CreateView(collection), *words, *history]


def check_dimensions(model: ModelSpec) -> None:
    """Raise `ConfigurationError` for a model whose vectors cannot be stored."""
    if not 1 <= model.dimensions <= _MAX_DIMENSIONS:
        raise ConfigurationError(
            f"{model.name} has {model.dimensions} dimensions. Choose a model of 1 to {_MAX_DIMENSIONS}."
        )


def _check_possible(connection: Connection, model: ModelSpec, language: str) -> None:
    check_dimensions(model)
    names = select(literal(1)).select_from(text("pg_ts_config")).where(text("cfgname = :language"))
    if connection.execute(names, {"language": language}).first() is None:
        known = connection.scalars(text("SELECT cfgname FROM pg_ts_config ORDER BY cfgname"))
        raise ConfigurationError(
            f"PostgreSQL has no text search configuration {language!r}. Use one of {', '.join(known)}."
        )


def check_same(found: Collection, settings: CollectionSettings) -> None:
    """Raise `ModelMismatchError` or `ConfigurationError` if the collection is not as the settings want it."""
    model, name = settings.model, found.name
    if model is not None and not model.is_same(found.model):
        raise ModelMismatchError(
            f"Collection {name!r} holds vectors of {describe(found.model)}, not of {describe(model)}. "
            "Use the same model, or another collection."
        )
    if settings.language not in (None, found.language):
        raise ConfigurationError(
            f"Collection {name!r} was created for the language {found.language!r}, not {settings.language!r}. "
            "Leave `language` out, or use another collection."
        )
    if settings.precision not in (None, found.precision):
        raise ConfigurationError(
            f"Collection {name!r} was created with {found.precision}, not {settings.precision}. Leave `precision` out, "
            "or use another collection."
        )
    if settings.lexical not in (None, found.lexical, found.lexical is not None):
        words = found.lexical or False
        raise ConfigurationError(
            f"Collection {name!r} was created with lexical={words}, not {settings.lexical}. Leave `lexical` out, or "
            "use another collection."
        )
    if settings.tenants not in (None, found.tenants):
        made = "for tenants. Pass tenant=" if found.tenants else "without tenants. Leave tenant= out"
        raise ConfigurationError(f"Collection {name!r} was created {made}.")
    if settings.history not in (None, found.history):
        made = "with history. Leave `history` out" if found.history else "without history"
        raise ConfigurationError(f"Collection {name!r} was created {made}, or use another collection.")


def describe(model: ModelSpec) -> str:
    """Describe a model so that it differs from another of the same name."""
    compression = f", compressed by {model.compression}" if model.compression else ""
    return f"{model.name} ({model.dimensions} dimensions{compression}, fingerprint {model.fingerprint[:8]})"
