"""Whether a collection can be searched and written now: a look that takes milliseconds, however large it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, inspect, literal, select, text

from embedpipe.errors import EmbedPipeError
from embedpipe.storage.catalogue import CollectionSettings, check_same
from embedpipe.storage.diagnosis import (
    Finding,
    found_or_finding,
    index_of,
    index_serves,
    of_extension,
    of_index,
    of_schema,
)
from embedpipe.storage.schema import Catalogue, Collection
from embedpipe.storage.vector_index import INDEX_FROM


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What a collection's searches and writes need, and what of it is amiss. `Database.diagnose()` looks closer.

    `database` says whether it answers; what it was not asked, or does not have yet, is None: `migration` before
    anything was made, `index` and `index_serves` without an index, `model_loads` where a store was asked, which has no
    model. `exists` is False before the first ingest, which is no fault.
    """

    collection: str
    database: bool = False
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
        return not any(finding.wrong for finding in self.findings)


def check(connection: Connection, schema: str, name: str, settings: CollectionSettings) -> Health:
    """The health of that collection of the schema, for who opens it with these settings."""
    findings = list(of_extension(connection))
    migration = None
    if inspect(connection).has_table("migrations", schema=schema):
        migration = connection.scalar(select(func.max(Catalogue(schema).migrations.c.number)))
        outdated = of_schema(connection, schema)
        findings += [outdated] if outdated else []
    readable = migration is not None and not any(finding.wrong for finding in findings)
    collection, newer = found_or_finding(connection, schema, name) if readable else (None, [])
    findings += newer
    index = serves = None
    if collection is not None:
        index, serves = _index(connection, collection, findings)
        findings += _of_settings(collection, settings)
    return Health(
        collection=name,
        database=True,
        pgvector_version=connection.scalar(text("SELECT extversion FROM pg_extension WHERE extname = 'vector'")),
        migration=migration,
        exists=collection is not None or bool(newer),
        index=index,
        index_serves=serves,
        model=None if collection is None else collection.model.name,
        findings=findings,
    )


def unreachable(name: str, error: EmbedPipeError) -> Health:
    """The health where the database could not be asked."""
    return Health(collection=name, findings=[Finding(None, str(error), "Until then nothing works here.", wrong=True)])


def _index(connection: Connection, collection: Collection, findings: list[Finding]) -> tuple[str | None, bool | None]:
    rows = select(literal(1)).select_from(collection.vectors).limit(INDEX_FROM).subquery()  # no more are looked at
    vectors = connection.scalar(select(func.count()).select_from(rows)) or 0
    index = index_of(connection, collection)
    serves = index_serves(connection, collection) if index and vectors else None
    findings += of_index(collection.name, index, serves=serves, vectors=vectors)
    return index, serves


def _of_settings(collection: Collection, settings: CollectionSettings) -> list[Finding]:
    try:
        check_same(collection, settings)
    except EmbedPipeError as error:
        return [Finding(collection.name, str(error), "Until then its searches and writes are refused.", wrong=True)]
    return []
