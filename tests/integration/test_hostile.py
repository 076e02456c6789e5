"""Hostile text wherever a user's text goes: a right answer or an error of ours, and no SQL of the text's own.

A short form; `make soak` sets EMBEDPIPE_SOAK, and it tries 10,000.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import inspect
from sqlalchemy.schema import DropSchema

from conftest import fresh_database, opened_as_ordinary
from embedpipe.errors import CollectionNotFoundError, ConfigurationError, InputError
from embedpipe.storage import Database, Field, PgVectorStore
from embedpipe.types import Chunk, ModelSpec

SOAK = "EMBEDPIPE_SOAK" in os.environ
SPEC = ModelSpec(name="unit-test", dimensions=4)
VECTOR = np.ones((1, 4), np.float32)
_SQL = ["'", '"', "%", "%s", "%(k)s", ":name", "$1", "$$", ";", "--", "/*", "?", "NULL", "true", "U&'\\0061'", "\\"]
_PATHS = ["{", "}", "[", "]", ".", ",", "'; DROP SCHEMA embedpipe CASCADE; --"]
MARKS = [*_SQL, *_PATHS, "\x00", "\ud800", "\n", "\u202e", "ü", "漢", "😀"]
LONG = ["k" * 10_000, "'" * 10_000, '"%s\\' * 2500]
TEXTS = st.lists(st.sampled_from(MARKS) | st.text(max_size=3), max_size=6).map("".join) | st.sampled_from(LONG)
SCALARS = TEXTS | st.integers() | st.floats() | st.booleans() | st.none()
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(TEXTS, SCALARS, max_size=2)
OPERATORS = ("$eq", "$ne", "$lt", "$lte", "$gt", "$gte", "$like", "$ilike", "$contains", "$exists", "$in", "$between")
hostile = settings(
    max_examples=10_000 if SOAK else 200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
pytestmark = pytest.mark.timeout(3600 if SOAK else 300)


@pytest.fixture(scope="module")
def database(server_url: str) -> Iterator[Database]:
    with fresh_database(server_url) as url:
        opened = Database(url)
        store = PgVectorStore(opened, model=SPEC)
        store.upsert([Chunk.whole("bystander", id="bystander", metadata={"a": 1})], VECTOR)
        before = set(inspect(opened.engine).get_table_names(schema="embedpipe"))
        yield opened
        assert set(inspect(opened.engine).get_table_names(schema="embedpipe")) == before
        assert [chunk.id for chunk in store.find()] == ["bystander"]
        opened.close()


@hostile
@given(name=TEXTS, document=TEXTS, content=TEXTS, key=TEXTS, value=VALUES)
def test_what_is_stored_comes_back_equal(
    database: Database, name: str, document: str, content: str, key: str, value: Any
) -> None:
    store = PgVectorStore(database, model=SPEC)
    chunk = Chunk.whole(content, id=f"i{name}", document_id=f"d{document}", metadata={key: value})
    try:
        store.upsert([chunk], VECTOR)
    except InputError:
        assert unstorable(name, document, content, key, value)
        return
    assert store.get([f"i{name}"]) == [chunk]
    assert store.find(document_ids=[f"d{document}"]) == [chunk]
    assert chunk in store.find(Field(key).exists())
    if isinstance(value, (str, int, float, bool)):
        assert chunk in store.find(Field(key) == value)
        assert chunk in store.find(Field(key).is_in([value, "other"]))
        assert store.find(Field(key) == "other") == [] or value == "other"
    assert store.delete([f"i{name}"]) == 1


def unstorable(*values: Any) -> bool:
    """Whether something in them is what a database cannot hold, or an index: NUL, half a character, NaN, too long."""
    shown = repr(values)
    return any(mark in shown for mark in ("\\x00", "\\ud8", "nan", "inf")) or len(shown) > 2000


@hostile
@given(key=TEXTS, value=VALUES, operator=st.sampled_from(OPERATORS), query=TEXTS)
def test_filters_and_queries_answer_or_are_refused(
    database: Database, key: str, value: Any, operator: str, query: str
) -> None:
    store = PgVectorStore(database, model=SPEC)
    conditions = ({key: {operator: value}}, {key: value}, {"$not": {f"a.{key}": {operator: [value, value]}}})
    uses: tuple[Callable[[Any], Any], ...] = (
        lambda condition: store.search(VECTOR[0], query, mode="hybrid", filter=condition),
        lambda condition: store.find(condition),
        lambda condition: store.delete(["nothing"], filter=condition),
    )
    for condition, use in zip(conditions, uses, strict=True):
        try:
            found = use(condition)
        except InputError:
            continue
        assert found == 0 or {each.id for each in found} <= {"bystander"}


@hostile
@given(name=TEXTS)
def test_names_of_collections_are_names(database: Database, name: str) -> None:
    try:
        store = PgVectorStore(database, collection=name)
        assert store.exists() == (name == "default")
        assert store.count() == 1
    except (CollectionNotFoundError, ConfigurationError, InputError):
        assert name != "default"


@settings(hostile, max_examples=500 if SOAK else 10)
@given(name=TEXTS, schema=TEXTS)
def test_names_of_schemas_are_plain(database: Database, name: str, schema: str) -> None:
    url = database._resolved_url().render_as_string(hide_password=False)
    try:
        elsewhere = Database(url, schema=f"s{schema}")
        store = PgVectorStore(elsewhere, collection=f"c{name}", model=SPEC)
    except (ConfigurationError, InputError):
        assert unstorable(name) or not re.fullmatch(r"[\w -]*", schema) or len(schema) > 40
        return
    store.upsert([Chunk.whole("x", id="x")], VECTOR)
    with database.engine.begin() as connection:
        assert f"s{schema}" in inspect(connection).get_schema_names()
        connection.execute(DropSchema(f"s{schema}", cascade=True))
    elsewhere.close()


@settings(hostile, max_examples=2000 if SOAK else 50)
@given(tenant=TEXTS, content=TEXTS)
def test_names_of_tenants_are_names(ordinary_tenants: Database, tenant: str, content: str) -> None:
    try:
        store = PgVectorStore(ordinary_tenants, model=SPEC, tenant=tenant)
        store.upsert([Chunk.whole(content, id="x")], VECTOR)
    except InputError:
        assert not tenant or unstorable(tenant, content) or len(tenant.encode()) > 500
        return
    assert [chunk.text for chunk in store.find()] == [content]
    assert PgVectorStore(ordinary_tenants, model=SPEC, tenant=f"{tenant[:400]}+").count() == 0
    assert store.clear() == 1


@pytest.fixture(scope="module")
def ordinary_tenants(server_url: str) -> Iterator[Database]:
    with fresh_database(server_url) as url, opened_as_ordinary(url) as opened:
        yield opened
