"""The vectors of a collection's chunks by several models: made, filled while others read and write, switched, dropped.

One model's vectors are the active version, which searches use. The others are idle. A writer that rewrites a chunk
removes its vectors from the idle versions by a trigger, in its own transaction (`migrations/0002_vector_sets.sql`). So
an idle vector always belongs to the chunk's present text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy.typing as npt
from sqlalchemy import ColumnElement, Connection, Row, and_, delete, exists, func, select, update
from sqlalchemy.schema import DropTable

from embedpipe.errors import CollectionNotFoundError, ConfigurationError, StorageError
from embedpipe.storage.database import locks
from embedpipe.storage.tables import (
    Catalogue,
    Collection,
    CreateView,
    VectorIndex,
    catalogue,
    check_owner,
    ddl,
    default_index,
    default_precision,
    give_rights,
    readable_view,
)
from embedpipe.storage.types import Precision, TextArray, vector_array
from embedpipe.storage.write import statements
from embedpipe.types import ModelSpec, Vectors

Embed: TypeAlias = Callable[[Sequence[str]], npt.ArrayLike]
EmbedRows: TypeAlias = Callable[[Collection, Sequence[Row[Any]]], Vectors]

BATCH_CHUNKS = 512

_FORGETTING = """
CREATE OR REPLACE TRIGGER %(trigger)s AFTER UPDATE ON %(fullname)s
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION %(schema)s.forget_rewritten(%(number)s)
"""


@dataclass(frozen=True, slots=True)
class EmbeddingVersions:
    """The collection with its active version, and with the one that is to take its place."""

    active: Collection
    target: Collection


def begin(
    connection: Connection, schema: str, name: str, model: ModelSpec, precision: Precision | None
) -> EmbeddingVersions:
    """Return the active version and the model's. Create that if there is none. It may be the active one.

    Raises:
        CollectionNotFoundError: If there is no such collection.
        ConfigurationError: If the model's version was created with another precision, or the collection has tenants.
        SchemaError: If the role may not replace the tables.
    """
    catalogue.check_dimensions(model)
    active, target = _claimed(connection, schema, name, model)
    if active.tenants:
        raise ConfigurationError(
            f"Collection {name!r} has tenants, and nobody sees the chunks of all of them. Ingest them into another "
            "collection instead."
        )
    if active.history:
        raise ConfigurationError(
            f"Collection {name!r} keeps history, and its superseded chunks would keep the vectors of the former model. "
            "Ingest into another collection with history=True instead."
        )
    held = [active.vectors] if target is None else [active.vectors, target.vectors]
    if target is None or not target.active:
        check_owner(connection, active.chunks, *held, readable_view(active))
    if target is None:
        return EmbeddingVersions(active, _add(connection, active, model, precision))
    if precision not in (None, target.precision):
        raise ConfigurationError(
            f"Collection {name!r} already has vectors of {model.name} in {target.precision}, not {precision}. Leave "
            "`precision` out, or call drop_embedding_versions() while another model is active."
        )
    return EmbeddingVersions(active, target)


def _claimed(connection: Connection, schema: str, name: str, model: ModelSpec) -> tuple[Collection, Collection | None]:
    """Do as `_find`, and keep others from changing the collection's tables until the transaction ends."""
    locks.claim(connection, _find(connection, schema, name, model)[0])
    return _find(connection, schema, name, model)


def _find(connection: Connection, schema: str, name: str, model: ModelSpec) -> tuple[Collection, Collection | None]:
    """Return the active version, and the model's if there is one."""
    versions = catalogue.embedding_versions(connection, schema, name)
    active = next((found for found in versions if found.active), None)
    if active is None:
        raise CollectionNotFoundError(f"There is no collection {name!r} in schema {schema!r} to embed anew.")
    return active, next((found for found in versions if found.model.fingerprint == model.fingerprint), None)


def _add(connection: Connection, active: Collection, model: ModelSpec, precision: Precision | None) -> Collection:
    half = active.precision == "float16"
    chosen: Precision = precision or ("float16" if half else default_precision(model.dimensions))
    index = _index_like(active.index, model.dimensions, chosen)
    locks.take(connection, active.chunks, mode="SHARE ROW EXCLUSIVE")  # what a trigger takes: waits for writers
    number = catalogue.next_embedding_version(connection, active)
    made = replace(active, embedding_version=number, model=model, precision=chosen, index=index, active=False)
    catalogue.add_embedding_version(connection, made)
    for statement in made.create_vectors_statements():
        connection.execute(statement)
    give_rights(connection, active.vectors, made.vectors)
    connection.execute(ddl(_FORGETTING, active.chunks, trigger=_trigger(active), number=active.number))
    return made


def _index_like(index: VectorIndex, dimensions: int, precision: Precision) -> VectorIndex:
    """Return an index of the same kind if it suits such vectors, else the usual one."""
    try:
        index.check(dimensions, precision)
    except ConfigurationError:
        return default_index(dimensions, precision)
    return index if index.suits_any_model else default_index(dimensions, precision)


def counts(connection: Connection, target: Collection) -> tuple[int, int, int]:
    """Return how many chunks have a vector of that version, how many chunks there are, and the last one's key."""
    locks.be_patient(connection)  # counting takes its time in a large collection, whatever a search may take
    tables = (target.chunks, target.vectors)
    chunks, vectors = [select(func.count()).select_from(table).scalar_subquery() for table in tables]
    last = select(func.coalesce(func.max(target.chunks.c.key), 0)).scalar_subquery()
    counted = connection.execute(select(vectors, chunks, last)).one()
    return counted[0], counted[1], counted[2]


