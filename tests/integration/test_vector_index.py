"""Vector indexes: what they are built on, that the planner uses them, and that no search comes back short."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sqlalchemy import event

from embedpipe.errors import (
    ConfigurationError,
)
from embedpipe.storage import Database, PgVectorStore, VectorIndex
from embedpipe.storage.columns import Precision
from embedpipe.types import Chunk, ModelSpec, SearchResult, Vectors

D = 16
SPEC = ModelSpec(name="unit-test", dimensions=D)


def vectors(n: int, seed: int = 0, dimensions: int = D) -> Vectors:
    return np.random.default_rng(seed).standard_normal((n, dimensions)).astype(np.float32)


INDEXED = [
    (384, "float32", None),
    (1536, "float32", None),
    (3072, "float16", None),
    (384, "float16", None),
    (384, "float32", VectorIndex(kind="half")),
    (384, "float32", VectorIndex(kind="prefix", dimensions=128)),
    (384, "float32", VectorIndex(kind="binary")),
    (3072, "float32", VectorIndex(kind="binary")),
]


@pytest.mark.parametrize(("dimensions", "precision", "index"), INDEXED)
def test_the_planner_uses_the_index(
    database: Database, dimensions: int, precision: Precision, index: VectorIndex | None
) -> None:
    store = PgVectorStore(database, model=ModelSpec(name="wide", dimensions=dimensions), precision=precision)
    stored = vectors(1500, dimensions=dimensions)
    store.upsert([Chunk.whole(f"chunk {i}", id=str(i)) for i in range(1500)], stored)
    store.create_index(index)
    plan, hits = plan_of(store, stored[5])
    assert hits[0].id == "5"
    assert hits[0].similarity == pytest.approx(1, abs=1e-3)
    assert f"Index Scan using {store.collection.vector_index}" in plan


def test_vectors_too_wide_for_a_float_index_get_a_binary_one(database: Database) -> None:
    store = PgVectorStore(database, model=ModelSpec(name="wide", dimensions=5000))
    stored = vectors(100, dimensions=5000)
    store.upsert([Chunk.whole(f"chunk {i}", id=str(i)) for i in range(100)], stored)
    store.create_index()
    assert store.collection.index.kind == "binary"
    assert [hit.id for hit in store.search(stored[5], k=1)] == ["5"]


def test_an_index_of_another_kind_replaces_the_one_that_is_there(database: Database) -> None:
    store = PgVectorStore(database, model=SPEC)
    store.upsert([Chunk.whole(str(i), id=str(i)) for i in range(50)], vectors(50))
    store.create_index()
    store.create_index()
    assert store.collection.index == VectorIndex()
    store.create_index(VectorIndex(kind="binary"))
    assert PgVectorStore(database).collection.index == VectorIndex(kind="binary")
    assert store.search(vectors(50)[3], k=1)[0].id == "3"


@pytest.mark.parametrize(
    ("dimensions", "index", "says"),
    [
        (16, VectorIndex(kind="prefix", dimensions=17), "1 to 16"),
        (3000, VectorIndex(), "takes 2000 dimensions"),
        (5000, VectorIndex(kind="half"), "takes 4000 dimensions"),
    ],
)
def test_an_index_that_cannot_be_is_refused(database: Database, dimensions: int, index: VectorIndex, says: str) -> None:
    store = PgVectorStore(database, model=ModelSpec(name="wide", dimensions=dimensions), precision="float32")
    with pytest.raises(ConfigurationError, match=says):
        store.create_index(index)


def plan_of(store: PgVectorStore, query: Vectors) -> tuple[str, list[SearchResult]]:
    """The server's plan of the statement that a search sends, and what the search gave."""
    sent: list[tuple[str, Any]] = []

    def remember(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        sent.append((statement, parameters))

    with store.database.engine.connect() as connection:
        event.listen(connection, "before_cursor_execute", remember)
        hits = store.search(query, k=5, connection=connection)
        event.remove(connection, "before_cursor_execute", remember)
        [(statement, parameters)] = sent
        return "\n".join(connection.exec_driver_sql("EXPLAIN " + statement, parameters).scalars()), hits


def test_an_index_search_under_a_filter_never_under_returns(database: Database) -> None:
    store = PgVectorStore(database, model=SPEC)
    stored = vectors(2000)
    chunks = [Chunk.whole(str(i), id=str(i), metadata={"rare": i % 250 == 0, "n": i}) for i in range(2000)]
    store.upsert(chunks, stored)
    store.create_index(VectorIndex(m=4, ef_construction=8))
    for query in vectors(20, seed=5):
        hits = store.search(query, k=8, filter={"rare": True})
        cosine = stored[::250] @ query / np.linalg.norm(stored[::250], axis=1)
        assert [int(hit.id) for hit in hits] == [int(i) * 250 for i in np.argsort(-cosine)]
    assert len(store.search(query, k=1500)) == 1500
