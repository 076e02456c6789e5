"""The work of `doctor`, `delete` and some `db` commands."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import typer
from rich.text import Text

from embedpipe.cli.commands import check_exists, confirm
from embedpipe.cli.render import console, counted, errors, states_table, write_json
from embedpipe.errors import InputError
from embedpipe.storage import BM25, CollectionSettings, Database, PgVectorStore, admin
from embedpipe.storage.transfer import document_ids, in_snapshot


def migrate(
    url: str | None,
    *,
    collection: str | None,
    model: str | None,
    language: str | None,
    lexical: bool,
    by_language: bool,
    tenants: bool,
    history: bool,
    role: str | None,
    as_sql: bool,
    as_json: bool,
) -> None:
    """Set up the database, or print the SQL that does."""
    spec = None
    if model is not None:
        from embedpipe.embedding import EmbeddingGenerator

        spec = EmbeddingGenerator(model).spec
    if by_language and not lexical:
        raise InputError("--by-language is about words, and --no-lexical leaves them out. Pass one of the two.")
    words = BM25(by_language=True) if by_language else None if lexical else False
    settings = CollectionSettings(spec, language, lexical=words, tenants=tenants or None, history=history or None)
    with closing(Database(url)) as database:
        lacking = partial(
            admin.setup_statements, schema=database.schema, collection=collection, settings=settings, role=role
        )
        if as_sql:
            sql = admin.script(database.read(lacking))
            write_json({"sql": sql}) if as_json else sys.stdout.write(sql)
            return
        database.run(admin.migrate, database.schema)
        database.run(lambda connection: admin.run(connection, lacking(connection)))
    if as_json:
        write_json({"schema": database.schema, "collection": collection})


def delete_documents(
    url: str | None,
    collection: str,
    documents: Sequence[str] | None,
    condition: dict[str, Any] | None,
    *,
    yes: bool,
    as_json: bool,
) -> bool:
    """Remove documents after a confirmation. Return whether there was a document for each name."""
    if not documents and not condition:
        raise InputError(
            "Nothing to delete. Name documents or pass --filter. To remove everything, use `embedpipe db drop`."
        )
    if documents and not all(documents):
        raise InputError("A document's name is empty. Check that your shell variables are set.")
    with closing(Database(url)) as database:
        check_exists(collection, database)
        store = PgVectorStore(database, collection=collection)
        meant = _meant(store, documents) if documents else {}
        absent = [name for name, found_ids in meant.items() if not found_ids]
        for name in absent:
            advice = "`embedpipe search --json` shows the ids of documents."
            errors.print(
                Text(
                    f"{name}: there is no such document in {collection!r}, and none below this folder. {advice}",
                    style="red",
                )
            )
        ids = [document_id for found_ids in meant.values() for document_id in found_ids] if documents else None
        found = store.find(condition, document_ids=ids)
        names = {chunk.document_id for chunk in found}
        if found and not yes:
            confirm(f"Remove {counted(len(found), 'chunk')} of {counted(len(names), 'document')} from {collection!r}?")
        removed = store.delete(filter=condition, document_ids=ids) if found else 0
    if as_json:
        write_json({"documents": len(names), "chunks": removed})
    else:
        typer.echo(f"removed {counted(removed, 'chunk')} of {counted(len(names), 'document')}")
    return not absent


def _meant(store: PgVectorStore, given: Sequence[str]) -> dict[str, set[str]]:
    """Return the ids for each name: the document's own, its file's, or else those below the file or folder."""
    paths = {name: Path(name).resolve().as_posix() for name in given}  # a file is stored under its absolute path
    stored = {chunk.document_id for chunk in store.find(document_ids=[*paths, *paths.values()])}
    meant = {name: {each for each in (name, path) if each in stored} for name, path in paths.items()}
    for name, path in paths.items():
        meant[name] |= set() if meant[name] else stored_below(store, [path])
    return meant


def stored_below(store: PgVectorStore, paths: Iterable[str]) -> set[str]:
    """Return the ids of the documents of all files below these folders, and of all records of these files."""
    beginnings = [f"{path.rstrip('/')}{sign}" for path in paths for sign in "/#"]
    return set(in_snapshot(store, lambda connection, collection: document_ids(connection, collection, beginnings)))


def drop_collection(url: str | None, collection: str, *, yes: bool, as_json: bool) -> None:
    """Remove a collection after a confirmation."""
    with closing(Database(url)) as database:
        check_exists(collection, database)
        [held] = [info for info in database.collections() if info.name == collection]
        if not yes:
            size = f"{counted(held.chunks, 'chunk')}, {held.bytes / 1e6:.1f} MB"
            confirm(f"Remove the collection {collection!r} ({size})?")
        PgVectorStore(database, collection=collection).drop()
    if as_json:
        write_json({"collection": collection, "chunks": held.chunks})
    else:
        typer.echo(f"removed {collection} with {counted(held.chunks, 'chunk')}")


def examine(url: str | None, *, as_json: bool) -> bool:
    """Print the findings of the diagnosis. Return whether nothing is wrong."""
    with closing(Database(url)) as database:
        found = database.diagnose()
    if as_json:
        write_json(asdict(found) | {"healthy": found.healthy})
        return found.healthy
    versions = f"PostgreSQL {found.server_version}, pgvector {found.pgvector_version or 'missing'}"
    tables = "no tables yet" if found.migration is None else f"tables at migration {found.migration}"
    console.print(f"{versions}, {tables}", highlight=False)
    if found.collections:
        console.print(states_table(found.collections))
    for finding in found.findings:
        line = Text("✗ " if finding.wrong else "- ", style="red" if finding.wrong else "yellow")
        where = "" if finding.collection is None else f"{finding.collection}: "
        console.print(line.append(f"{where}{finding.message} ", style="default").append(finding.advice, style="bold"))
    if not found.findings:
        console.print("nothing to do")
    return found.healthy
