from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from llama_index.core.vector_stores import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters
from llama_index.core.vector_stores.utils import build_metadata_filter_fn

from embedpipe.errors import InputError
from embedpipe.llama_index.filters import to_condition
from embedpipe.storage import Database, PgVectorStore
from embedpipe.types import Chunk, ModelSpec

KEYS = ["year", "tags", 'it\'s "k.e\\y"', "名"]
STRINGS = st.sampled_from(["", "a", "ab", "A", "1", "%", "_", "'; --", "ß", "ü🙂"])
NUMBERS = st.integers(-2, 3) | st.sampled_from([0.0, 0.5, 1.0, -1.5, 2.0**60])
LISTS = (
    st.lists(STRINGS, max_size=3) | st.lists(st.integers(-2, 3), max_size=3) | st.lists(st.floats(-2, 2), max_size=3)
)
METADATA = st.dictionaries(st.sampled_from(KEYS), STRINGS | NUMBERS | LISTS | st.none() | st.booleans(), max_size=4)

ORDER = {FilterOperator.GT, FilterOperator.GTE, FilterOperator.LT, FilterOperator.LTE}
TEXT = {FilterOperator.TEXT_MATCH, FilterOperator.TEXT_MATCH_INSENSITIVE}
LISTED = {FilterOperator.IN, FilterOperator.NIN, FilterOperator.ANY, FilterOperator.ALL}


@st.composite
def single_filters(draw: st.DrawFn) -> MetadataFilter:
    operator = draw(st.sampled_from(FilterOperator))
    values: st.SearchStrategy[Any] = STRINGS | NUMBERS
    if operator in TEXT:
        values = STRINGS
    elif operator in LISTED:
        values = LISTS
    elif operator in (FilterOperator.EQ, FilterOperator.NE):
        values = STRINGS | NUMBERS | LISTS | st.none()
    return MetadataFilter(key=draw(st.sampled_from(KEYS)), value=draw(values), operator=operator)


FLAT = st.builds(
    MetadataFilters,
    filters=st.lists(single_filters(), min_size=1, max_size=3),
    condition=st.sampled_from(FilterCondition),
)
NESTED = st.builds(
    MetadataFilters,
    filters=st.lists(single_filters() | FLAT, min_size=1, max_size=3),
    condition=st.sampled_from(FilterCondition),
)


def expected(filters: MetadataFilters, metadata: dict[str, Any]) -> bool:
    """What LlamaIndex's own function says, part by part: it neither nests nor takes values of another type."""
    answers = [
        expected(part, metadata) if isinstance(part, MetadataFilters) else single(part, metadata)
        for part in filters.filters
    ]
    if filters.condition is FilterCondition.NOT:
        return not any(answers)
    return any(answers) if filters.condition is FilterCondition.OR else all(answers)


def single(part: MetadataFilter, metadata: dict[str, Any]) -> bool:
    found = metadata.get(part.key)
    if part.operator in ORDER and isinstance(found, bool):
        return False
    if part.operator in ORDER and isinstance(found, list):
        return False
    match = build_metadata_filter_fn(lambda _: metadata, MetadataFilters(filters=[part]))
    try:
        return match("id")
    except TypeError:
        return False


@pytest.fixture
def store(database: Database) -> PgVectorStore:
    return PgVectorStore(database, model=ModelSpec(name="one", dimensions=1))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(filters=NESTED, metadatas=st.lists(METADATA, min_size=1, max_size=6))
def test_filters_mean_what_they_mean_in_llama_index(
    store: PgVectorStore, filters: MetadataFilters, metadatas: list[dict[str, Any]]
) -> None:
    store.create()
    store.clear()
    chunks = [Chunk.whole("text", id=str(i), metadata=metadata) for i, metadata in enumerate(metadatas)]
    store.upsert(chunks, [[1.0]] * len(chunks))
    found = {chunk.id for chunk in store.find(to_condition(filters))}
    assert found == {chunk.id for chunk in chunks if expected(filters, dict(chunk.metadata))}


@pytest.mark.parametrize(
    ("operator", "value", "message"),
    [
        (FilterOperator.IN, "ab", "in takes a list"),
        (FilterOperator.ALL, 3, "all takes a list"),
        (FilterOperator.CONTAINS, ["a"], "contains takes one value"),
        (FilterOperator.TEXT_MATCH, 3, "text_match takes a str"),
        (FilterOperator.GT, ["a"], "Pass a number or a str"),
        (FilterOperator.EQ, "\x00", "NUL"),
    ],
)
def test_a_value_that_an_operator_cannot_take_is_refused(operator: FilterOperator, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        to_condition(MetadataFilters(filters=[MetadataFilter(key="k", value=value, operator=operator)]))


def test_no_filters_ask_for_nothing(store: PgVectorStore) -> None:
    assert to_condition(None) is None
    assert to_condition(MetadataFilters(filters=[])) is None
    nested = MetadataFilters(filters=[MetadataFilters(filters=[])])
    store.upsert([Chunk.whole("text", id="a")], [[1.0]])
    assert len(store.find(to_condition(nested))) == 1
