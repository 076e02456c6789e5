"""Filters as PostgreSQL answers them, against the same conditions in Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, MetaData, Table, Text, bindparam, cast, select
from sqlalchemy.dialects.postgresql import JSONB

from embedpipe.errors import InputError
from embedpipe.storage import Database, PgVectorStore
from embedpipe.storage.filters import Field
from embedpipe.storage.filters.conditions import And, Comparison, Filter, In, Not, Or
from embedpipe.storage.filters.sql import where
from embedpipe.storage.types.jsonb import dumps
from embedpipe.types import Chunk, ModelSpec

KEYS = st.sampled_from(["year", "my-key", 'a.b"c', "$x", ""])
SCALARS = st.integers(-3, 3) | st.sampled_from([0.5, 2.0, "2", "b", "ä", "", "02134", "2134", True, False, None])
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(KEYS, SCALARS, max_size=2)
METADATA = st.dictionaries(KEYS, VALUES, max_size=4)
ORDERED = st.integers(-3, 3) | st.sampled_from([0.5, "2", "b", "ä", ""])
FIELDS = st.lists(KEYS, min_size=1, max_size=2).map(lambda path: Field(*path))
FILTERS = st.recursive(
    st.builds(lambda field, value: field == value, FIELDS, VALUES)
    | st.builds(lambda field, value: field < value, FIELDS, ORDERED)
    | st.builds(lambda field, value: field >= value, FIELDS, ORDERED)
    | st.builds(Field.is_in, FIELDS, st.lists(VALUES, max_size=3) | st.lists(SCALARS, min_size=21, max_size=25))
    | st.builds(Field.contains, FIELDS, SCALARS)
    | st.builds(Field.exists, FIELDS)
    | st.builds(Field.has_text, FIELDS, st.sampled_from(["b", "1", ""])),
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(lambda parts: And(tuple(parts)), st.lists(inner, max_size=3))
        | st.builds(lambda parts: Or(tuple(parts)), st.lists(inner, max_size=3))
    ),
    max_leaves=5,
)
_MISSING = object()


def same(left: Any, right: Any) -> bool:
    """Equal as JSON: True is not 1, 2.0 is 2."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(same(*pair) for pair in zip(left, right, strict=True))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if _number(left) and _number(right):
        return bool(left == right)
    return type(left) is type(right) and bool(left == right)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def holds(condition: Filter, metadata: Any) -> bool:
    """What the condition means."""
    match condition:
        case And(parts):
            return all(holds(part, metadata) for part in parts)
        case Or(parts):
            return any(holds(part, metadata) for part in parts)
        case Not(part):
            return not holds(part, metadata)
    assert isinstance(condition, Comparison | In)
    found: Any = metadata
    for key in condition.path:
        found = found.get(key, _MISSING) if isinstance(found, dict) else _MISSING
    if isinstance(condition, In):
        return found is not _MISSING and any(same(found, value) for value in condition.values)
    return found is not _MISSING and compares(condition.operator, found, condition.value)


def compares(operator: str, found: Any, value: Any) -> bool:
    """Whether the comparison holds for a value that is there."""
    meanings: dict[str, Callable[[], bool]] = {
        "exists": lambda: True,
        "==": lambda: same(found, value),
        "contains": lambda: isinstance(found, list) and any(same(item, value) for item in found),
        "substring": lambda: isinstance(found, str) and value in found,
        "<": lambda: _comparable(found, value) and bool(found < value),
        ">=": lambda: _comparable(found, value) and bool(found >= value),
    }
    return meanings[operator]()


def _comparable(left: Any, right: Any) -> bool:
    return (_number(left) and _number(right)) or (isinstance(left, str) and isinstance(right, str))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(condition=FILTERS, metadata=METADATA)
def test_postgresql_means_what_python_means(database: Database, condition: Filter, metadata: dict[str, Any]) -> None:
    value = cast(bindparam("metadata", dumps(metadata, what="test"), type_=Text()), JSONB)
    one = Table("one", MetaData(), Column("metadata", JSONB))
    statement = select(where(condition, one.c.metadata)).add_cte(select(value.label("metadata")).cte("one"))
    with database.engine.connect() as connection:
        answer: Any = connection.execute(statement).scalar()
    assert answer is holds(condition, metadata)


@pytest.fixture
def store(database: Database) -> PgVectorStore:
    """Metadata of each type, under a key and under one that could be a place in a list, as it is in the last."""
    made = PgVectorStore(database, model=ModelSpec(name="unit-test", dimensions=2))
    values = ["02134", 2134, True, 1, 1.0, "1", None, [1], {"0": 1}]
    metadata = [{"k": value, "deep": {"0": value}} for value in values] + [{"deep": ["02134"]}]
    chunks = [Chunk.whole("text", id=str(place), metadata=each) for place, each in enumerate(metadata)]
    made.upsert(chunks, np.ones((len(chunks), 2)))
    return made


@pytest.mark.parametrize("path", [("k",), ("deep", "0")])
@pytest.mark.parametrize("filling", [0, 30])
@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (["02134"], [0]),
        ([2134.0], [1]),
        ([True], [2]),
        ([1], [3, 4]),
        (["1", None], [5, 6]),
        ([[1.0], {"0": 1}], [7, 8]),
        ([], []),
    ],
)
def test_any_of_few_or_many_keeps_types(
    store: PgVectorStore, path: tuple[str, ...], filling: int, wanted: list[Any], found: list[int]
) -> None:
    values = [*wanted, *(f"filling {number}" for number in range(filling))]
    names = [chunk.id for chunk in store.find(Field(*path).is_in(values))]
    assert names == [str(place) for place in found]
    others = {chunk.id for chunk in store.find(Field(*path).not_in(values))}
    assert others == {str(place) for place in range(10)} - set(names)
    for _ in range(7):  # once the driver has prepared the statement, too
        results = store.search([1.0, 1.0], k=10, filter=Field(*path).is_in(values))
    assert {result.id for result in results} == set(names)


@pytest.mark.parametrize("condition", [{}, {"$and": []}, {"k": {"$nin": []}}, ~Or(())])
def test_a_filter_that_leaves_nothing_out_deletes_nothing(store: PgVectorStore, condition: Any) -> None:
    with pytest.raises(InputError, match=r"leaves nothing out.*clear\(\)"):
        store.delete(filter=condition)
    assert store.count() == 10
    assert store.delete(["0"], filter=condition) == 1
    assert store.delete(filter={"$or": []}) == 0
