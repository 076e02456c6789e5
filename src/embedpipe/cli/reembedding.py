"""The work of `reembed`."""

from __future__ import annotations

from contextlib import closing

from embedpipe.cli.commands import check_exists
from embedpipe.cli.render import console, counted, progress_bar, write_json
from embedpipe.embedding import EmbeddingGenerator
from embedpipe.storage import Database, PgVectorStore


def reembed_collection(
    url: str | None, collection: str, generator: EmbeddingGenerator, *, drop: bool, as_json: bool
) -> None:
    """Embed a collection with another model, with a progress bar on stderr."""
    with closing(Database(url)) as database:
        check_exists(collection, database)
        with progress_bar() as progress:
            task = progress.add_task("chunks", total=None)
            store = PgVectorStore(database, collection=collection).reembed(
                lambda texts: generator.generate_batch(texts).vectors,
                model=generator.spec,
                on_progress=lambda state: progress.update(task, completed=state.done, total=state.total),
            )
        dropped = store.drop_embedding_versions() if drop else 0
        chunks = store.count()
    if as_json:
        write_json({"collection": collection, "model": generator.spec.name, "chunks": chunks, "sets_dropped": dropped})
    else:
        have = "has" if chunks == 1 else "have"
        sentence = f"{counted(chunks, 'chunk')} of {collection} now {have} the vectors of {generator.spec.name}"
        console.print(sentence, markup=False)