def unfilled(connection: Connection, idle: Collection, after: int, last: int | None, limit: int) -> list[Row[Any]]:
    """Return the next chunks without a vector of the idle version: at most `limit`, past `after` and up to `last`."""
    locks.lift_time_limit(connection)
    chunks = idle.chunks
    text = idle.embedded_text.label("content")
    statement = select(chunks.c.key, chunks.c.id, text).where(chunks.c.key > after, _lacks(idle))
    if last is not None:
        statement = statement.where(chunks.c.key <= last)
    return list(connection.execute(statement.order_by(chunks.c.key).limit(limit)))


def _lacks(idle: Collection) -> ColumnElement[bool]:
    return ~exists().where(idle.vectors.c.key == idle.chunks.c.key)


def fill(connection: Connection, idle: Collection, rows: Sequence[Row[Any]], vectors: Vectors) -> int:
    """Write checked vectors of the idle version for those chunks whose text is still the one that was embedded.

    Returns:
        How many were written.
    """
    locks.lift_time_limit(connection)
    values = {
        "staged_id": TextArray(row.id for row in rows),
        "staged_content": TextArray(row.content for row in rows),
        "staged_embedding": vector_array(vectors, idle.precision),
    }
    locks.lock(connection, idle.chunks, mode="ROW SHARE")  # before the vectors, which the statement names first
    stored = catalogue.embedding_version(connection, idle)  # which nobody drops from here on
    if stored is not None and stored.model.fingerprint != idle.model.fingerprint:
        raise StorageError(
            f"The vectors of {idle.model.name} for collection {idle.name!r} were replaced by those of "
            f"{stored.model.name} while they were made, as by a backup that was restored. Call reembed() again."
        )
    counted = {"preserve_rowcount": True}
    return connection.execute(statements.fill(idle), values, execution_options=counted).rowcount


def switch(connection: Connection, filled: Collection, embed: EmbedRows, most: int) -> bool:
    """Make a version the active one. Embed the chunks that still lack a vector before, while writers wait.

    Returns:
        False, with nothing switched, if more than `most` chunks lack a vector.

    Raises:
        StorageError: If the version is not complete. If others dropped it, the cause is the server's UndefinedTable.
    """
    active, target = _claimed(connection, filled.schema, filled.name, filled.model)
    # Whoever writes vectors locks chunks first. Readers go on until the tables are renamed.
    locks.take(connection, active.chunks, mode="EXCLUSIVE")
    if target is None or not target.active:
        locks.check_there(connection, filled.vectors)
    if target is None:
        raise StorageError(
            f"The vectors of {filled.model.name} for collection {filled.name!r} were removed while they were made. "
            "Call reembed() again."
        )
    if target.active:
        return True
    rest = unfilled(connection, target, after=0, last=None, limit=most + 1)
    if len(rest) > most:
        return False
    for start in range(0, len(rest), BATCH_CHUNKS):
        batch = rest[start : start + BATCH_CHUNKS]
        fill(connection, target, batch, embed(target, batch))
    _check_complete(connection, target)
    _set_active(connection, active, target)
    return True


def _check_complete(connection: Connection, target: Collection) -> None:
    vectors, chunks, _ = counts(connection, target)
    if chunks != vectors:
        raise StorageError(
            f"Collection {target.name!r} has {chunks} chunks and {vectors} vectors of {target.model.name}. Nothing was "
            "switched. Remove the vectors with drop_embedding_versions() and embed again."
        )


def _set_active(connection: Connection, active: Collection, target: Collection) -> None:
    """Rename both tables by their new states. Searches and writes use the name of an active version."""
    give_rights(connection, active.vectors, target.vectors)  # also what was granted since the version was made
    versions = Catalogue(active.schema).embedding_versions
    for found in (replace(active, active=False), replace(target, active=True)):
        table = (active if found.embedding_version == active.embedding_version else target).vectors
        connection.execute(ddl("ALTER TABLE %(fullname)s RENAME TO %(name)s", table, name=found.vectors.name))
        here = and_(versions.c.collection == found.number, versions.c.number == found.embedding_version)
        connection.execute(update(versions).where(here).values(active=found.active))
    connection.execute(CreateView(replace(target, active=True)))


def drop_embedding_versions(connection: Connection, schema: str, name: str) -> int:
    """Drop the vectors of all versions but the active one. Return how many versions that were."""
    idle = _idle(connection, schema, name)
    if not idle:
        return 0
    locks.claim(connection, idle[0])
    idle = _idle(connection, schema, name)
    if not idle:
        return 0
    chunks, trigger = idle[0].chunks, _trigger(idle[0])
    # What dropping a table takes that refers to the chunks.
    locks.take(connection, chunks, *[found.vectors for found in idle], mode="ACCESS EXCLUSIVE")
    of = Catalogue(schema).embedding_versions
    for found in idle:
        connection.execute(DropTable(found.vectors))
        connection.execute(delete(of).where(of.c.collection == found.number, of.c.number == found.embedding_version))
    connection.execute(ddl("DROP TRIGGER IF EXISTS %(trigger)s ON %(fullname)s", chunks, trigger=trigger))
    return len(idle)


def _idle(connection: Connection, schema: str, name: str) -> list[Collection]:
    return [found for found in catalogue.embedding_versions(connection, schema, name) if not found.active]


def _trigger(collection: Collection) -> str:
    return f"c{collection.number}_chunks_forget"
