"""The work of `export`."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from embedpipe.cli.commands import check_exists
from embedpipe.cli.render import console, counted, progress_bar, write_json
from embedpipe.export import Stored, export_collection
from embedpipe.storage import Database, PgVectorStore


def export(url: str | None, collection: str, folder: Path, *, vectors: Stored, as_json: bool) -> None:
    """Export a collection with a progress bar on stderr."""
    with closing(Database(url)) as database:
        check_exists(collection, database)
        store = PgVectorStore(database, collection=collection)
        with progress_bar() as progress:
            task = progress.add_task("chunks", total=store.count())
            report = export_collection(
                store, folder, vectors=vectors, on_progress=lambda chunks: progress.update(task, completed=chunks)
            )
    if as_json:
        write_json({**asdict(report), "folder": str(folder)})
    else:
        documents, chunks = counted(report.documents, "document"), counted(report.chunks, "chunk")
        console.print(
            f"{documents} and {chunks} of {collection}, vectors in {vectors}: {report.bytes / 1e6:.1f} MB in {folder}",
            highlight=False,
            markup=False,
        )
