"""What `doctor`, `delete`, `import` and some `db` commands do once their arguments are read."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import typer
from rich.text import Text

from embedpipe.cli.commands import check_exists
from embedpipe.cli.render import console, states_table, write_json
from embedpipe.errors import InputError
from embedpipe.storage import Database, PgVectorStore, catalogue
from embedpipe.storage.catalogue import CollectionSettings
from embedpipe.storage.setup import run, script, setup_statements


def migrate(
    url: str | None,
    *,
    collection: str | None,
    model: str | None,
    language: str | None,
    lexical: bool,
    tenants: bool,
    role: str | None,
    as_sql: bool,
    as_json: bool,
) -> None:
    """Runs the script that sets the database up, or prints it."""
    spec = None
    if model is not None:
        from embedpipe.embedding import EmbeddingGenerator

        spec = EmbeddingGenerator(model).spec
    settings = CollectionSettings(spec, language, lexical=None if lexical else False, tenants=tenants or None)
    with closing(Database(url)) as database:
        lacking = partial(setup_statements, schema=database.schema, collection=collection, settings=settings, role=role)
        if as_sql:
            sql = script(database.read(lacking))
            write_json({"sql": sql}) if as_json else sys.stdout.write(sql)
            return
        database.run(catalogue.migrate, database.schema)
        database.run(lambda connection: run(connection, lacking(connection)))
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
) -> None:
    """Removes what is named, after it was asked for."""
    if not documents and not condition:
        raise InputError("delete expected documents or --filter; to remove everything, use `embedpipe db drop`.")
    ids = None
    if documents:  # a file is stored under its absolute path
        ids = [name for given in documents for name in dict.fromkeys((given, Path(given).resolve().as_posix()))]
    with closing(Database(url)) as database:
        check_exists(collection, database)
        store = PgVectorStore(database, collection=collection)
        found = store.find(condition, document_ids=ids)
        names = {chunk.document_id for chunk in found}
        if found and not yes:
            typer.confirm(f"Remove {len(found)} chunks of {len(names)} documents from {collection!r}?", abort=True)
        removed = store.delete(filter=condition, document_ids=ids) if found else 0
    if as_json:
        write_json({"documents": len(names), "chunks": removed})
    else:
        typer.echo(f"removed {removed} chunks of {len(names)} documents")


def drop_collection(url: str | None, collection: str, *, yes: bool, as_json: bool) -> None:
    """Removes the collection, after it was asked for."""
    with closing(Database(url)) as database:
        check_exists(collection, database)
        [held] = [info for info in database.collections() if info.name == collection]
        if not yes:
            size = f"{held.chunks} chunks, {held.bytes / 1e6:.1f} MB"
            typer.confirm(f"Remove the collection {collection!r} ({size})?", abort=True)
        PgVectorStore(database, collection=collection).drop()
    if as_json:
        write_json({"collection": collection, "chunks": held.chunks})
    else:
        typer.echo(f"removed {collection} with {held.chunks} chunks")


def examine(url: str | None, *, as_json: bool) -> bool:
    """Whether nothing is wrong; what was found is shown."""
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
        console.print("nothing to be done")
    return found.healthy
