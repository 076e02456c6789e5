"""The work of `import`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Literal

from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from embedpipe._optional import require
from embedpipe.cli.render import console, errors, progress_bar, write_json
from embedpipe.embedding import EmbeddingGenerator
from embedpipe.storage import Database, PgVectorStore
from embedpipe.storage.transfer import ImportReport

Kind = Literal["langchain", "langchain-table", "llama-index"]
Import = Callable[[PgVectorStore, Callable[[ImportReport], None]], ImportReport]


def import_stored(
    kind: Kind,
    name: str,
    *,
    model: str,
    schema: str,
    source: str | None,
    collection: str,
    url: str | None,
    as_json: bool,
) -> bool:
    """Import a vector store. Return whether all rows were imported. Failures go to stderr and into the JSON."""
    run = _importer(kind, name, schema, source)
    spec = EmbeddingGenerator(model).spec
    columns = (SpinnerColumn(), TextColumn("{task.completed} rows"), TimeElapsedColumn())
    with closing(Database(url)) as database, progress_bar(*columns, transient=True) as progress:
        task = progress.add_task("rows", total=None)
        store = PgVectorStore(database, collection=collection, model=spec)
        report = run(store, lambda report: progress.update(task, completed=report.rows))
    failures = {row: str(error) for row, error in report.failures.items()}
    if as_json:
        write_json({"rows": report.rows, "failures": failures})
        return not failures
    console.print(f"{report.rows} rows imported into {collection}", highlight=False)
    for message in failures.values():
        errors.print(Text(f"not imported: {message}", style="red"))
    return not failures


def _importer(kind: Kind, name: str, schema: str, source: str | None) -> Import:
    if kind == "llama-index":
        require("llama_index.core", extra="llama-index")
        from embedpipe.llama_index import import_table as nodes

        return lambda store, progress: nodes(store, name, schema_name=schema, source=source, on_progress=progress)
    require("langchain_core", extra="langchain")
    from embedpipe.langchain import import_collection, import_table

    if kind == "langchain":
        return lambda store, progress: import_collection(
            store, name, schema=schema, source=source, on_progress=progress
        )
    return lambda store, progress: import_table(store, name, schema=schema, source=source, on_progress=progress)
