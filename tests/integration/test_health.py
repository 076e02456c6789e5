"""What a look at a collection finds, and that it finds nothing where all is well."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import psycopg
import pytest
from sqlalchemy import text

from embedpipe.embedding import EmbeddingGenerator
from embedpipe.service import SemanticSearchService
from embedpipe.storage import Database, PgVectorStore
from embedpipe.storage.tables.index_types import INDEX_FROM
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Chunk, Document, Kind, ModelSpec, Vectors

DOCUMENTS = [Document(id="a", text="A text about bees.")]


@pytest.fixture(params=["sync", "async"])
def how(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def health(how: str, service: SemanticSearchService) -> Any:
    return await (service.ahealth() if how == "async" else asyncio.to_thread(service.health))


async def test_a_service_that_works_is_healthy_before_and_after_its_first_ingest(database: Database, how: str) -> None:
    service = SemanticSearchService(FakeEmbeddingModel(8), database=database)
    before = await health(how, service)
    assert (before.healthy, before.database, before.exists, before.model_loads) == (True, True, False, True)
    await service.aingest(DOCUMENTS)
    after = await health(how, service)
    assert (after.healthy, after.exists, after.model, after.index) == (True, True, "fake", None)
    assert after.migration == database.diagnose().migration
    assert after.pgvector_version is not None
    assert after.findings == []
    await service.aclose()


async def test_an_empty_database_is_not_changed(server_url: str, how: str) -> None:
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE bare")
    database = Database(server_url.replace("/postgres?", "/bare?"))
    found = await health(how, SemanticSearchService(FakeEmbeddingModel(8), database=database))
    assert (found.migration, found.exists, found.healthy) == (None, False, False)
    assert "pgvector is not in the database" in found.findings[0].message
    assert database.read(lambda connection: connection.scalar(text("SELECT count(*) FROM pg_extension"))) == 1
    await database.aclose()
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("DROP DATABASE bare WITH (FORCE)")


async def test_a_database_that_does_not_answer(how: str) -> None:
    service = SemanticSearchService(FakeEmbeddingModel(8), database="postgresql://someone:secret@127.0.0.1:1/nothing")
    found = await health(how, service)
    assert (found.healthy, found.database, found.exists, found.model_loads) == (False, False, None, True)
    assert "secret" not in repr(found)


async def test_another_models_collection(database: Database, how: str) -> None:
    SemanticSearchService(FakeEmbeddingModel(8), database=database).ingest(DOCUMENTS)
    other = SemanticSearchService(FakeEmbeddingModel(8, name="other"), database=database)
    found = await health(how, other)
    assert not found.healthy
    assert "holds vectors of fake" in found.findings[0].message


async def test_a_model_that_does_not_load(database: Database, how: str) -> None:
    class Broken(FakeEmbeddingModel):
        def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
            raise RuntimeError("a private path")

    found = await health(how, SemanticSearchService(EmbeddingGenerator(Broken(8)), database=database))
    assert (found.healthy, found.model_loads, found.database) == (False, False, True)
    assert found.findings[0].message == "The model does not embed: RuntimeError"


def test_an_index_that_serves_and_one_that_does_not(database: Database) -> None:
    store = PgVectorStore(database, model=ModelSpec(name="m", dimensions=4), lexical=False)
    vectors = np.random.default_rng(0).standard_normal((INDEX_FROM, 4)).astype(np.float32)
    store.upsert([Chunk.whole("text", id=str(number)) for number in range(INDEX_FROM)], vectors)
    lacking = store.health()
    assert lacking.healthy
    assert "There is no vector index" in lacking.findings[0].message
    store.create_index()
    store.refresh_statistics()
    serving = store.health()
    assert (serving.index, serving.index_serves, serving.findings) == ("hnsw full", True, [])
    assert serving == replace(serving, model_loads=None)
    name = database.read(lambda connection: connection.scalar(text("SELECT current_database()")))
    database.run(lambda connection: connection.execute(text(f'ALTER DATABASE "{name}" SET enable_indexscan = off')))
    database.close()
    ignored = store.health()
    assert (ignored.index_serves, ignored.healthy) == (False, False)
    assert ignored.findings[0].advice.startswith("Call refresh_statistics()")
