"""A check whether a collection can be searched and written now. It takes milliseconds, however large that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, literal, select, text

from embedpipe.errors import DatabaseUnavailableError, EmbeddedServerError, EmbedPipeError
from embedpipe.storage.admin.findings import (
    Finding,
    check_creating,
    check_extension,
    check_index,
    check_migrations,
    check_reading,
    check_session,
    check_writing,
    find_or_explain,
    index_of,
    index_serves,
)
from embedpipe.storage.tables import INDEX_FROM, Collection, CollectionSettings, check_same

FULL_S = 60.0
"""How long a full disk is reported after the write that found it. A caller that holds writes back then tries again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The state of everything that a collection's searches and writes need. `Database.diagnose()` looks closer.

    Attributes:
        collection: Name of the collection.
        database: Whether the database answers.
        reads: Whether the collection can be searched. Before it exists, whether the database can be read.
        writes: Whether documents can be stored. Before the collection exists, whether it can be created.
        pgvector_version: Version of the extension in the database.
        migration: Number of the last migration. None before anything was created.
        exists: Whether the collection is there. False before the first ingest, which is no fault.
        index: Method and kind of the vector index. None without one.
        index_serves: Whether searches use that index. None without one.
        model: Name of the model whose vectors the collection holds.
        model_loads: Whether the model embeds. None if a store was asked, which has no model.
        findings: Everything that is wrong or could be better.
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
        """Return whether nothing is wrong."""
        return not _wrong(self.findings)


def check(
    connection: Connection, schema: str, name: str, settings: CollectionSettings, *, full: bool = False
) -> Health:
    """Return the health of a collection, for a store that opens it with these settings.

    `full` says that the last write, less than `FULL_S` ago, found the disk full. Reading cannot tell.
    """
    migration, outdated = check_migrations(connection, schema)
    found = [*check_extension(connection), *outdated]
    readable = migration is not None and not _wrong(found)
    collection, newer = find_or_explain(connection, schema, name) if readable else (None, [])
    found += newer
    if collection is not None:
        found += [*_check_settings(collection, settings), *check_reading(connection, collection)]
    refused = list(check_session(connection))
    if collection is not None:
        refused += check_writing(connection, collection)
    elif not _wrong(found):
        refused += check_creating(connection, schema)
    refused += [_FULL] if full else []
    reads = not _wrong(found)
    index, serves, of_its_index = _look_at_index(connection, collection) if collection and reads else (None, None, [])
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
    """Return the health for a check that failed with this error."""
    answers = not isinstance(error, DatabaseUnavailableError | EmbeddedServerError)
    finding = Finding(None, str(error), "Until then, neither searches nor writes work.", wrong=True)
    return Health(collection=name, database=answers, reads=False, writes=False, findings=[finding])


_FULL = Finding(
    None,
    "The last write failed because the database's disk is full.",
    "Free disk space on the database's server.",
    wrong=True,
)


def _wrong(findings: Sequence[Finding]) -> bool:
    return any(finding.wrong for finding in findings)


def _look_at_index(connection: Connection, collection: Collection) -> tuple[str | None, bool | None, list[Finding]]:
    rows = select(literal(1)).select_from(collection.vectors).limit(INDEX_FROM).subquery()  # no more are looked at
    vectors = connection.scalar(select(func.count()).select_from(rows)) or 0
    index = index_of(connection, collection)
    serves = index_serves(connection, collection) if index and vectors else None
    return index, serves, list(check_index(collection.name, index, serves=serves, vectors=vectors))


def _check_settings(collection: Collection, settings: CollectionSettings) -> list[Finding]:
    try:
        check_same(collection, settings)
    except EmbedPipeError as error:
        advice = "Until then, this store's searches and writes are refused."
        return [Finding(collection.name, str(error), advice, wrong=True)]
    return []
