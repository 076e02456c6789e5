"""The work of `reembed`."""

from __future__ import annotations

from contextlib import closing

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

from embedpipe.cli.commands import check_exists
from embedpipe.cli.render import console, progress_bar, write_json
from embedpipe.embedding import EmbeddingGenerator
from embedpipe.storage import Database, PgVectorStore, ReembedProgress


def reembed_collection(url: str | None, collection: str, model: str, *, drop: bool, as_json: bool) -> None:
    """Embed a collection with another model, with a progress bar on stderr."""
    with closing(Database(url)) as database:
        check_exists(collection, database)
        generator = EmbeddingGenerator(model)
        store = _with_progress(PgVectorStore(database, collection=collection), generator)
        dropped = store.drop_embedding_versions() if drop else 0
        chunks = store.count()
    if as_json:
        write_json({"collection": collection, "model": generator.spec.name, "chunks": chunks, "sets_dropped": dropped})
    else:
        console.print(f"{chunks} chunks of {collection} now have the vectors of {generator.spec.name}", markup=False)


def _with_progress(store: PgVectorStore, generator: EmbeddingGenerator) -> PgVectorStore:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with progress_bar(*columns) as progress:
        task = progress.add_task("chunks", total=None)

        def report(state: ReembedProgress) -> None:
            progress.update(task, completed=state.done, total=state.total)

        return store.reembed(
            lambda texts: generator.generate_batch(texts).vectors, model=generator.spec, on_progress=report
        )
