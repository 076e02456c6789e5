"""Both stores over one suite: what is written comes back exactly, or is refused before anything is written."""

from __future__ import annotations

import gc
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.adapt import Dumper
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import text

from embedpipe.errors import (
    CollectionNotFoundError,
    ConfigurationError,
    DatabaseUnavailableError,
    InputError,
    ModelMismatchError,
    SchemaError,
)
from embedpipe.storage import AsyncPgVectorStore, Database, Field, PgVectorStore
from embedpipe.types import Chunk, ModelSpec, Vectors
from stores import awaitable

D = 16
SPEC = ModelSpec(name="unit-test", dimensions=D)
AWKWARD = ["1", "foo", "a b", "'; DROP TABLE x; --", '"', "%s", ":name", "\\", "ü漢😀", "x" * 500]


def vectors(n: int, seed: int = 0, dimensions: int = D) -> Vectors:
    return np.random.default_rng(seed).standard_normal((n, dimensions)).astype(np.float32)


@pytest.fixture(params=["sync", "async"])
async def store(request: pytest.FixtureRequest, database: Database) -> Any:
    made = awaitable(request.param, database, model=SPEC)
    await made.create()
    yield made
    await database.aclose()


async def test_chunks_come_back_exactly_as_they_were_written(store: Any) -> None:
    chunks = [
        Chunk(
            text=f"Text {i}: naïve 漢字 🏳️‍🌈 {name}",
            start_index=i,
            end_index=i + 9,
            chunk_index=i,
            metadata={name: [1, 2.0, None, True, {"deep": "02134"}], "id": "kept", "big": 1e23},
            document_id=f"doc {name}",
            id=name,
            payload={"of": "a framework"} if i % 2 else None,
        )
        for i, name in enumerate(AWKWARD)
    ]
    assert await store.upsert(chunks, vectors(len(chunks))) == AWKWARD
    assert await store.get([*reversed(AWKWARD), "not there"]) == chunks[::-1]
    assert await store.count() == len(chunks)


async def test_upsert_replaces_by_id_and_the_later_of_two_counts(store: Any) -> None:
    await store.upsert([Chunk.whole("old", id="a"), Chunk.whole("stays", id="b")], vectors(2))
    ids = await store.upsert([Chunk.whole("first", id="a"), Chunk.whole("second", id="a")], vectors(2, seed=1))
    assert ids == ["a", "a"]
    assert [chunk.text for chunk in await store.get(["a", "b"])] == ["second", "stays"]
    [hit] = await store.search(vectors(2, seed=1)[1], k=1)
    assert (hit.id, round(hit.similarity, 6)) == ("a", 1.0)


async def test_a_chunk_without_an_id_gets_one(store: Any) -> None:
    first, second = await store.upsert([Chunk.whole("same"), Chunk.whole("same")], vectors(2))
    assert first != second
    assert [chunk.text for chunk in await store.get([first, second])] == ["same", "same"]


async def test_nothing_is_an_upsert_too(store: Any) -> None:
    assert await store.upsert([], np.empty((0, D))) == []
    assert await store.upsert([], []) == []
    assert await store.search(vectors(1)[0]) == []
    assert await store.get([]) == []


async def test_search_is_exact_by_cosine_best_first_ties_by_id(store: Any) -> None:
    stored, query = vectors(300), vectors(1, seed=9)[0]
    stored[10] = stored[20] * 2  # the same direction
    await store.upsert([Chunk.whole(str(i), id=f"{i:03}") for i in range(300)], stored)
    unit = stored / np.linalg.norm(stored, axis=1, keepdims=True)
    cosine = unit @ (query / np.linalg.norm(query))
    expected = sorted(range(300), key=lambda i: (-round(float(cosine[i]), 6), i))[:50]
    hits = await store.search(query, k=50)
    assert [int(hit.id) for hit in hits] == expected
    np.testing.assert_allclose([hit.similarity for hit in hits], cosine[expected], atol=1e-6)
    assert [hit.dense_rank for hit in hits] == list(range(1, 51))
    assert all(hit.score == hit.similarity and hit.vector is None for hit in hits)
    [again] = await store.search(stored[7], k=1, with_vectors=True)
    np.testing.assert_array_equal(again.vector, stored[7])


