"""The `db` commands: collections, set-up, dumps and the embedded server."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from embedpipe.cli.options import DatabaseUrl, Json, Yes

db = typer.Typer(help="The database and the embedded server.", no_args_is_help=True)


@db.command("collections")
def db_collections(database: DatabaseUrl = None, as_json: Json = False) -> None:
    """List the collections with their models and sizes."""
    from embedpipe.cli.render import collections_table, console, write_json
    from embedpipe.storage import Database

    opened = Database(database)
    rows = [{**asdict(info), "model": info.model.record()} for info in opened.collections()]
    opened.close()
    if as_json:
        write_json(rows)
    elif rows:
        console.print(collections_table(rows))
    else:
        console.print("no collections yet")


@db.command("migrate")
def db_migrate(
    as_sql: Annotated[
        bool, typer.Option("--sql", help="Print the SQL for an administrator and change nothing.")
    ] = False,
    collection: Annotated[
        str | None, typer.Option("--collection", "-c", help="A collection to create as well, if it does not exist.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="The embedding model of the new collection.")] = None,
    language: Annotated[str | None, typer.Option(help="Its text search configuration.")] = None,
    lexical: Annotated[bool, typer.Option(help="Whether the collection indexes words.")] = True,
    by_language: Annotated[
        bool, typer.Option("--by-language", help="Stem each chunk by its own language, metadata['language'].")
    ] = False,
    tenants: Annotated[bool, typer.Option("--tenants", help="Whether the chunks belong to tenants.")] = False,
    history: Annotated[bool, typer.Option("--history", help="Whether it keeps what is changed and deleted.")] = False,
    role: Annotated[
        str | None, typer.Option("--grant-to", help="A role that may search and write, but create nothing.")
    ] = None,
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Bring the tables up to date. With --sql, print the SQL for an administrator instead."""
    from embedpipe.cli.administration import migrate

    migrate(
        database,
        collection=collection,
        model=model,
        language=language,
        lexical=lexical,
        by_language=by_language,
        tenants=tenants,
        history=history,
        role=role,
        as_sql=as_sql,
        as_json=as_json,
    )


@db.command("upgrade")
def db_upgrade(
    collection: Annotated[
        str | None, typer.Option("--collection", "-c", help="The collection. Without it, all of them.")
    ] = None,
    by_language: Annotated[
        bool,
        typer.Option("--by-language", help="Stem each chunk of --collection by its own language from now on."),
    ] = False,
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Build indexes of words of an earlier version anew, while others search and write. A killed run is continued."""
    from embedpipe.cli.upgrading import upgrade_collections

    upgrade_collections(database, collection, by_language=by_language, as_json=as_json)


@db.command("drop")
def db_drop(collection: str, yes: Yes = False, database: DatabaseUrl = None, as_json: Json = False) -> None:
    """Remove a collection with all its data."""
    from embedpipe.cli.administration import drop_collection

    drop_collection(database, collection, yes=yes, as_json=as_json)


@db.command("dump")
def db_dump(
    path: Annotated[Path, typer.Argument(help="The file. *.dump is written for pg_restore, anything else as SQL.")],
    database: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Write a copy of all collections to a file."""
    from contextlib import closing

    from embedpipe.cli.render import write_fact
    from embedpipe.storage import Database

    with closing(Database(database)) as opened:
        opened.dump(path)
    write_fact("written", str(path), as_json=as_json)


@db.command("url")
def db_url(as_json: Json = False) -> None:
    """Print the embedded server's URL. It stops with its last user. `db start` keeps it running."""
    from embedpipe.cli.render import write_fact
    from embedpipe.storage.embedded import embedded_url

    write_fact("url", embedded_url(), as_json=as_json)


@db.command("start")
def db_start(as_json: Json = False) -> None:
    """Start the embedded server and print its URL. It runs until `db stop`."""
    from embedpipe.cli.render import write_fact
    from embedpipe.storage.embedded import start_embedded

    write_fact("url", start_embedded(), as_json=as_json)


@db.command("stop")
def db_stop(as_json: Json = False) -> None:
    """Stop the embedded server, even if programs still use it."""
    from embedpipe.cli.render import write_json
    from embedpipe.storage.embedded import stop_embedded

    stopped = stop_embedded()
    if as_json:
        write_json({"stopped": stopped})
    else:
        typer.echo("stopped" if stopped else "it was not running")
