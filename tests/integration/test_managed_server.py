"""PostgreSQL as others run it: pgvector in a schema of its own, and a pooler that shares sessions by transaction."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

from conftest import database_at
from embedpipe import Document, SemanticSearchService
from embedpipe.embedding import EmbeddingGenerator
from embedpipe.errors import (
    CollectionNotFoundError,
    ConfigurationError,
    ModelMismatchError,
    SchemaError,
    StorageError,
)
from embedpipe.storage import AsyncPgVectorStore, Database, Field, PgVectorStore, VectorIndex
from embedpipe.storage.admin.setup import run, script, setup_statements
from embedpipe.storage.tables.catalogue import CollectionSettings
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Chunk, ModelSpec, Vectors
from pooler import installed, pooled
from stores import awaitable

D = 16
SPEC = ModelSpec(name="unit-test", dimensions=D)


def vectors(n: int, seed: int = 0) -> Vectors:
    return np.random.default_rng(seed).standard_normal((n, D)).astype(np.float32)


def chunks(n: int) -> list[Chunk]:
    return [Chunk.whole(f"tea number {i}", id=f"{i:04}", metadata={"n": i}) for i in range(n)]


@pytest.fixture
def pooled_url(database_url: str, server_folder: Path) -> Iterator[str]:
    """The test's database through PgBouncer in transaction mode."""
    if installed() is None:
        pytest.skip("pgbouncer is not installed")
    with pooled(database_url, server_folder) as url:
        yield url


@pytest.fixture
def moved_url(database_url: str) -> str:
    """A database whose pgvector lies in a schema that no search path names."""
    database = Database(database_url)
    with database.engine.begin() as connection:
        connection.execute(text('CREATE SCHEMA "Ext ""ra"""'))
        connection.execute(text('ALTER EXTENSION vector SET SCHEMA "Ext ""ra"""'))
    database.close()
    return database_url


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_everything_works_through_a_pooler(pooled_url: str, kind: str) -> None:
    database = Database(pooled_url, transaction_pooling=True, ef_search=77, statement_timeout_s=30)
    store = awaitable(kind, database, model=SPEC)
    await store.upsert(chunks(1500), vectors(1500))
    for index in (VectorIndex(), VectorIndex(kind="binary"), VectorIndex(method="ivfflat", lists=9, probes=9)):
        await store.create_index(index, on_progress=lambda progress: None)
        for _ in range(8):  # past the driver's threshold for preparing
            [hit] = await store.search(vectors(1500)[7], k=1)
            assert hit.id == "0007"
    hits = await store.search(vectors(1500)[7], "tea 7", k=5, mode="hybrid", filter=Field("n") < 100)
    assert hits[0].id == "0007"
    await store.index_metadata("n")
    assert await store.delete(["0007"]) == 1
    assert await store.count() == 1499
    with pytest.raises(ConfigurationError, match="past the pooler"):
        await store.create_index(VectorIndex(), concurrently=True)
    assert [info.indexed for info in database.collections()] == [True]
    assert left_in_sessions(pooled_url) == {("", "0")}
    await database.aclose()


def left_in_sessions(pooled_url: str) -> set[tuple[str, str]]:
    """What the pooler's sessions keep of the settings that a search makes."""
    engine = create_engine(pooled_url.replace("postgresql", "postgresql+psycopg", 1), isolation_level="AUTOCOMMIT")
    asked = "SELECT coalesce(current_setting('hnsw.iterative_scan', true), ''), current_setting('statement_timeout')"
    found = set()
    with engine.connect() as connection:
        for _ in range(20):
            iterative, timeout = connection.execute(text(asked)).one()
            found.add((iterative.replace("off", ""), timeout))
    engine.dispose()
    return found


