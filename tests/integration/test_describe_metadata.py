"""What a collection's metadata hold, as models and people are told who write filters, and filters fitted to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event, text

from conftest import opened_as_ordinary
from embedpipe import Document, SemanticSearchService
from embedpipe.errors import CollectionNotFoundError, InputError
from embedpipe.storage import Database, Field, PgVectorStore
from embedpipe.storage.metadata import MetadataDescription, MetadataSample, coerced, describe
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Chunk, ModelSpec

SPEC = ModelSpec(name="unit-test", dimensions=4)
ROWS = 12_000


def filled(store: PgVectorStore, metadata: list[dict[str, Any]]) -> PgVectorStore:
    chunks = [Chunk.whole("text", id=str(number), metadata=each) for number, each in enumerate(metadata)]
    store.upsert(chunks, np.ones((len(chunks), 4)))
    return store


def described(*metadata: str) -> MetadataDescription:
    return describe(MetadataSample(len(metadata), list(metadata)))


@pytest.fixture(scope="module")
def large(shared_database_url: str) -> Iterator[PgVectorStore]:
    """More chunks than are read, with metadata that repeat, as rows of tables do."""
    made = PgVectorStore(shared_database_url, collection="large", model=SPEC, lexical=False)
    yield filled(made, [{"year": 1990 + i % 30, "language": "de" if i % 4 else "en"} for i in range(ROWS)])
    made.database.close()


async def test_a_small_collection_is_described_exactly(database_url: str) -> None:
    service = SemanticSearchService(FakeEmbeddingModel(), database=database_url, chunker=None)
    metadata: list[dict[str, Any]] = [
        {"year": 2020, "language": "de", "published": "2020-03-01", "tags": ["tea", "hot"], "specs": {"screen": 6.1}},
        {"year": 2022, "language": "en", "published": "2022-11-30", "tags": ["tea"], "specs": {"screen": 5}},
        {"year": 2021, "language": "de", "published": "2021-01-01", "tags": [], "free": True, "note": None},
    ]
    service.ingest(Document(id=str(i), text=f"text {i}", metadata=each) for i, each in enumerate(metadata))
    found = service.describe_metadata()
    assert (found.chunks, found.chunks_read, found.is_exact) == (3, 3, True)
    assert {key.name: (key.type, key.is_list, key.chunks, key.minimum, key.maximum) for key in found.keys} == {
        "language": ("string", False, 3, None, None),
        "published": ("date", False, 3, "2020-03-01", "2022-11-30"),
        "tags": ("string", True, 3, None, None),
        "year": ("number", False, 3, 2020, 2022),
        "specs.screen": ("number", False, 2, 5, 6.1),
        "free": ("boolean", False, 1, None, None),
        "note": ("mixed", False, 1, None, None),
    }
    assert {key.name: key.summary for key in found.keys if key.name in ("language", "tags")} == {
        "language": 'string, one of: "de", "en"',
        "tags": 'list of strings, one of: "tea", "hot"',
    }
    assert await service.adescribe_metadata() == found
    await service.aclose()


def test_without_a_collection_there_is_nothing_to_describe(database_url: str) -> None:
    service = SemanticSearchService(FakeEmbeddingModel(), database=database_url)
    with pytest.raises(CollectionNotFoundError):
        service.describe_metadata()
    service.close()


def test_of_a_large_collection_a_bounded_part_is_read_and_counts_are_estimated(large: PgVectorStore) -> None:
    rows: list[int] = []

    def remember(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        rows.append(cursor.rowcount)

    with large.database.engine.connect() as connection:
        event.listen(connection.engine, "after_cursor_execute", remember)
        found = describe(large.metadata_sample(connection=connection))
        event.remove(connection.engine, "after_cursor_execute", remember)
    assert max(rows) <= 10_000
    assert found.chunks == ROWS
    assert not found.is_exact
    year = found.find("year")
    assert year is not None
    assert (year.chunks, year.minimum, year.maximum, year.is_complete) == (ROWS, 1990, 2019, False)


def test_metadata_that_repeat_are_not_all_read_at_the_same_place(large: PgVectorStore) -> None:
    """The parts are 12 chunks long, and every fourth chunk is in English: so are a quarter of those read."""
    read = large.metadata_sample().metadata
    english = sum('"en"' in each for each in read)
    assert 0.2 < english / len(read) < 0.3


def test_large_metadata_are_read_up_to_a_limit(database: Database) -> None:
    store = filled(PgVectorStore(database, model=SPEC, lexical=False), [{"long": "x" * 5_000_000}] * 9)
    found = describe(store.metadata_sample())
    assert (found.chunks, found.chunks_read, found.is_exact) == (9, 6, False)
    assert [(key.examples, key.is_complete, key.chunks) for key in found.keys] == [((), False, 9)]


@pytest.mark.parametrize("rows", [5, ROWS], ids=["whole", "sampled"])
def test_a_tenant_is_told_nothing_of_others(database_url: str, rows: int) -> None:
    with opened_as_ordinary(database_url) as opened:
        one, other = (
            PgVectorStore(opened, collection="shared", model=SPEC, lexical=False, tenant=name) for name in "ab"
        )
        filled(one, [{"of": "a", "only_a": i} for i in range(rows)])
        filled(other, [{"of": "b"}] * 3)
        filled(one, [{"of": "a", "only_a": i} for i in range(rows)])
        found = describe(other.metadata_sample())
        assert (found.chunks, found.chunks_read) == (3, 3)
        assert [(key.name, key.examples) for key in found.keys] == [("of", ("b",))]
        assert describe(one.metadata_sample()).chunks == rows


def test_the_index_on_the_key_finds_the_sample(large: PgVectorStore) -> None:
    sent: list[tuple[str, Any]] = []

    def remember(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        sent.append((statement, parameters))

    with large.database.engine.connect() as connection:
        connection.execute(text(f"ANALYZE {large.collection.chunks.fullname}"))
        event.listen(connection.engine, "before_cursor_execute", remember)
        large.metadata_sample(connection=connection)
        event.remove(connection.engine, "before_cursor_execute", remember)
        statement, parameters = sent[-1]
        plan = "\n".join(connection.exec_driver_sql("EXPLAIN " + statement, parameters).scalars())
    assert "Seq Scan" not in plan, plan
    assert "Index Scan" in plan, plan


class TestDescription:
    def test_many_keys_and_long_or_many_values_are_bounded(self) -> None:
        ids = ", ".join(f'"id{i:04}": {i}' for i in range(3_000))
        found = described(f'{{"common": "a", {ids}}}', '{"common": "a"}', f'{{"common": "{"b" * 101}"}}')
        assert found.keys[0].name == "common"
        assert (found.keys[0].examples, found.keys[0].is_complete) == (("a",), False)
        assert (len(found.keys), found.left_out) == (100, 900)

    def test_values_of_several_types_are_mixed_and_true_is_not_one(self) -> None:
        found = described('{"a": 1, "b": "x", "c": true}', '{"a": "1", "b": "2024-01-01", "c": 1}')
        assert {key.name: key.type for key in found.keys} == {"a": "mixed", "b": "string", "c": "mixed"}

    def test_objects_are_described_by_their_keys(self) -> None:
        found = described('{"a.b": 1, "a": {"b": "x"}, "deep": {"b": {"c": {"d": {"e": {"f": 1}}}}}}')
        assert {key.path for key in found.keys} == {("a.b",), ("a", "b"), ("deep", "b", "c", "d", "e")}
        names: dict[str | tuple[str, ...], tuple[str, ...]] = {
            "a.b": ("a.b",),
            ("a", "b"): ("a", "b"),
            "deep.b.c.d.e": ("deep", "b", "c", "d", "e"),
        }
        for name, path in names.items():
            key = found.find(name)
            assert key is not None
            assert key.path == path
        assert found.find("a") is None


class TestFiltersOfModels:
    description = described(
        '{"year": 2020, "code": "02134", "day": "2024-05-01", "at": "2024-05-01T10:00:00", "free": true, '
        '"tags": ["a"], "specs": {"screen": 6}, "any": 1}',
        '{"any": "1"}',
    )

    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ({"year": {"$gte": "2020"}}, Field("year") >= 2020),
            ({"year": {"$lt": " 2020.5 "}}, Field("year") < 2020.5),
            ({"year": {"$in": ["2020", 2021]}}, Field("year").is_in([2020, 2021])),
            ({"year": "soon"}, Field("year") == "soon"),
            ({"code": "02134"}, Field("code") == "02134"),
            ({"code": {"$gte": "2"}}, Field("code") >= "2"),
            ({"any": "1"}, Field("any") == "1"),
            ({"day": {"$gte": "2024/5/1"}}, Field("day") >= "2024-05-01"),
            ({"day": "2024-05-01T00:00:00Z"}, Field("day") == "2024-05-01"),
            ({"day": {"$gt": "2024-05-01T12:00"}}, Field("day") > "2024-05-01T12:00"),
            ({"at": {"$gt": "2024-5-1 00:00:00"}}, Field("at") > "2024-05-01T00:00:00"),
            ({"at": {"$gt": "2024"}}, Field("at") > "2024"),
            ({"free": "True"}, Field("free") == True),  # noqa: E712 - a filter
            ({"tags": "a"}, Field("tags").contains("a")),
            ({"tags": {"$ne": "a"}}, ~Field("tags").contains("a")),
            ({"tags": ["a"]}, Field("tags") == ["a"]),
            (
                {"tags": {"$in": ["a", "b"]}},
                Field("tags").is_in(["a", "b"]) | Field("tags").contains("a") | Field("tags").contains("b"),
            ),
            ({"specs.screen": {"$gt": "5"}}, Field("specs", "screen") > 5),
            ({"specs": {"screen": "6"}}, Field("specs", "screen") == 6),
            ({"specs": {"$exists": True}}, Field("specs").exists()),
            ({"year": {"$exists": True}}, Field("year").exists()),
        ],
        ids=str,
    )
    def test_operands_are_fitted_to_the_type_of_their_key(self, written: dict[str, Any], meant: Any) -> None:
        def flat(condition: Any) -> str:
            """Without the joints of one part, which dictionaries make."""
            while type(condition).__name__ == "And" and len(condition.parts) == 1:
                [condition] = condition.parts
            if type(condition).__name__ == "Not":
                return f"Not({flat(condition.part)})"
            return repr(condition)

        assert flat(coerced(written, self.description)) == flat(meant)

    def test_unknown_keys_are_named_where_all_are_known(self) -> None:
        with pytest.raises(InputError, match=r"No chunk has the metadata key 'genre'. Use one of: 'any', 'at',"):
            coerced({"$or": [{"genre": "x"}, {"year": 1}]}, self.description)
        partly = MetadataDescription(chunks=9, chunks_read=2, keys=self.description.keys)
        assert repr(coerced(Field("genre") == "x", partly)) == repr(Field("genre") == "x")

    def test_no_filter_stays_none(self) -> None:
        assert coerced(None, self.description) is None
        assert coerced({}, self.description) is None
