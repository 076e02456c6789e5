"""Tenants of one collection: each sees and writes its own, by every method of both stores."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event, func, select, table, text

from conftest import opened_as_ordinary
from embedpipe import Document, SemanticSearchService
from embedpipe.errors import ConfigurationError, InputError
from embedpipe.llama_index import EmbedPipeVectorStore
from embedpipe.storage import AsyncPgVectorStore, Database, Field, PgVectorStore, Search, store_for_model
from embedpipe.storage.admin.setup import run, setup_statements
from embedpipe.storage.attach import Table
from embedpipe.storage.tables.catalogue import CollectionSettings, migrate
from embedpipe.storage.write.chunks import checked_rows
from embedpipe.storage.write.documents import DocumentBatch, DocumentRow
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Chunk, ModelSpec, Vectors
from stores import awaitable

D = 16
SPEC = ModelSpec(name="unit-test", dimensions=D)
SECRET = "confidential figures of the first tenant"


def vectors(n: int, seed: int = 0) -> Vectors:
    return np.random.default_rng(seed).standard_normal((n, D)).astype(np.float32)


@pytest.fixture
def ordinary(database_url: str) -> Iterator[Database]:
    """The test's own database, for an ordinary role."""
    with opened_as_ordinary(database_url) as opened:
        yield opened


def chunk(number: int, content: str = SECRET) -> Chunk:
    return Chunk(
        f"{content} {number}", 0, 9, number, {"year": 2000 + number, "of": content}, f"d{number // 5}", f"c{number}"
    )


def write(store: PgVectorStore, count: int, content: str = SECRET, seed: int = 0) -> None:
    chunks = [chunk(number, content) for number in range(count)]
    rows = [DocumentRow(name, content, b"hash", "{}") for name in sorted({str(each.document_id) for each in chunks})]
    store.write_documents(DocumentBatch(rows, checked_rows([]), checked_rows(chunks), vectors(count, seed)))


def state(store: PgVectorStore) -> Any:
    """All that a tenant has."""
    return (
        store.find(),
        store.vectors().vectors.tolist(),
        [(hit.id, hit.score) for hit in store.search(vectors(1)[0], "figures 3", mode="hybrid", k=100)],
        store.known_documents([f"d{number}" for number in range(20)]),
    )


EMPTY_BATCH = DocumentBatch([], checked_rows([]), checked_rows([]), np.empty((0, D), np.float32))

METHODS: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "create": lambda store: store.create(),
    "existing": lambda store: store.existing(),
    "upsert": lambda store: store.upsert([chunk(0, "others")], vectors(1)),
    "delete": lambda store: store.delete(["c1"], document_ids=["d0"], filter=Field("year") >= 0),
    "clear": lambda store: store.clear(),
    "get": lambda store: store.get([f"c{number}" for number in range(20)]),
    "find": lambda store: store.find(Field("year") >= 0, document_ids=["d0", "d1"]),
    "search": lambda store: store.search(vectors(1)[0], "figures", mode="hybrid", k=50),
    "run_search": lambda store: store.run_search(Search(vector=vectors(1)[0], text="figures", mode="hybrid", k=50)),
    "similar": lambda store: store.similar("c1"),
    "neighbors": lambda store: store.neighbors(["c1", "c2"], window=3),
    "vectors": lambda store: store.vectors(),
    "count": lambda store: store.count(),
    "cosines": lambda store: store.cosines(),
    "metadata_sample": lambda store: store.metadata_sample(),
    "metadata_keys": lambda store: store.metadata_keys(),
    "list_documents": lambda store: store.list_documents(),
    "documents": lambda store: store.documents(["d0", "d1"]),
    "known_documents": lambda store: store.known_documents(["d0", "d1"]),
    "versions": lambda store: store.versions("d0"),
    "embedded_texts": lambda store: store.embedded_texts("d0"),
    "forget": lambda store: store.forget("d0"),
    "keep_answer": lambda store: store.keep_answer("q", "a", document_ids=["d0"]),
    "answers_leaning_on": lambda store: store.answers_leaning_on(["d0"]),
    "kept_answer": lambda store: store.kept_answer("5d2f1fb0-5b0c-4c1b-9a0e-000000000000"),
    "delete_answers": lambda store: store.delete_answers(["5d2f1fb0-5b0c-4c1b-9a0e-000000000000"]),
    "write_documents": lambda store: store.write_documents(EMPTY_BATCH),
    "prune_documents": lambda store: store.prune_documents(["nothing"]),
    "create_index": lambda store: store.create_index(),
    "drop_index": lambda store: store.drop_index(),
    "ensure_index": lambda store: store.ensure_index(min_rows=1),
    "index_metadata": lambda store: store.index_metadata("year"),
    "drop_metadata_index": lambda store: store.drop_metadata_index("year"),
    "metadata_indexes": lambda store: store.metadata_indexes(),
    "refresh_statistics": lambda store: store.refresh_statistics(),
    "upgrade": lambda store: store.upgrade(),
    "attach": lambda store: store.attach(Table("public.articles", key="id", text="body")),
    "detach": lambda store: store.detach(),
    "retry_changes": lambda store: store.retry_changes(every=True),
    "take_changes": lambda store: store.take_changes(lambda claim: pytest.fail(str(claim))),
    "reembed": lambda store: store.reembed(
        lambda texts: pytest.fail(str(texts)), model=ModelSpec(name="b", dimensions=D)
    ),
    "drop_embedding_versions": lambda store: store.drop_embedding_versions(),
    "exists": lambda store: store.exists(),
    "health": lambda store: store.health(),
    "drop": lambda store: store.drop(),
}
SEES = {"exists": True, "drop_index": True}
"""What is not the rows' own: the collection, and its indexes."""
REFUSED = {
    "drop": ConfigurationError,
    "index_metadata": ConfigurationError,
    "reembed": ConfigurationError,
    "similar": InputError,
    "kept_answer": InputError,
    "versions": ConfigurationError,
    "attach": ConfigurationError,
    "retry_changes": ConfigurationError,
    "take_changes": ConfigurationError,
}