def test_an_ingest_and_its_searches_share_few_sessions(pooled_url: str) -> None:
    model = EmbeddingGenerator(FakeEmbeddingModel(D))
    service = SemanticSearchService(model, database=f"{pooled_url}&pgbouncer=true", chunker=None)
    failures: list[BaseException] = []

    def work(worker: int) -> None:
        documents = [Document(id=f"{worker} {i}", text=f"document {i} of {worker}") for i in range(40)]
        try:
            for _ in range(3):
                service.ingest(documents)
                for document in documents[:10]:
                    assert service.search(document.text, 1, mode="dense")[0].document_id == document.id
        except BaseException as error:  # noqa: BLE001 - reported by the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert service.store.count() == 240
    service.close()


def test_a_url_says_whether_it_is_a_poolers(database_url: str) -> None:
    with pytest.raises(ConfigurationError, match="pgbouncer=true or false"):
        Database(f"{database_url}&pgbouncer=yes")
    database = Database(f"{database_url}&pgbouncer=false")
    PgVectorStore(database, model=SPEC).create()
    assert PgVectorStore(database, model=SPEC).count() == 0
    database.close()


@pytest.mark.parametrize("pooling", [False, True])
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_pgvector_may_lie_in_any_schema(moved_url: str, kind: str, pooling: bool) -> None:
    database = Database(moved_url, transaction_pooling=pooling)
    store = awaitable(kind, database, model=SPEC)
    await store.upsert(chunks(300), vectors(300))
    await store.create_index(VectorIndex(kind="half"))
    [hit] = await store.search(vectors(300)[7], "tea 7", k=1, mode="hybrid")
    assert (hit.id, hit.lexical_rank) == ("0007", 1)
    await database.aclose()


def work_of(store: PgVectorStore, connection: Any) -> str:
    """Writes and searches on the connection; gives the id of what is found."""
    store.upsert(chunks(300), vectors(300), connection=connection)
    assert store.find(Field("n") == 7, connection=connection)[0].id == "0007"
    return store.search(vectors(300)[7], "tea", k=1, mode="hybrid", connection=connection)[0].id


@pytest.mark.parametrize("level", ["READ COMMITTED", "AUTOCOMMIT"])
def test_a_callers_connection_needs_no_search_path(moved_url: str, level: Any) -> None:
    store = PgVectorStore(Database(moved_url), model=SPEC)
    store.create()
    engine = create_engine(moved_url.replace("postgresql", "postgresql+psycopg", 1), isolation_level=level)
    with engine.connect() as connection:
        for _ in range(2):
            assert work_of(store, connection) == "0007"
            connection.rollback()
        path = connection.execute(text("SELECT current_setting('search_path')")).scalar()
        assert (path == '"$user", public') == (level != "AUTOCOMMIT")
    assert store.count() == (300 if level == "AUTOCOMMIT" else 0)
    engine.dispose()
    store.database.close()


async def test_a_callers_async_connection_needs_no_search_path(moved_url: str) -> None:
    store = AsyncPgVectorStore(Database(moved_url), model=SPEC)
    await store.create()
    engine = create_async_engine(moved_url.replace("postgresql", "postgresql+psycopg", 1))
    async with engine.begin() as connection:
        await store.upsert(chunks(300), vectors(300), connection=connection)
        [hit] = await store.search(vectors(300)[7], k=1, connection=connection)
        assert hit.id == "0007"
    assert await store.count() == 300
    await engine.dispose()
    await store.database.aclose()


def test_an_empty_search_path_does_no_harm(moved_url: str) -> None:
    database = Database(moved_url + "&options=-csearch_path%3D")
    assert work_of(PgVectorStore(database, model=SPEC), None) == "0007"
    database.close()