async def test_threshold_is_the_least_similarity(store: Any) -> None:
    stored = vectors(100)
    await store.upsert([Chunk.whole(str(i), id=str(i)) for i in range(100)], stored)
    every = await store.search(stored[0], k=100)
    some = await store.search(stored[0], k=100, threshold=0.1)
    assert some == [hit for hit in every if hit.similarity >= 0.1]
    assert 0 < len(some) < 100


async def test_delete_by_id_by_document_and_by_filter(store: Any) -> None:
    chunks = [Chunk.whole(str(i), id=str(i), document_id=f"d{i % 3}", metadata={"even": i % 2 == 0}) for i in range(12)]
    await store.upsert(chunks, vectors(12))
    assert await store.delete(["0", "1", "not there"]) == 2
    assert await store.delete(document_ids=["d2"]) == 4
    assert await store.delete(filter=Field("even") == True) == 3  # noqa: E712 - a filter, not a truth value
    assert sorted(chunk.id for chunk in await store.find()) == ["3", "7", "9"]
    assert await store.delete(["3"], filter={"even": True}) == 0
    with pytest.raises(InputError, match="clear"):
        await store.delete()
    assert await store.clear() == 3
    assert await store.count() == 0


async def test_find_keeps_the_order_of_the_document(store: Any) -> None:
    chunks = [Chunk(str(i), i, i + 1, i, {"n": i}, "d", f"{9 - i}") for i in range(5)]
    await store.upsert(chunks[::-1], vectors(5))
    assert await store.find(document_ids=["d"]) == chunks
    assert await store.find(Field("n") >= 3) == chunks[3:]
    assert await store.find(limit=2) == chunks[:2]


@pytest.mark.parametrize(
    ("chunk", "says"),
    [
        (Chunk.whole("a\x00b", id="x"), "NUL"),
        (Chunk.whole("\ud800", id="x"), "surrogate"),
        (Chunk.whole("a", id=""), "not empty"),
        (Chunk.whole("a", id="x" * 2001), "at most 2000"),
        (Chunk.whole("a", id="x", document_id="\x00"), "NUL"),
        (Chunk.whole("a", id="x", metadata={"k": (1,)}), "tuple"),
        (Chunk.whole("a", id="x", metadata={"k": float("nan")}), "nan"),
        (Chunk.whole("a", id="x")._replace(payload={"k": {1}}), "set"),
    ],
)
async def test_what_cannot_be_stored_is_named_and_nothing_is_written(store: Any, chunk: Chunk, says: str) -> None:
    await store.upsert([Chunk.whole("before", id="before")], vectors(1))
    with pytest.raises(InputError, match=says):
        await store.upsert([Chunk.whole("good", id="good"), chunk], vectors(2))
    assert [kept.id for kept in await store.find()] == ["before"]