def test_every_public_method_is_tried() -> None:
    public = {name for name, _ in inspect.getmembers(PgVectorStore, inspect.isfunction) if not name.startswith("_")}
    assert METHODS.keys() == public - {"to_async"}


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_no_method_shows_or_changes_what_another_tenant_has(kind: str, ordinary: Database) -> None:
    first = PgVectorStore(ordinary, model=SPEC, tenant="first")
    write(first, 20)
    first.create_index()
    before = state(first)
    other = awaitable(kind, ordinary, model=SPEC, tenant="second")
    for name, call in METHODS.items():
        if name in REFUSED:
            with pytest.raises(REFUSED[name]) as caught:
                await call(other)
            assert SECRET not in str(caught.value)
            continue
        result = await call(other)
        if name == "upsert":
            assert result == ["c0"]
            await other.clear()
        elif name == "keep_answer":
            assert await other.delete_answers([result]) == 1
        elif name == "vectors":
            assert (result.ids, result.vectors.shape) == ([], (0, D))
        elif name == "health":
            assert result.exists
            assert SECRET not in str(result)
        elif name == "existing":
            assert result == await call(awaitable(kind, ordinary, model=SPEC, tenant="first"))  # no tenant's secret
        elif name == "metadata_sample":
            assert result == (0, [])
        elif name == "known_documents":
            assert (result.hashes, result.chunk_ids) == ({}, set())
        else:
            assert result == SEES.get(name) or not np.any(result), name
        assert state(first)[:2] == before[:2], name
    assert state(first)[2:] == before[2:]
    await ordinary.aclose()


def test_tenants_may_have_the_same_ids_and_each_its_own_words(ordinary: Database) -> None:
    first, second = (PgVectorStore(ordinary, model=SPEC, tenant=name) for name in ("first", "second"))
    alone = PgVectorStore(ordinary, collection="alone", model=SPEC)
    write(first, 20)
    write(second, 40, "other figures", seed=1)
    write(alone, 40, "other figures", seed=1)
    assert (first.count(), second.count()) == (20, 40)
    assert [hit.text for hit in second.search(vectors(1)[0], k=40)] == [
        hit.text for hit in alone.search(vectors(1)[0], k=40)
    ]
    for query in ("figures 3", "other -7", '"other figures" 5'):
        expected = [(hit.id, hit.score) for hit in alone.search(text=query, mode="lexical", k=30)]
        assert [(hit.id, hit.score) for hit in second.search(text=query, mode="lexical", k=30)] == expected
    assert first.search(text="other", mode="lexical") == []
    first.upsert([chunk(1, "replaced")], vectors(1))
    assert second.get(["c1"]) == [chunk(1, "other figures")]
    assert first.delete(document_ids=["d0"]) == 5
    assert second.count() == 40


def count_of(name: str) -> Any:
    return select(func.count()).select_from(table(name, schema="tenants"))


