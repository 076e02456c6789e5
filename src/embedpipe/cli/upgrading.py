"""The work of `db upgrade`."""

from __future__ import annotations

from contextlib import closing

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

from embedpipe.cli.commands import check_exists
from embedpipe.cli.render import console, progress_bar, write_json
from embedpipe.storage import Database, PgVectorStore, UpgradeProgress, admin


def upgrade_collections(url: str | None, collection: str | None, *, as_json: bool) -> None:
    """Bring the tables and the collections' indexes of words up to date, with a progress bar on stderr."""
    with closing(Database(url)) as database:
        database.run(admin.migrate, database.schema)
        if collection is not None:
            check_exists(collection, database)
        names = [info.name for info in database.collections()] if collection is None else [collection]
        upgraded = [name for name in names if _upgrade(database, name)]
    if as_json:
        write_json({"upgraded": upgraded})
    elif upgraded:
        console.print(f"upgraded: {', '.join(upgraded)}", markup=False)
    else:
        console.print("all collections are up to date")


def _upgrade(database: Database, name: str) -> bool:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with progress_bar(*columns) as progress:
        task = progress.add_task(name, total=None)

        def report(state: UpgradeProgress) -> None:
            progress.update(task, completed=state.done, total=state.total)

        return PgVectorStore(database, collection=name).upgrade(on_progress=report)