@pytest.mark.parametrize("pooling", [False, True])
def test_a_statement_that_takes_too_long_is_ended(database_url: str, pooling: bool) -> None:
    database = Database(
        database_url, statement_timeout_s=0.05, application_name="the tests", transaction_pooling=pooling
    )
    names = database.run(
        lambda connection: connection.execute(text("SELECT current_setting('application_name')")).all()
    )
    assert names == [("the tests",)]
    for each in (database.run, database.read):
        with pytest.raises(StorageError, match="statement timeout"):
            each(lambda connection: connection.execute(text("SELECT pg_sleep(5)")))
    store = PgVectorStore(database, model=ModelSpec(name="wide", dimensions=512), lexical=False)
    wide = np.random.default_rng(0).standard_normal((800, 512))
    for start in range(0, 800, 50):
        store.upsert(chunks(800)[start : start + 50], wide[start : start + 50])
    store.create_index(VectorIndex(ef_construction=400))  # takes longer, and may
    store.count()
    database.close()


@pytest.mark.parametrize(
    ("options", "says"),
    [({"ef_search": 0}, "ef_search=0 is out"), ({"statement_timeout_s": 0}, "statement_timeout_s=0 is out")],
)
def test_settings_that_cannot_be_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Database("postgresql://localhost/nothing", **options)