async def test_bad_vectors_are_refused_and_nothing_is_written(store: Any) -> None:
    two = [Chunk.whole("a", id="a"), Chunk.whole("b", id="b")]
    with pytest.raises(ModelMismatchError, match="8 dimensions, not 16"):
        await store.upsert(two, vectors(2, dimensions=8))
    with pytest.raises(InputError, match="array of \\(2, 16\\)"):
        await store.upsert(two, vectors(3))
    with pytest.raises(InputError, match="position 1 holds NaN"):
        await store.upsert(two, np.vstack([vectors(1), np.full((1, D), np.nan)]))
    with pytest.raises(InputError, match="all zero"):
        await store.upsert(two, np.zeros((2, D)))
    with pytest.raises(InputError, match="array of numbers"):
        await store.upsert(two, [["x"] * D, [1.0] * D])
    assert await store.count() == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "query's vector"),
        ({"vector": np.ones(D), "k": 0}, "k=0 is out of range"),
        ({"vector": np.ones(D), "k": 2.5}, "k=2.5 is out of range"),
        ({"vector": np.ones(D), "mode": "fuzzy"}, "mode='fuzzy' is not known"),
        ({"vector": np.ones(D), "mode": "hybrid"}, "query's text"),
        ({"vector": np.ones(D), "threshold": 3}, "threshold=3 is out of range"),
        ({"text": "a", "mode": "lexical", "threshold": 0.5}, "query's vector"),
        ({"vector": np.ones(3)}, "3 dimensions, not 16"),
        ({"vector": np.ones(D), "text": "\x00", "mode": "hybrid"}, "NUL"),
        ({"vector": np.ones(D), "filter": {"a": {"$foo": 1}}}, "no operator"),
    ],
)
async def test_bad_searches_are_refused(store: Any, arguments: dict[str, Any], says: str) -> None:
    with pytest.raises((InputError, ModelMismatchError), match=says):
        await store.search(**arguments)


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_reading_and_deleting_make_no_collection(database: Database, database_url: str, kind: str) -> None:
    store = awaitable(kind, database, collection="typo", model=SPEC)
    uses = [
        store.search(vectors(1)[0]),
        store.search(text="x", mode="lexical"),
        store.similar("x"),
        store.get(["x"]),
        store.find(),
        store.neighbors(["x"]),
        store.vectors(),
        store.count(),
        store.documents(["x"]),
        store.known_documents(["x"]),
        store.delete(["x"]),
        store.clear(),
        store.prune_documents(["x"]),
        store.drop_index(),
        store.metadata_indexes(),
        store.refresh_statistics(),
    ]
    for use in uses:
        with pytest.raises(CollectionNotFoundError, match="no collection 'typo'"):
            await use
    assert database.collections() == []
    bare = Database(database_url, schema="nothing_yet")
    with pytest.raises(CollectionNotFoundError, match="schema 'nothing_yet'"):
        PgVectorStore(bare, model=SPEC).count()
    schemas = text("SELECT count(*) FROM pg_namespace WHERE nspname = 'nothing_yet'")
    with bare.engine.connect() as connection:
        assert connection.scalar(schemas) == 0
    bare.close()
    await store.create()
    await store.create()
    assert await store.count() == 0
    await database.aclose()


async def test_a_callers_transaction_decides(store: Any, database: Database) -> None:
    chunk = [Chunk.whole("mine", id="mine")]
    if isinstance(store, AsyncPgVectorStore):
        async with database.async_engine().connect() as connection:
            await store.upsert(chunk, vectors(1), connection=connection)
            assert await store.count(connection=connection) == 1
            await connection.rollback()
    else:
        with database.engine.connect() as connection:
            await store.upsert(chunk, vectors(1), connection=connection)
            assert await store.count(connection=connection) == 1
            connection.rollback()
    assert await store.count() == 0


async def test_collections_are_apart_whatever_their_names(database: Database) -> None:
    names = ["a", "A", 'b"; DROP SCHEMA embedpipe CASCADE; --', "😀", "c.d"]
    stores = [PgVectorStore(database, collection=name, model=SPEC) for name in names]
    for number, store in enumerate(stores):
        store.upsert([Chunk.whole(str(number), id="same id")], vectors(1))
    assert [store.get(["same id"])[0].text for store in stores] == [str(number) for number in range(5)]
    stores[0].drop()
    with pytest.raises(CollectionNotFoundError, match="'a'"):
        PgVectorStore(database, collection="a").count()
    assert stores[1].count() == 1


async def test_collections_can_be_listed(database: Database) -> None:
    assert database.collections() == []
    for name in ("b", "a"):
        PgVectorStore(database, collection=name, model=SPEC, language="german").upsert([Chunk.whole("x")], vectors(1))
    listed = database.collections()
    assert [(info.name, info.model, info.language, info.chunks) for info in listed] == [
        ("a", SPEC, "german", 1),
        ("b", SPEC, "german", 1),
    ]
    assert all(info.bytes > 8192 and not info.indexed for info in listed)
    PgVectorStore(database, collection="a").create_index()
    assert [info.indexed for info in await database.acollections()] == [True, False]
    await database.aclose()


def test_a_collection_keeps_its_model_language_and_precision(database: Database) -> None:
    PgVectorStore(database, model=SPEC, language="german").create()
    other = ModelSpec(name="other-model", dimensions=D)
    with pytest.raises(ModelMismatchError, match=r"unit-test.*other-model"):
        PgVectorStore(database, model=other).count()
    with pytest.raises(ConfigurationError, match=r"'german'.*'french'"):
        PgVectorStore(database, model=SPEC, language="french").count()
    with pytest.raises(ConfigurationError, match=r"float32.*float16"):
        PgVectorStore(database, model=SPEC, precision="float16").count()
    assert PgVectorStore(database).count() == 0
    with pytest.raises(ConfigurationError, match=r"klingon.*english"):
        PgVectorStore(database, collection="new", model=SPEC, language="klingon").create()
    with pytest.raises(CollectionNotFoundError):
        PgVectorStore(database, collection="new").count()
    with pytest.raises(CollectionNotFoundError, match="Pass a model"):
        PgVectorStore(database, collection="new").create()


