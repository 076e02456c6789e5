"""What `doctor`, `delete`, `import` and some `db` commands do once their arguments are read."""

from __future__ import annotations

import sys
from contextlib import closing
from functools import partial

from embedpipe.storage import Database, catalogue
from embedpipe.storage.catalogue import CollectionSettings
from embedpipe.storage.setup import run, script, setup_statements


def migrate(
    url: str | None,
    *,
    collection: str | None,
    model: str | None,
    language: str | None,
    lexical: bool,
    role: str | None,
    as_sql: bool,
) -> None:
    """Runs the script that sets the database up, or prints it."""
    spec = None
    if model is not None:
        from embedpipe.embedding import EmbeddingGenerator

        spec = EmbeddingGenerator(model).spec
    settings = CollectionSettings(spec, language, lexical=None if lexical else False)
    with closing(Database(url)) as database:
        lacking = partial(setup_statements, schema=database.schema, collection=collection, settings=settings, role=role)
        if as_sql:
            sys.stdout.write(script(database.read(lacking)))
            return
        database.run(catalogue.migrate, database.schema)
        database.run(lambda connection: run(connection, lacking(connection)))
