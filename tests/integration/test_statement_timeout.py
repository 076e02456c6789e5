"""The time limit of statements is for searches. The maintenance of a large collection takes as long as it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, event, text

from embedpipe.storage import Database, PgVectorStore
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Chunk

OLD, NEW = FakeEmbeddingModel(8, name="old"), FakeEmbeddingModel(8, name="new")


def reembed(store: PgVectorStore) -> None:
    store.reembed(lambda texts: NEW.embed(texts, "document"), model=NEW.spec)


def upgrade(store: PgVectorStore) -> None:
    with store.database.engine.begin() as connection:
        connection.execute(text("UPDATE embedpipe.collections SET segmentation = 1"))
    assert PgVectorStore(store.database).upgrade()


MAINTENANCE: dict[str, Callable[[PgVectorStore], object]] = {
    "create_index": lambda store: store.create_index(),
    "create_index beside writers": lambda store: store.create_index(concurrently=True),
    "ensure_index": lambda store: store.ensure_index(min_rows=10),
    "index_metadata": lambda store: store.index_metadata("n"),
    "refresh_statistics": lambda store: store.refresh_statistics(exact=True),
    "reembed": reembed,
    "upgrade": upgrade,
}


@contextmanager
def limited_statements() -> Iterator[list[str]]:
    """Collect the statements on tables of the first collection that run with a time limit."""
    limited: list[str] = []

    def look(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if ".c1_" in statement and "FROM pg_" not in statement:  # what the server knows of a table is read at once
            [limit] = cursor.connection.execute("SHOW statement_timeout").fetchone()
            if limit != "0":
                limited.append(statement)

    event.listen(Engine, "before_cursor_execute", look)
    yield limited
    event.remove(Engine, "before_cursor_execute", look)


@pytest.mark.parametrize("operation", MAINTENANCE)
def test_maintenance_has_no_time_limit(operation: str, database_url: str) -> None:
    database = Database(database_url, statement_timeout_s=600)
    store = PgVectorStore(database, model=OLD.spec)
    chunks = [Chunk.whole(f"text {n} " + "word " * n, id=f"{n:04}", metadata={"n": n}) for n in range(150)]
    store.upsert(chunks, np.ones((150, 8), np.float32) + np.eye(150, 8, dtype=np.float32))
    if operation == "reembed":
        store.create_index()
    with limited_statements() as limited:
        MAINTENANCE[operation](store)
    assert limited == []
    with limited_statements() as limited:
        PgVectorStore(database).search(np.ones(8), "word", mode="hybrid")
    assert limited
    database.close()