def test_half_precision_rounds_and_says_where_it_cannot(database: Database) -> None:
    store = PgVectorStore(database, model=SPEC, precision="float16")
    stored = vectors(20)
    store.upsert([Chunk.whole(str(i), id=str(i)) for i in range(20)], stored)
    [hit] = store.search(stored[3], k=1, with_vectors=True)
    assert hit.id == "3"
    assert hit.vector is not None
    np.testing.assert_array_equal(hit.vector, stored[3].astype(np.float16).astype(np.float32))


@pytest.mark.parametrize(
    ("url", "error", "says"),
    [
        ("postgresql://user:s3cret@127.0.0.1:1/db", DatabaseUnavailableError, "cannot be reached"),
        ("mysql://user:s3cret@127.0.0.1/db", ConfigurationError, "postgresql://"),
        ("s3cret nonsense", ConfigurationError, "postgresql://user:password"),
        ("postgresql://user:p@s3cret@localhost/db", ConfigurationError, "Percent-encode"),
        ("postgresql://user:s3cret@localhost:port/db", ConfigurationError, "postgresql://user:password"),
        ("postgresql://user:s3cret@%2Fs3cret:port/db", ConfigurationError, "postgresql://user:password"),
        ("postgresql://user:s3cret@one%00,two/db", ConfigurationError, "character 0"),
        ("postgresql://user:s3cret@localhost/db?connect_timeout=abc", ConfigurationError, "connect_timeout='abc'"),
        ("postgresql://user@localhost/db?connect_timeout=1&connect_timeout=2", ConfigurationError, "connect_timeout="),
        ("postgresql://user:s3cret@localhost/db?keepalives_idle=1s", ConfigurationError, "keepalives_idle='1s'"),
        ("postgresql://user:s3cret@localhost/db?port=abc", ConfigurationError, "port='abc'"),
        ("postgresql://user:s3cret@localhost/db?conect_timeout=s3cret", ConfigurationError, "'conect_timeout'"),
    ],
)
def test_an_unusable_url_is_an_error_that_does_not_show_it(url: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        PgVectorStore(url, model=SPEC).count()
    shown = [str(caught.value), repr(caught.value), str(caught.value.__cause__)]
    assert not any("s3cret" in part for part in shown)


@pytest.mark.parametrize("before", ["", "127.0.0.1:1,", "%31%32%37.0.0.1:1,"])
def test_hosts_are_percent_decoded(database_url: str, before: str) -> None:
    """As in libpq's URLs: the folder of a socket is a host, alone or behind a host that does not answer."""
    parts = conninfo_to_dict(database_url)
    folder = quote(str(parts["host"]), safe="")
    database = Database(f"postgresql://{parts['user']}@{before}{folder}:{parts['port']}/{parts['dbname']}")
    PgVectorStore(database, model=SPEC).create()
    assert [info.name for info in database.collections()] == ["default"]
    database.close()


def test_urls_of_other_drivers_are_taken(database_url: str) -> None:
    for scheme in ("postgres", "postgresql+psycopg2", "postgresql+asyncpg", "postgresql+psycopg"):
        database = Database(database_url.replace("postgresql", scheme, 1))
        PgVectorStore(database, model=SPEC).create()
        assert PgVectorStore(database, model=SPEC).count() == 0
        assert database_url not in repr(database)
        database.close()


def test_a_role_without_privileges_is_told_so(database: Database, database_url: str) -> None:
    with database.engine.begin() as connection:
        connection.execute(text("CREATE ROLE reader LOGIN"))
    reader = Database(database_url.replace("postgres@", "reader@"), schema="elsewhere")
    with pytest.raises(SchemaError, match="privilege"):
        PgVectorStore(reader, model=SPEC).create()
    reader.close()
    with database.engine.begin() as connection:
        connection.execute(text("DROP ROLE reader"))


def test_writers_of_overlapping_ids_end_consistent(database: Database) -> None:
    store = PgVectorStore(database, model=SPEC)
    store.create()
    failures: list[BaseException] = []

    def write(writer: int) -> None:
        order = np.random.default_rng(writer).permutation(200)
        try:
            for _ in range(5):
                chunks = [Chunk.whole(f"{writer} wrote {i}", id=str(i)) for i in order]
                store.upsert(chunks, np.full((200, D), writer + 1.0))
        except BaseException as error:  # noqa: BLE001 - reported by the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert store.count() == 200
    for hit in store.search(np.ones(D), k=200, with_vectors=True):
        assert hit.vector is not None
        assert hit.vector[0] == int(hit.text.split()[0]) + 1  # text and vector of one writer


async def test_a_connection_that_broke_while_idle_is_replaced(store: Any, database: Database) -> None:
    await store.upsert([Chunk.whole("kept", id="kept")], vectors(1))
    for call in (store.count, lambda: store.upsert([Chunk.whole("new", id="new")], vectors(1)), store.count):
        killer = Database(database._resolved_url().render_as_string(hide_password=False))
        with killer.engine.begin() as connection:
            ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            connection.execute(text(ended + " AND pid <> pg_backend_pid()"))
        killer.close()
        await call()
    assert await store.count() == 2


def test_a_pickle_holds_no_url(database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="EMBEDPIPE_DATABASE_URL"):
        pickle.dumps(PgVectorStore(database))
    monkeypatch.setenv("EMBEDPIPE_DATABASE_URL", database_url)
    store = PgVectorStore(collection="named", model=SPEC, language="german")
    store.upsert([Chunk.whole("a", id="a")], vectors(1))
    pickled = pickle.dumps(store)
    assert database_url.encode() not in pickled
    copy = pickle.loads(pickled)  # noqa: S301 - made a line above
    assert copy.get(["a"]) == store.get(["a"])
    assert copy.settings == store.settings
    for each in (store, copy):
        each.database.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hostile=st.text(max_size=30) | st.sampled_from(AWKWARD))