def test_a_query_without_a_tenant_sees_nothing(ordinary: Database) -> None:
    store = PgVectorStore(ordinary, model=SPEC, tenant="first")
    write(store, 20)
    with ordinary.engine.connect() as connection:
        tables = connection.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'tenants'")).all()
        own = [name for name in tables if name.startswith("c1_")]
        assert len(own) == 6
        for name in own:
            assert connection.scalar(count_of(name)) == 0
        store.count(connection=connection)
        assert connection.scalar(text("SELECT count(*) FROM tenants.c1_chunks")) == 20
        connection.rollback()
        assert connection.scalar(text("SELECT count(*) FROM tenants.c1_chunks")) == 0
        with pytest.raises(Exception, match="row-level security"):
            connection.execute(text("INSERT INTO tenants.c1_lexical_terms VALUES ('first', 1, 1)"))


def test_a_callers_transaction_is_the_tenants_for_one_call(ordinary: Database) -> None:
    first, second = (PgVectorStore(ordinary, model=SPEC, tenant=name) for name in ("first", "second"))
    write(first, 20)
    with ordinary.engine.begin() as connection:
        second.upsert([chunk(0, "mine")], vectors(1), connection=connection)
        assert first.count(connection=connection) == 20
        assert second.count(connection=connection) == 1
    assert second.count() == 1
    with (
        ordinary.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        pytest.raises(ConfigurationError, match="autocommit"),
    ):
        first.count(connection=connection)


def test_a_role_that_row_security_does_not_hold_for_is_refused(ordinary: Database, database: Database) -> None:
    write(PgVectorStore(ordinary, model=SPEC, tenant="first"), 20)
    powerful = Database(database._resolved_url().render_as_string(hide_password=False), schema="tenants")
    store = PgVectorStore(powerful, model=SPEC, tenant="first")
    for call in (store.count, store.find, lambda: store.upsert([chunk(1)], vectors(1))):
        with pytest.raises(ConfigurationError, match="superuser or one with BYPASSRLS"):
            call()
    powerful.close()


def test_a_collection_is_made_with_tenants_or_without(ordinary: Database) -> None:
    PgVectorStore(ordinary, collection="shared", model=SPEC, tenant="first").create()
    PgVectorStore(ordinary, collection="plain", model=SPEC).create()
    with pytest.raises(ConfigurationError, match="for tenants"):
        PgVectorStore(ordinary, collection="shared", model=SPEC).count()
    with pytest.raises(ConfigurationError, match="without tenants"):
        PgVectorStore(ordinary, collection="plain", model=SPEC, tenant="first").count()
    for name in ("", "\x00", "x" * 501):
        with pytest.raises(InputError, match="tenant"):
            PgVectorStore(ordinary, tenant=name)
    PgVectorStore(ordinary, collection="shared").drop()
    assert not PgVectorStore(ordinary, collection="shared").exists()


@pytest.mark.parametrize("name", ["1", "a b", "'; RESET ROLE; --", '"', "%s", ":name", "\\", "ü漢😀", "x" * 500])
def test_any_name_of_a_tenant(name: str, ordinary: Database) -> None:
    stores = [PgVectorStore(ordinary, model=SPEC, tenant=each) for each in (name, f"{name[1:]}+")]
    for number, store in enumerate(stores):
        store.upsert([chunk(number, f"of {number}")], vectors(1))
    assert [store.find() for store in stores] == [[chunk(number, f"of {number}")] for number in range(2)]


