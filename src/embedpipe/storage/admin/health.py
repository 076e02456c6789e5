"""Whether a collection can be searched and written now: a look that takes milliseconds, however large it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, inspect, literal, select, text

from embedpipe.errors import DatabaseUnavailableError, EmbeddedServerError, EmbedPipeError
from embedpipe.storage.admin.diagnosis import (
    Finding,
    found_or_finding,
    index_of,
    index_serves,
    of_extension,
    of_index,
    of_making,
    of_reading,
    of_schema,
    of_session,
    of_writing,
)
from embedpipe.storage.tables import INDEX_FROM, Catalogue, Collection, CollectionSettings, check_same

FULL_S = 60.0
"""How long a full disk is believed in, so that whoever sends no writes while it is tries again in the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What a collection's searches and writes need, and what of it is amiss. `Database.diagnose()` looks closer.

    `database` says whether it answers, `reads` whether it can be searched, `writes` whether documents can be stored,
    and `model_loads` whether the model embeds. Before a collection is there, `reads` is about the database, and
    `writes` about making it. What it was not asked, or does not have yet, is None: `migration` before anything was
    made, `index` and `index_serves` without an index, `model_loads` where a store was asked, which has no model.
    `exists` is False before the first ingest, which is no fault.
    """

    collection: str
    database: bool = False
    reads: bool | None = None
    writes: bool | None = None
    pgvector_version: str | None = None
    migration: int | None = None
    exists: bool | None = None
    index: str | None = None
    index_serves: bool | None = None
    model: str | None = None
    model_loads: bool | None = None
    findings: Sequence[Finding] = ()

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong."""
        return not _wrong(self.findings)


def check(
    connection: Connection, schema: str, name: str, settings: CollectionSettings, *, full: bool = False
) -> Health:
    """Return the health of that collection of the schema, for who opens it with these settings.

    `full` says whether the last write, not long ago, found the disk full: looking cannot tell.
    """
    found = list(of_extension(connection))
    migration = None
    if inspect(connection).has_table("migrations", schema=schema):
        migration = connection.scalar(select(func.max(Catalogue(schema).migrations.c.number)))
        outdated = of_schema(connection, schema)
        found += [outdated] if outdated else []
    readable = migration is not None and not _wrong(found)
    collection, newer = found_or_finding(connection, schema, name) if readable else (None, [])
    found += newer
    if collection is not None:
        found += [*_of_settings(collection, settings), *of_reading(connection, collection)]
    refused = list(of_session(connection))
    if collection is not None:
        refused += of_writing(connection, collection)
    elif not _wrong(found):
        refused += of_making(connection, schema)
    refused += [_FULL] if full else []
    reads = not _wrong(found)
    index, serves, of_its_index = _index(connection, collection) if collection and reads else (None, None, [])
    return Health(
        collection=name,
        database=True,
        reads=reads,
        writes=reads and not _wrong(refused),
        pgvector_version=connection.scalar(text("SELECT extversion FROM pg_extension WHERE extname = 'vector'")),
        migration=migration,
        exists=collection is not None or bool(newer),
        index=index,
        index_serves=serves,
        model=None if collection is None else collection.model.name,
        findings=[*found, *refused, *of_its_index],
    )


def failed(name: str, error: EmbedPipeError) -> Health:
    """Return the health where looking at the database failed."""
    answers = not isinstance(error, DatabaseUnavailableError | EmbeddedServerError)
    finding = Finding(None, str(error), "Until then nothing works here.", wrong=True)
    return Health(collection=name, database=answers, reads=False, writes=False, findings=[finding])


_FULL = Finding(None, "The last write found the database's disk full.", "Make room there.", wrong=True)


def _wrong(findings: Sequence[Finding]) -> bool:
    return any(finding.wrong for finding in findings)


def _index(connection: Connection, collection: Collection) -> tuple[str | None, bool | None, list[Finding]]:
    rows = select(literal(1)).select_from(collection.vectors).limit(INDEX_FROM).subquery()  # no more are looked at
    vectors = connection.scalar(select(func.count()).select_from(rows)) or 0
    index = index_of(connection, collection)
    serves = index_serves(connection, collection) if index and vectors else None
    return index, serves, list(of_index(collection.name, index, serves=serves, vectors=vectors))


def _of_settings(collection: Collection, settings: CollectionSettings) -> list[Finding]:
    try:
        check_same(collection, settings)
    except EmbedPipeError as error:
        return [Finding(collection.name, str(error), "Until then its searches and writes are refused.", wrong=True)]
    return []
