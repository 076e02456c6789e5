"""Indexes on metadata keys: ranges use them, by the plans that the server makes of what a search sends."""

from __future__ import annotations

import operator
import random
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event

from embedpipe.errors import ConfigurationError, InputError
from embedpipe.storage import Database, Field, Filter, MetadataIndex, PgVectorStore
from embedpipe.types import Chunk, ModelSpec
from stores import awaitable

SPEC = ModelSpec(name="unit-test", dimensions=8)
ROWS = 5000
HOSTILE = ("a'b\"\\%s {,} :name $1", "ü漢😀")


@pytest.fixture
def store(database: Database) -> PgVectorStore:
    """Rows of which a range of `year` or `day` leaves one in fifty."""
    made = PgVectorStore(database, model=SPEC, lexical=False)
    metadata = [
        {"year": i % 50, "mixed": i if i % 2 else f"{i}", "at": {"day": f"2026-01-{i % 28:02}"}, "x": {HOSTILE[0]: i}}
        for i in range(ROWS)
    ]
    metadata[7] |= {"year": "x" * 20_000}
    chunks = [Chunk.whole("text", id=str(i), metadata=each) for i, each in enumerate(metadata)]
    made.upsert(chunks, np.random.default_rng(0).standard_normal((ROWS, 8)))
    return made


def plan_of_find(store: PgVectorStore, condition: Filter) -> str:
    sent: list[tuple[str, Any]] = []

    def remember(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        sent.append((statement, parameters))

    with store.database.engine.connect() as connection:
        event.listen(connection.engine, "before_cursor_execute", remember)
        store.find(condition, connection=connection)
        event.remove(connection.engine, "before_cursor_execute", remember)
        statement, parameters = sent[-1]
        return "\n".join(connection.exec_driver_sql("EXPLAIN " + statement, parameters).scalars())


@pytest.mark.parametrize(
    ("path", "type", "condition"),
    [
        (("year",), "number", Field("year") >= 49),
        (("year",), "number", Field("year").between(-3, 0.5)),
        (("at", "day"), "string", Field("at", "day") > "2026-01-26"),
        (("x", HOSTILE[0]), "number", Field("x", HOSTILE[0]) < 40),
    ],
)
def test_a_range_uses_its_index(store: PgVectorStore, path: Any, type: Any, condition: Filter) -> None:
    before = store.find(condition)
    assert "c1_chunks_field_1" not in plan_of_find(store, condition)
    store.index_metadata(*path, type=type)
    plan = plan_of_find(store, condition)
    assert "c1_chunks_field_1" in plan, plan
    assert store.find(condition) == before
    assert 0 < len(before) < ROWS / 20
    for _ in range(8):  # once the driver has prepared the statement, too
        assert len(store.search(np.ones(8), k=200, filter=condition)) == min(len(before), 200)


def test_a_few_values_use_the_index_that_every_collection_has(store: PgVectorStore) -> None:
    for condition in (Field("year") == 49, Field("year").is_in([47, 48, 49])):
        assert "c1_chunks_metadata" in plan_of_find(store, condition)


async def test_indexes_on_metadata_are_listed_and_dropped(database: Database) -> None:
    for kind in ("sync", "async"):
        store = awaitable(kind, database, collection=kind, model=SPEC)
        await store.upsert([Chunk.whole("a", id="a", metadata={"year": 2020})], [[1.0] * 8])
        assert await store.metadata_indexes() == []
        await store.index_metadata("year")
        await store.index_metadata("year")
        await store.index_metadata("year", type="string")
        await store.index_metadata(*HOSTILE)
        wanted = [MetadataIndex(("year",)), MetadataIndex(("year",), "string"), MetadataIndex(HOSTILE)]
        assert await store.metadata_indexes() == wanted
        assert await store.drop_metadata_index("year")
        assert not await store.drop_metadata_index("year")
        assert not await store.drop_metadata_index("other")
        assert await store.metadata_indexes() == wanted[1:]
        await store.index_metadata("year")
        assert len(await store.find(Field("year") >= 2020)) == 1
        await store.drop()
    await database.aclose()


def test_what_is_no_key_or_type_is_refused(database: Database) -> None:
    store = PgVectorStore(database, model=SPEC)
    paths: tuple[Any, ...] = ((), ("a\x00",), (1,))
    for path in paths:
        with pytest.raises(InputError):
            store.index_metadata(*path)
    with pytest.raises(ConfigurationError, match="'number' or 'string'"):
        store.index_metadata("year", type="date")  # type: ignore[arg-type]  # that is what is tested
    store.create()
    assert store.metadata_indexes() == []


def test_an_index_takes_texts_of_any_length_and_ranges_stay_exact(database: Database) -> None:
    draw = random.Random(7)
    common = "".join(draw.choices("añ漢😀", k=800))
    lengths = (0, 1, 598, 599, 600, 601, 602, 700, 800)
    values = [common[:length] + end for length in lengths for end in ("", "!", "é", "😀", "\U0010fffd" * 3000)]
    values += ["".join(draw.choices("añ漢😀!\x7f\ue000", k=draw.randrange(1500))) for _ in range(100)]
    store = PgVectorStore(database, model=SPEC, lexical=False)
    store.index_metadata("note", type="string")
    chunks = [Chunk.whole("text", id=str(i), metadata={"note": value}) for i, value in enumerate(values)]
    store.upsert(chunks, np.ones((len(values), 8)))
    compare = {"$lt": operator.lt, "$lte": operator.le, "$gt": operator.gt, "$gte": operator.ge}
    for operand in (*values[::3], common[:600], common[:601]):
        for name, holds in compare.items():
            expected = {str(i) for i, value in enumerate(values) if holds(value.encode(), operand.encode())}
            assert {chunk.id for chunk in store.find({"note": {name: operand}})} == expected


def test_an_index_on_texts_of_an_earlier_version_is_built_anew(store: PgVectorStore) -> None:
    condition = Field("at", "day") > "2026-01-26"
    store.index_metadata("at", "day", type="string")
    earlier = """
        DROP INDEX embedpipe.c1_chunks_field_1;
        CREATE INDEX c1_chunks_field_1 ON embedpipe.c1_chunks ((metadata #>> '{at,day}') COLLATE "C")
        WHERE coalesce(jsonb_typeof(metadata #> '{at,day}') = 'string', false);
        DELETE FROM embedpipe.migrations WHERE number = 4;
    """
    with store.database.engine.begin() as connection:
        connection.exec_driver_sql(earlier)
    assert "Index Cond" not in plan_of_find(store, condition)
    again = PgVectorStore(store.database)
    assert again.collection.name == store.name
    plan = plan_of_find(store, condition)
    assert "c1_chunks_field_1" in plan
    assert "Index Cond" in plan
    day = random.Random(1).randbytes(4000).hex()
    again.upsert([Chunk.whole("text", id="long", metadata={"at": {"day": day}})], np.ones((1, 8)))
