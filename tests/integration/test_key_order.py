"""The keys of metadata and payloads come back in the order they were given in, which jsonb alone does not keep."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, text

from embedpipe import Document, SemanticSearchService
from embedpipe.export import export_collection, load_export
from embedpipe.storage import Database, PgVectorStore
from embedpipe.storage.tables.collection import Catalogue
from embedpipe.storage.types.key_order import in_order, key_order
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Chunk, ModelSpec
from stores import awaitable

SPEC = ModelSpec(name="plane", dimensions=2)
METADATA = {"title": "Teas", "id": 7, "author": {"name": "Lu Yu", "x": [{"bb": 1, "a": 2}, 3]}, "é": 1, "zz": {}}
PAYLOAD = {"zeta": 1, "alpha": {"two": 2, "one": 1}}
JSON = st.recursive(
    st.none() | st.integers(-9, 9) | st.text(max_size=3, alphabet="aé🙂"),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3, alphabet="abé🙂"), inner, max_size=4)
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(max_size=3, alphabet="abé🙂"), JSON, max_size=5)


def shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=OBJECTS)
def test_what_is_kept_restores_what_jsonb_sorted(database: Database, value: dict[str, Any]) -> None:
    with database.engine.connect() as connection:
        sorted_by_jsonb = connection.scalar(text("SELECT CAST(:value AS jsonb)"), {"value": shown(value)})
    order = json.loads(json.dumps(key_order(value)))
    assert shown(in_order(sorted_by_jsonb, order)) == shown(value)
    assert (order is None) == (shown(sorted_by_jsonb) == shown(value))


def test_what_others_changed_in_the_database_is_read() -> None:
    order = key_order({"b": {"d": 1, "c": 2}, "a": 1})
    assert shown(in_order({"a": 3, "b": {"c": 5, "new": 6}, "new": 4}, order)) == shown(
        {"b": {"c": 5, "new": 6}, "a": 3, "new": 4}
    )
    assert in_order({"b": 1}, order) == {"b": 1}
    assert in_order([{"b": 1}], order) == [{"b": 1}]


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_every_way_of_reading_keeps_it(database: Database, kind: str, tmp_path: Path) -> None:
    store = awaitable(kind, database, model=SPEC)
    given = [Chunk("oolong tea", n, n + 10, n, METADATA, "teas", str(n), PAYLOAD if n else None) for n in range(3)]
    await store.upsert(given, [[1.0, 0.0], [0.9, 0.1], [0.8, 0.2]])

    def check(chunks: Any) -> None:
        assert chunks
        for chunk in chunks:
            assert shown(chunk.metadata) == shown(METADATA)
            assert shown(chunk.payload) == shown(PAYLOAD if chunk.chunk_index else None)

    check(await store.get(["0", "1", "2"]))
    check(await store.find({"id": 7}))
    check((await store.neighbors(["1"], window=1))["1"])
    check(result.chunk for result in await store.similar("0"))
    for mode in ("dense", "lexical", "hybrid"):
        check([result.chunk for result in await store.search([1.0, 0.0], "oolong", mode=mode)])
    export_collection(PgVectorStore(database), tmp_path / "out")
    other = awaitable(kind, database, collection="other", model=SPEC)
    for chunks, vectors in load_export(tmp_path / "out").batches():
        check(chunks)
        await other.upsert(chunks, vectors)
    check(await other.find())
    await other.upsert([given[0]._replace(metadata={"id": 7, "title": "Teas"})], [[1.0, 0.0]])
    assert shown((await other.get(["0"]))[0].metadata) == shown({"id": 7, "title": "Teas"})
    await database.aclose()


def test_documents_and_their_chunks_keep_it_whatever_changes(database: Database, tmp_path: Path) -> None:
    model = FakeEmbeddingModel(8)
    service = SemanticSearchService(model, database=database)
    backwards = dict(reversed(METADATA.items()))
    for metadata in (METADATA, backwards):
        embedded = service.ingest([Document(id="teas", text="Oolong is steeped.", metadata=metadata)]).chunks_embedded
        assert embedded == (1 if metadata is METADATA else 0)
        assert shown(service.store.documents(["teas"])[0].metadata) == shown(metadata)
        assert shown(service.search("oolong", k=1)[0].metadata) == shown(metadata)
    export_collection(service.store, tmp_path / "out")
    [document] = load_export(tmp_path / "out").iter_documents()
    assert shown(document.metadata) == shown(backwards)


def test_collections_from_before_are_read_and_written(database: Database) -> None:
    store = PgVectorStore(database, model=SPEC)
    service = SemanticSearchService(FakeEmbeddingModel(8), database=database, collection="documents")
    store.upsert([Chunk.whole("old", id="old", metadata=METADATA)], [[1.0, 0.0]])
    service.ingest([Document(id="old", text="old", metadata=METADATA)])
    tables = [table for made in (store, service.store) for table in (made.collection.documents, made.collection.chunks)]
    with database.engine.begin() as connection:
        for table in tables:
            connection.execute(text(f"ALTER TABLE {table.fullname} DROP COLUMN key_order"))
        migrations = Catalogue(database.schema).migrations
        connection.execute(delete(migrations).where(migrations.c.number == 5))
    database.close()
    again = PgVectorStore(database, model=SPEC)
    assert again.get(["old"])[0].metadata == METADATA
    again.upsert([Chunk.whole("new", id="new", metadata=METADATA)], [[1.0, 0.0]])
    assert shown(again.get(["new"])[0].metadata) == shown(METADATA)
    renewed = SemanticSearchService(FakeEmbeddingModel(8), database=database, collection="documents")
    assert renewed.ingest([Document(id="old", text="old", metadata=METADATA)]).kept == 1
    assert renewed.store.documents(["old"])[0].metadata == METADATA
