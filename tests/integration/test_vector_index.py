"""Vector indexes: what they are built on, that the planner uses them, and that no search comes back short."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, event, text

from embedpipe import Document, SemanticSearchService
from embedpipe.errors import ConfigurationError
from embedpipe.storage import AsyncPgVectorStore, Database, IndexProgress, PgVectorStore, VectorIndex
from embedpipe.storage.indexes import index_states
from embedpipe.storage.types.pg_types import Precision
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Chunk, ModelSpec, SearchMode, SearchResult, Vectors
from stores import awaitable

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
    (384, "float32", VectorIndex(method="ivfflat")),
    (384, "float32", VectorIndex(method="ivfflat", kind="half", lists=7, probes=7)),
    (384, "float16", VectorIndex(method="ivfflat", kind="binary", lists=3, probes=3)),  # signs tie between centres
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
    store.create_index(VectorIndex(method="ivfflat"), concurrently=True)
    assert store.collection.index == VectorIndex(method="ivfflat", lists=1)
    assert store.search(vectors(50)[3], k=1)[0].id == "3"
    assert list(states(store).values()) == [True]


@pytest.mark.parametrize(
    ("dimensions", "index", "says"),
    [
        (16, VectorIndex(kind="prefix", dimensions=17), "1 to 16"),
        (3000, VectorIndex(), "at most 2000 dimensions"),
        (5000, VectorIndex(kind="half"), "at most 4000 dimensions"),
        (3000, VectorIndex(method="ivfflat"), "at most 2000 dimensions"),
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
        event.listen(connection.engine, "before_cursor_execute", remember)
        hits = store.search(query, k=5, connection=connection)
        event.remove(connection.engine, "before_cursor_execute", remember)
        statement, parameters = sent[-1]
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


def statements_of(
    store: PgVectorStore, query: Vectors, *, settings: str = "", **options: Any
) -> tuple[int, list[SearchResult]]:
    """How many statements over chunks a search sends, and what the search gave."""
    sent: list[str] = []
    store.count()  # the collection is open by now, and the session set up
    with store.database.engine.begin() as connection:
        if settings:
            connection.execute(text(settings))
        event.listen(connection, "before_cursor_execute", lambda *args: sent.append(args[2]))
        hits = store.search(query, "17", connection=connection, **options)
    return len([statement for statement in sent if "_chunks" in statement]), hits


@pytest.mark.parametrize("mode", ["dense", "hybrid"])
@pytest.mark.parametrize("least", [0.6, 1.0])
def test_what_a_threshold_cuts_is_not_looked_for_again(database: Database, mode: SearchMode, least: float) -> None:
    store = PgVectorStore(database, model=SPEC)
    stored = vectors(3000)
    store.upsert([Chunk.whole(f"chunk {i}", id=str(i)) for i in range(3000)], stored)
    store.create_index()
    query = vectors(1, seed=3)[0]
    near = stored @ query / np.linalg.norm(stored, axis=1) / np.linalg.norm(query) >= least
    assert 0 <= near.sum() < 50
    sent, hits = statements_of(store, query, k=50, mode=mode, threshold=least)
    assert {hit.id for hit in hits} == {str(i) for i in np.flatnonzero(near)}
    assert sent == 1


@pytest.mark.parametrize("mode", ["dense", "hybrid"])
def test_where_all_that_there_is_came_nothing_is_looked_for_again(database: Database, mode: SearchMode) -> None:
    store = PgVectorStore(database, model=SPEC)
    stored = vectors(300)
    store.upsert([Chunk.whole("chunk", id=str(i), metadata={"few": i < 4}) for i in range(300)], stored)
    store.create_index()
    for condition, found in [(None, 300), ({"few": True}, 4), ({"few": None}, 0)]:
        sent, hits = statements_of(store, stored[0], k=400, mode=mode, filter=condition)
        assert (sent, len(hits)) == (1, found)


@pytest.mark.parametrize("threshold", [None, 0.0])
def test_where_an_index_brings_too_few_every_vector_is_compared(database: Database, threshold: float | None) -> None:
    store = PgVectorStore(database, model=SPEC)
    stored = vectors(3000)
    store.upsert([Chunk.whole(f"chunk {i}", id=str(i)) for i in range(3000)], stored)
    store.create_index()
    index_ends = "SET LOCAL hnsw.iterative_scan = off; SET LOCAL hnsw.ef_search = 5"
    sent, hits = statements_of(store, stored[0], settings=index_ends, k=20, threshold=threshold)
    nearest = np.argsort(-(stored @ stored[0]) / np.linalg.norm(stored, axis=1))[:20]
    assert [int(hit.id) for hit in hits] == list(nearest)
    assert sent == 2


def test_ranks_follow_the_similarity_where_the_index_brings_rows_out_of_order(database_url: str) -> None:
    database = Database(database_url, ef_search=1)
    store = PgVectorStore(database, model=SPEC)
    store.upsert([Chunk.whole("chunk", id=str(i)) for i in range(2000)], vectors(2000))
    store.create_index()
    for query in vectors(10, seed=1):
        hits = [hit for hit in store.search(query, "chunk", k=100, mode="hybrid") if hit.dense_rank is not None]
        hits.sort(key=lambda hit: hit.dense_rank or 0)
        similarities = [hit.similarity or 0 for hit in hits]
        assert len(similarities) > 10
        assert similarities == sorted(similarities, reverse=True)
    database.close()


def states(store: PgVectorStore) -> dict[str, bool]:
    """Whether each vector index is valid, by name."""
    return store.database.read(index_states, store.collection)


def filled(store: PgVectorStore, rows: int, dimensions: int = D) -> Vectors:
    stored = vectors(rows, dimensions=dimensions)
    store.upsert([Chunk.whole(str(i), id=str(i)) for i in range(rows)], stored)
    return stored


@pytest.mark.parametrize(
    ("rows", "lists", "probed"), [(0, 1, 1), (20_000, 20, 4), (1_000_000, 1000, 31), (4_000_000, 2000, 44)]
)
def test_lists_and_probes_follow_the_rows(rows: int, lists: int, probed: int) -> None:
    sized = VectorIndex(method="ivfflat").sized(rows)
    assert (sized.lists, sized.search_settings) == (lists, {"ivfflat.probes": str(probed)})
    given = VectorIndex(method="ivfflat", lists=9, probes=5).sized(rows)
    assert given.search_settings == {"ivfflat.probes": "5"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"method": "flat"}, "method='flat' is not known"),
        ({"method": "ivfflat", "m": 8}, "are for method='hnsw'"),
        ({"lists": 10}, "are for method='ivfflat'"),
        ({"method": "ivfflat", "lists": 0}, "1 to 32768"),
        ({"m": 1}, "m=1 is out of range. Pass a whole number from 2 to 100"),
        ({"kind": "prefix"}, "required for kind='prefix'"),
    ],
)
def test_settings_that_cannot_be_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        VectorIndex(**options)


def test_a_search_looks_into_as_many_lists_as_its_index_wants(database: Database) -> None:
    stores = [PgVectorStore(database, collection=name, model=SPEC) for name in ("few", "all")]
    stored, _ = (filled(store, 3000) for store in stores)
    for store, probes in zip(stores, (1, 60), strict=True):
        store.create_index(VectorIndex(method="ivfflat", lists=60, probes=probes))
    found = {store.name: 0 for store in stores}
    for query in vectors(30, seed=9):
        nearest = {str(i) for i in np.argsort(-(stored @ query) / np.linalg.norm(stored, axis=1))[:10]}
        for store in stores:
            found[store.name] += len(nearest & {hit.id for hit in store.search(query, k=10)})
            assert {hit.id for hit in store.search(query, k=10, exact=True)} == nearest
    assert found["all"] == 300
    assert found["few"] < 250


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_exact_answers_past_the_index(database: Database, kind: str) -> None:
    store = awaitable(kind, database, model=SPEC)
    stored = vectors(3000)
    await store.upsert([Chunk.whole(f"chunk {i}", id=str(i)) for i in range(3000)], stored)
    await store.create_index(VectorIndex(kind="prefix", dimensions=1))
    query = vectors(1, seed=3)[0]
    nearest = [str(i) for i in np.argsort(-(stored @ query) / np.linalg.norm(stored, axis=1))[:10]]
    assert [hit.id for hit in await store.search(query, k=10)] != nearest
    assert [hit.id for hit in await store.search(query, k=10, exact=True)] == nearest
    fused = await store.search(query, "chunk", k=10, mode="hybrid", exact=True)
    assert len(fused) == 10
    await database.aclose()


@pytest.mark.parametrize("concurrently", [False, True])
@pytest.mark.parametrize("method", ["hnsw", "ivfflat"])
def test_progress_is_told(database: Database, method: Any, concurrently: bool) -> None:
    store = PgVectorStore(database, model=ModelSpec(name="wide", dimensions=256), lexical=False)
    filled(store, 4000, dimensions=256)
    index = VectorIndex(ef_construction=128) if method == "hnsw" else VectorIndex(method=method, lists=1000)
    seen: list[IndexProgress] = []
    store.create_index(index, concurrently=concurrently, on_progress=seen.append)
    assert seen[-1] == IndexProgress("finished", 1.0)
    assert any(each.phase.startswith("building index") for each in seen)
    assert all(each.done is None or 0 <= each.done <= 1 for each in seen)
    assert states(store) == {store.collection.vector_index: True}


async def test_progress_is_told_on_the_event_loop(database: Database) -> None:
    store = AsyncPgVectorStore(database, model=ModelSpec(name="wide", dimensions=256), lexical=False)
    chunks = [Chunk.whole(str(i), id=str(i)) for i in range(4000)]
    await store.upsert(chunks, vectors(4000, dimensions=256))
    threads = set()
    await store.create_index(on_progress=lambda _: threads.add(threading.get_ident()))
    assert threads == {threading.get_ident()}
    assert await store.drop_index()
    assert not await store.drop_index()
    await database.aclose()


@pytest.mark.parametrize("concurrently", [False, True])
def test_a_build_is_cancelled_where_its_observer_raises(
    database: Database, concurrently: bool, caplog: pytest.LogCaptureFixture
) -> None:
    store = PgVectorStore(database, model=ModelSpec(name="wide", dimensions=256), lexical=False)
    filled(store, 4000, dimensions=256)
    store.create_index(VectorIndex(kind="binary"))

    def enough(progress: IndexProgress) -> None:
        raise KeyboardInterrupt

    slow = VectorIndex(m=64, ef_construction=800)
    started = time.monotonic()
    with caplog.at_level(logging.WARNING), pytest.raises(KeyboardInterrupt):
        store.create_index(slow, concurrently=concurrently, on_progress=enough)
    assert time.monotonic() - started < 20
    assert ("invalid index" in caplog.text) == concurrently
    assert store.collection.index == PgVectorStore(database).collection.index == VectorIndex(kind="binary")
    assert states(store) == {store.collection.vector_index: True}


def test_what_a_failed_concurrent_build_left_is_dropped(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    store = PgVectorStore(database, model=SPEC)
    filled(store, 500)
    definition = store.collection.index_definition()
    with database.engine.begin() as connection:
        connection.execute(
            text(f"CREATE INDEX {definition.name} ON embedpipe.c1_vectors_1 USING hnsw (embedding vector_cosine_ops)")
        )
        connection.execute(
            text("UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass(:name)"),
            {"name": f"embedpipe.{definition.name}"},
        )
    assert not database.collections()[0].indexed
    with caplog.at_level(logging.WARNING):
        store.create_index(concurrently=True)
    assert f"Dropping the invalid index {definition.name}" in caplog.text
    assert states(store) == {store.collection.vector_index: True}


def test_writers_go_on_while_an_index_is_built_concurrently(database: Database) -> None:
    store = PgVectorStore(database, model=ModelSpec(name="wide", dimensions=256), lexical=False)
    filled(store, 4000, dimensions=256)
    written = 0

    def write(progress: IndexProgress) -> None:
        nonlocal written
        store.upsert([Chunk.whole("new", id=f"new {written}")], vectors(1, seed=written + 1, dimensions=256))
        written += 1

    store.create_index(VectorIndex(ef_construction=128), concurrently=True, on_progress=write)
    assert written > 1
    [hit] = store.search(vectors(1, seed=1, dimensions=256)[0], k=1)
    assert hit.id == "new 0"


def test_building_takes_memory_and_time_whatever_the_session_has(database: Database) -> None:
    store = PgVectorStore(database, model=ModelSpec(name="wide", dimensions=256), lexical=False)
    filled(store, 2000, dimensions=256)
    sent: list[str] = []

    def remember(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        if statement.startswith("CREATE INDEX"):
            memory, workers, timeout = connection.exec_driver_sql(
                "SELECT pg_size_bytes(current_setting('maintenance_work_mem')), "
                "current_setting('max_parallel_maintenance_workers'), current_setting('statement_timeout')"
            ).one()
            sent.append(f"{memory > 2000 * 256 * 4} {workers} {timeout}")

    with database.engine.connect() as connection:  # the pool hands it out again
        connection.exec_driver_sql("SET maintenance_work_mem = '1MB'")
        connection.exec_driver_sql("SET statement_timeout = '60s'")
        connection.commit()
    event.listen(Engine, "before_cursor_execute", remember)
    for concurrently in (False, True):
        store.drop_index()
        store.create_index(concurrently=concurrently)
    event.remove(Engine, "before_cursor_execute", remember)
    assert sent == ["True 2 0", "True 2 0"]


def test_without_an_index_of_words_there_is_dense_search_alone(database: Database) -> None:
    store = PgVectorStore(database, model=SPEC, lexical=False)
    stored = filled(store, 100)
    assert store.search(stored[7], k=1)[0].id == "7"
    modes: tuple[SearchMode, ...] = ("lexical", "hybrid")
    for mode in modes:
        with pytest.raises(ConfigurationError, match="lexical=False"):
            store.search(stored[7], "words", mode=mode)
    assert store.delete(["7"]) == 1
    assert store.refresh_statistics() == 0
    assert not PgVectorStore(database).collection.lexical
    [info] = database.collections()
    assert (info.chunks, info.bytes > 8192) == (99, True)
    with pytest.raises(ConfigurationError, match="created with lexical=False, not True"):
        PgVectorStore(database, lexical=True).count()
    store.drop()
    with database.engine.connect() as connection:
        left = "SELECT count(*) FROM pg_class WHERE relname LIKE 'c1%'"
        assert connection.execute(text(left)).scalar() == 0


async def test_a_service_searches_past_the_index_where_asked(database: Database) -> None:
    service = SemanticSearchService(FakeEmbeddingModel(D), database=database, chunker=None)
    service.ingest([Document(id=str(i), text=f"text {i}") for i in range(2000)])
    service.store.create_index(VectorIndex(kind="prefix", dimensions=1))
    [near, exact] = [service.search("text", 10, mode="dense", exact=exact) for exact in (False, True)]
    assert near != exact
    assert await service.asearch("text", 10, mode="dense", exact=True) == exact
    assert min(hit.score for hit in exact) >= min(hit.score for hit in near)
    await service.aclose()


@pytest.mark.parametrize("concurrently", [False, True])
def test_two_who_build_at_once_end_with_one_index(database: Database, concurrently: bool) -> None:
    stores = [PgVectorStore(database, model=ModelSpec(name="wide", dimensions=256), lexical=False) for _ in range(3)]
    filled(stores[0], 2000, dimensions=256)
    with ThreadPoolExecutor(3) as pool:
        builds = [pool.submit(store.create_index, concurrently=concurrently) for store in stores]
    assert [build.result() for build in builds] == [None] * 3
    assert states(stores[0]) == {stores[0].collection.vector_index: True}