@pytest.fixture
def role(server_url: str) -> Iterator[str]:
    """A role that may log in, and nothing else."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute('CREATE ROLE "the app" LOGIN')
        yield "the app"
        connection.execute('DROP ROLE "the app"')


def test_a_role_that_can_make_nothing_works_after_an_administrators_script(server_url: str, role: str) -> None:
    model = EmbeddingGenerator(FakeEmbeddingModel(D))
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE empty_one")
    url = database_at(server_url, "empty_one")
    before = Database(url.replace("postgres@", "the%20app@"))
    settings = CollectionSettings(model.spec)
    statements = before.read(
        lambda connection: setup_statements(
            connection, schema="my schema", collection="it's 100% :mine", settings=settings, role=role
        )
    )
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(script(statements))
    before.close()

    database = Database(url.replace("postgres@", "the%20app@"), schema="my schema")
    service = SemanticSearchService(model, database=database, collection="it's 100% :mine", chunker=None)
    documents = [Document(id=str(i), text=f"text {i}", metadata={"n": i}) for i in range(50)]
    assert service.ingest(documents).added == 50
    assert service.ingest(documents[:40], prune=True).removed == 10
    assert service.search("text 7", 1)[0].document_id == "7"
    assert service.store.delete(filter={"n": 7}) == 1
    assert not service.store.ensure_index(min_rows=10)
    assert service.store.refresh_statistics() == 0
    for refused in (service.store.create_index, service.store.drop, lambda: service.store.index_metadata("n")):
        with pytest.raises(SchemaError, match="privilege"):
            refused()
    with pytest.raises(SchemaError, match="privilege"):
        PgVectorStore(database, collection="another", model=SPEC).create()
    assert service.store.count() == 39
    service.close()

    administrator = Database(url, schema="my schema")
    assert administrator.run(lambda connection: connection.execute(text("ANALYZE"))) is not None
    PgVectorStore(administrator, collection="the administrator's", model=SPEC).create()
    assert [info.name for info in administrator.collections()] == ["it's 100% :mine", "the administrator's"]
    administrator.close()
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("DROP DATABASE empty_one WITH (FORCE)")


async def test_tenants_of_a_role_without_ddl_are_apart_through_a_pooler(
    role: str, database: Database, database_url: str, server_folder: Path
) -> None:
    if installed() is None:
        pytest.skip("pgbouncer is not installed")
    statements = database.read(
        lambda connection: setup_statements(
            connection,
            schema=database.schema,
            collection="shared",
            settings=CollectionSettings(SPEC, tenants=True),
            role=role,
        )
    )
    database.run(lambda connection: run(connection, statements))
    with pooled(database_url, server_folder, roles=(role,)) as url:
        opened = Database(url.replace("postgres@", "the%20app@"), transaction_pooling=True)
        stores = [PgVectorStore(opened, collection="shared", tenant=name, model=SPEC) for name in ("a", "b")]
        for number, store in enumerate(stores):
            store.upsert(chunks(100), vectors(100, seed=number))
        for number, store in enumerate(stores):
            for _ in range(4):
                [hit] = await store.to_async().search(vectors(100, seed=number)[7], "tea", k=1, mode="hybrid")
                assert (hit.id, round(hit.similarity or 0, 3)) == ("0007", 1)
            assert store.count() == 100
            with pytest.raises(ConfigurationError, match="of tenants"):
                store.index_metadata("n")
        found = opened.diagnose()
        assert (found.healthy, found.collections[0].chunks) == (True, 0)
        assert "Row security hides" in found.findings[0].message
        await opened.aclose()
    seen = database.diagnose()
    assert (seen.healthy, seen.collections[0].chunks, seen.collections[0].indexed_words) == (True, 200, 200)


def test_a_script_is_refused_for_what_cannot_be(database: Database) -> None:
    def wanted(**options: Any) -> list[str]:
        return database.read(lambda connection: setup_statements(connection, schema=database.schema, **options))

    with pytest.raises(CollectionNotFoundError, match="Name its model"):
        wanted(collection="new")
    with pytest.raises(ConfigurationError, match="klingon"):
        wanted(collection="new", settings=CollectionSettings(SPEC, "klingon"))
    PgVectorStore(database, model=SPEC).create()
    with pytest.raises(ModelMismatchError, match="unit-test"):
        wanted(collection="default", settings=CollectionSettings(ModelSpec(name="other", dimensions=D)))
    assert not any("CREATE TABLE" in line for line in wanted(collection="default", role="app"))


def test_a_script_does_not_give_a_collection_the_number_of_a_dropped_one(database: Database) -> None:
    dropped = PgVectorStore(database, collection="dropped", model=SPEC)
    dropped.upsert(chunks(1), vectors(1))
    PgVectorStore(database, collection="dropped").drop()
    statements = database.read(
        lambda connection: setup_statements(
            connection, schema=database.schema, collection="new", settings=CollectionSettings(SPEC)
        )
    )
    database.run(lambda connection: run(connection, statements))
    with pytest.raises(CollectionNotFoundError, match="was dropped while this store used it"):
        dropped.upsert(chunks(1), vectors(1))
    assert PgVectorStore(database, collection="new").count() == 0


async def test_an_engine_of_the_callers_serves_as_it_is(moved_url: str) -> None:
    url = moved_url.replace("postgresql", "postgresql+psycopg", 1)
    engine, async_engine = create_engine(url), create_async_engine(url)
    store = PgVectorStore(Database(engine, ef_search=77), model=SPEC)
    async_store = AsyncPgVectorStore(Database(async_engine), model=SPEC)
    store.upsert(chunks(300), vectors(300))
    store.create_index(on_progress=lambda progress: None)
    for _ in range(8):
        assert store.search(vectors(300)[7], "tea", k=1, mode="hybrid")[0].id == "0007"
        assert (await async_store.search(vectors(300)[8], k=1))[0].id == "0008"
    assert await async_store.delete(["0008"]) == 1
    assert store.database.diagnose().healthy
    with pytest.raises(ConfigurationError, match="given engine"):
        store.create_index(VectorIndex(kind="half"), concurrently=True)
    with pytest.raises(ConfigurationError, match="AsyncEngine"):
        await store.to_async().count()
    with pytest.raises(ConfigurationError, match="async forms"):
        async_store.to_sync().count()
    store.database.close()
    await async_store.database.aclose()
    with engine.connect() as connection:  # still open, and as it was
        left = "SELECT current_setting('search_path'), current_setting('hnsw.iterative_scan', true)"
        assert connection.execute(text(left)).one() in [('"$user", public', "off"), ('"$user", public', None)]
    engine.dispose()
    await async_engine.dispose()


def test_an_engine_of_another_driver_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="sqlite"):
        Database(create_engine("sqlite://"))