def test_hostile_text_anywhere_is_right_or_refused(database: Database, hostile: str) -> None:
    store = PgVectorStore(database, collection="hostile", model=SPEC)
    chunk = Chunk.whole("x" + hostile, id=f"i{hostile}", document_id=f"d{hostile}", metadata={hostile: hostile})
    try:
        store.upsert([chunk], vectors(1))
    except InputError:
        assert "\x00" in hostile or not hostile.isprintable()
        return
    assert store.get([f"i{hostile}"]) == [chunk]
    assert chunk in store.find(Field(hostile) == hostile)
    in_dictionary = {hostile: {"$in": [hostile, 1]}}
    if hostile.startswith("$"):  # there, such a key is an operator
        with pytest.raises(InputError):
            store.find(in_dictionary)
    else:
        assert chunk in store.find(in_dictionary)
    assert store.delete(document_ids=[f"d{hostile}"]) == 1


def test_threads_that_all_search_first_share_one_statement(database: Database) -> None:
    spec = ModelSpec(name="cold", dimensions=4)
    for round_ in range(20):  # each collection's tables and statements are made anew
        store = PgVectorStore(database, collection=f"cold {round_}", model=spec)
        store.upsert([Chunk.whole(f"word {i}", id=str(i)) for i in range(3)], np.eye(3, 4, dtype="f4"))
        together = threading.Barrier(8)

        def first(_: int, store: PgVectorStore = store, together: threading.Barrier = together) -> list[str]:
            together.wait()
            return [hit.id for hit in store.search(np.eye(4, dtype="f4")[0], "word", k=3, mode="hybrid")]

        with ThreadPoolExecutor(8) as pool:
            assert {tuple(found) for found in pool.map(first, range(8))} == {("0", "1", "2")}


def test_connections_that_come_and_go_leave_no_classes_behind(database: Database) -> None:
    def connect_anew() -> int:
        database.read(lambda connection: connection.exec_driver_sql("SELECT 1").all())
        database.close()
        gc.collect()
        return len(Dumper.__subclasses__()) + sum(len(cls.__subclasses__()) for cls in Dumper.__subclasses__())

    assert connect_anew() == connect_anew()