def test_the_tenant_goes_where_the_store_goes(ordinary: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    store = PgVectorStore(ordinary, tenant="first")
    assert isinstance(store.to_async(), AsyncPgVectorStore)
    assert store.to_async().to_sync().tenant == "first"
    assert store_for_model(store, SPEC).tenant == "first"
    monkeypatch.setenv("EMBEDPIPE_DATABASE_URL", ordinary._resolved_url().render_as_string(hide_password=False))
    assert pickle.loads(pickle.dumps(PgVectorStore(tenant="first"))).tenant == "first"  # noqa: S301 - made here


def test_a_role_that_owns_nothing_is_held_too(ordinary: Database, database: Database) -> None:
    database.run(migrate, "tenants")
    settings = CollectionSettings(SPEC, tenants=True)
    lacking = partial(setup_statements, schema="tenants", collection="default", settings=settings, role="embedpipe")
    database.run(lambda connection: run(connection, lacking(connection)))
    first, second = (PgVectorStore(ordinary, model=SPEC, tenant=name) for name in ("first", "second"))
    write(first, 20)
    assert (first.count(), second.count(), second.find()) == (20, 0, [])
    assert len(first.search(vectors(1)[0], "figures", mode="hybrid", k=20)) == 20


def test_a_copy_of_the_embedded_database_holds_every_tenants_rows(server_url: str, tmp_path: Path) -> None:
    database = Database(schema="dumped")
    for tenant in ("first", "second"):
        write(PgVectorStore(database, model=SPEC, tenant=tenant), 1, f"{SECRET} of {tenant}")
    database.dump(tmp_path / "copy.sql")
    copied = (tmp_path / "copy.sql").read_text()
    assert f"{SECRET} of first" in copied
    assert f"{SECRET} of second" in copied
    PgVectorStore(database).drop()
    database.close()


def test_a_serialised_llama_index_store_keeps_its_tenant(ordinary: Database) -> None:
    given = EmbedPipeVectorStore(PgVectorStore(ordinary, model=SPEC, tenant="first"))
    again = EmbedPipeVectorStore.from_dict(given.to_dict())
    assert (again.tenant, again.client.tenant) == ("first", "first")
    assert EmbedPipeVectorStore(tenant="second", collection="other").client.tenant == "second"


async def test_a_service_has_a_tenant(ordinary: Database) -> None:
    model = FakeEmbeddingModel(D)
    services = [SemanticSearchService(model, database=ordinary, tenant=name) for name in ("first", "second")]
    services[0].ingest([Document(id="d", text=SECRET)])
    await services[1].aingest([Document(id="d", text="something else")])
    assert [hit.text for hit in services[0].search("figures")] == [SECRET]
    assert [hit.text for hit in await services[1].asearch("figures")] == ["something else"]
    await ordinary.aclose()


@pytest.fixture(scope="module")
def crowded(shared_database_url: str) -> Iterator[Database]:
    """A collection with an index, where one tenant has 4,000 chunks, one 400, and one 40."""
    rng = np.random.default_rng(0)
    with opened_as_ordinary(shared_database_url) as opened:
        for tenant, count in (("large", 4000), ("middle", 400), ("small", 40)):
            store = PgVectorStore(opened, model=SPEC, tenant=tenant)
            words = [f"word{number}" for number in range(300)]
            chunks = [chunk(number, " ".join(rng.choice(words, 8))) for number in range(count)]
            store.upsert(chunks, rng.standard_normal((count, D)))
        store.create_index()
        store.refresh_statistics()
        yield opened


SEARCHES: dict[str, dict[str, Any]] = {
    "dense": {"vector": vectors(1, seed=5)[0]},
    "filtered": {"vector": vectors(1, seed=5)[0], "filter": {"year": {"$lt": 2030}}},
    "equal": {"vector": vectors(1, seed=5)[0], "filter": {"year": 2007}},
    "lexical": {"text": "word1 word2 word3", "mode": "lexical"},
    "phrase": {"text": '"word1 word2" -word3', "mode": "lexical"},
    "hybrid": {"vector": vectors(1, seed=5)[0], "text": "word1", "mode": "hybrid"},
}


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
def test_a_small_tenants_search_reads_its_own_rows_by_the_b_tree(crowded: Database, search: dict[str, Any]) -> None:
    store = PgVectorStore(crowded, tenant="small")
    with crowded.engine.begin() as connection:
        statements: list[tuple[str, Any]] = []
        event.listen(connection.engine, "before_cursor_execute", lambda *args: statements.append(args[2:4]))
        store.search(**search, k=10, connection=connection)
        sql, values = statements[-1]
        [[plan]] = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", values)
        scans = [node for node in nodes(plan[0]["Plan"]) if str(node.get("Relation Name")).startswith("c1_")]
        names = {scan["Relation Name"] for scan in scans}
        own = {name: connection.scalar(count_of(name)) or 0 for name in names}
    assert own
    for scan in scans:
        assert scan["Node Type"] != "Seq Scan", scan
        assert "hnsw" not in str(scan.get("Index Name"))
        looked_at = scan["Actual Rows"] + scan.get("Rows Removed by Filter", 0)
        assert looked_at <= own[scan["Relation Name"]] < 1000, scan


def test_the_size_of_all_tenants_together_is_estimated(crowded: Database) -> None:
    [listed] = crowded.collections()
    assert (listed.chunks, listed.indexed) == (4440, True)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from nodes(part)


@pytest.mark.parametrize("tenant", ["large", "middle", "small"])
def test_a_tenants_search_never_under_returns(crowded: Database, tenant: str) -> None:
    store = PgVectorStore(crowded, tenant=tenant)
    own = store.vectors()
    unit = own.vectors / np.linalg.norm(own.vectors, axis=1, keepdims=True)
    for seed in range(20):
        query = vectors(1, seed=seed)[0]
        hits = store.search(query, k=40)
        best = [own.ids[i] for i in np.argsort(-(unit @ query), kind="stable")[:40]]
        assert len(hits) == 40
        assert len({hit.id for hit in hits} & set(best)) >= (40 if tenant == "small" else 36)
        assert len(store.search(query, k=5, filter={"year": {"$lt": 2006}})) == 5
