"""The work of `import`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Literal

from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from embedpipe.cli.render import console, counted, errors, progress_bar, write_json
from embedpipe.storage import Database, PgVectorStore
from embedpipe.storage.transfer import ImportReport
from embedpipe.types import ModelSpec

Kind = Literal["langchain", "langchain-table", "llama-index"]


def import_stored(
    kind: Kind,
    name: str,
    *,
    model: ModelSpec,
    schema: str,
    source: str | None,
    collection: str,
    url: str | None,
    as_json: bool,
) -> bool:
    """Import a vector store. Return whether all rows were imported. Failures go to stderr and into the JSON."""
    columns = (SpinnerColumn(), TextColumn("{task.completed} rows"), TimeElapsedColumn())
    with closing(Database(url)) as database, progress_bar(*columns, transient=True) as progress:
        task = progress.add_task("rows", total=None)
        store = PgVectorStore(database, collection=collection, model=model)
        report = _imported(
            store, kind, name, schema, source, lambda so_far: progress.update(task, completed=so_far.rows)
        )
    failures = {row: str(error) for row, error in report.failures.items()}
    if as_json:
        write_json({"rows": report.rows, "failures": failures})
        return not failures
    console.print(f"{counted(report.rows, 'row')} imported into {collection}", highlight=False)
    for message in failures.values():
        errors.print(Text(f"not imported: {message}", style="red"))
    return not failures


def _imported(
    store: PgVectorStore,
    kind: Kind,
    name: str,
    schema: str,
    source: str | None,
    on_progress: Callable[[ImportReport], None],
) -> ImportReport:
    if kind == "llama-index":
        from embedpipe.llama_index import import_table as import_nodes

        return import_nodes(store, name, schema_name=schema, source=source, on_progress=on_progress)
    from embedpipe.langchain import import_collection, import_table

    import_ = import_collection if kind == "langchain" else import_table
    return import_(store, name, schema=schema, source=source, on_progress=on_progress)
