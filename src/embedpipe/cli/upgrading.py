"""The work of `db upgrade`."""

from __future__ import annotations

from contextlib import closing

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

from embedpipe.cli.commands import check_exists
from embedpipe.cli.render import console, errors, progress_bar, write_json
from embedpipe.errors import ConfigurationError
from embedpipe.storage import Database, PgVectorStore, UpgradeProgress, admin


def upgrade_collections(url: str | None, collection: str | None, *, as_json: bool) -> None:
    """Bring the tables and the collections' indexes of words up to date, with a progress bar on stderr."""
    with closing(Database(url)) as database:
        database.run(admin.migrate, database.schema)
        if collection is not None:
            check_exists(collection, database)
        names = [info.name for info in database.collections()] if collection is None else [collection]
        upgraded = [name for name in names if _upgrade(database, name, skips=collection is None)]
    if as_json:
        write_json({"upgraded": upgraded})
    elif upgraded:
        console.print(f"upgraded: {', '.join(upgraded)}", markup=False)
    else:
        console.print("all collections are up to date")


def _upgrade(database: Database, name: str, *, skips: bool) -> bool:
    """Upgrade a collection. Return False if there was nothing to do. If `skips` is true, also if it cannot be done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with progress_bar(*columns) as progress:
        task = progress.add_task(name, total=None)

        def report(state: UpgradeProgress) -> None:
            progress.update(task, completed=state.done, total=state.total)

        try:
            return PgVectorStore(database, collection=name).upgrade(on_progress=report)
        except ConfigurationError as error:
            if not skips:
                raise
            errors.print(str(error), markup=False)
            return False
