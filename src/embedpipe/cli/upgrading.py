"""The work of `db upgrade`."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

from embedpipe.cli.commands import check_exists
from embedpipe.cli.render import console, errors, progress_bar, write_json
from embedpipe.errors import ConfigurationError, InputError
from embedpipe.storage import BM25, Database, PgVectorStore, UpgradeProgress, admin


def upgrade_collections(url: str | None, collection: str | None, *, by_language: bool, as_json: bool) -> None:
    """Bring the tables and the collections' indexes of words up to date, with a progress bar on stderr."""
    if by_language and collection is None:
        raise InputError("--by-language is for one collection. Pass --collection, too.")
    with closing(Database(url)) as database:
        database.run(admin.migrate, database.schema)
        if collection is not None:
            check_exists(collection, database)
        names = [info.name for info in database.collections()] if collection is None else [collection]
        upgraded = [name for name in names if _upgrade(database, name, by_language, skips=collection is None)]
    if as_json:
        write_json({"upgraded": upgraded})
    elif upgraded:
        console.print(f"upgraded: {', '.join(upgraded)}", markup=False)
    else:
        console.print("all collections are up to date")


def _upgrade(database: Database, name: str, by_language: bool, *, skips: bool) -> bool:
    """Upgrade a collection. Return False if there was nothing to do. If `skips` is true, also if it cannot be done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with progress_bar(*columns) as progress:
        task = progress.add_task(name, total=None)

        def report(state: UpgradeProgress) -> None:
            progress.update(task, completed=state.done, total=state.total)

        try:
            store = PgVectorStore(database, collection=name)
            lexical = replace(store.existing().lexical or BM25(), by_language=True) if by_language else None
            return store.upgrade(lexical=lexical, on_progress=report)
        except ConfigurationError as error:
            if not skips:
                raise
            errors.print(str(error), markup=False)
            return False
