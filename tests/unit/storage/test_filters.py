"""Filters: what parses, what is refused, and that nothing is formatted into the SQL."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Column, MetaData, Table, Text
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB

from embedpipe.errors import InputError
from embedpipe.storage.filters import Field
from embedpipe.storage.filters.conditions import And, Comparison, Filter, Not, Or, restricts
from embedpipe.storage.filters.notation import parse_filter
from embedpipe.storage.filters.sql import where

HOSTILE = ["'; DROP TABLE x; --", '"', "\\", "%s", ":name", "$1", 'a.b"c', "{", "é😀", "%(x)s"]


def compiled(condition: Filter) -> Any:
    chunks = Table("chunks", MetaData(), Column("id", Text), Column("metadata", JSONB))
    return where(condition, chunks.c.metadata).compile(dialect=postgresql.dialect())  # type: ignore[no-untyped-call]  # SQLAlchemy leaves the factory untyped


@pytest.mark.parametrize("hostile", HOSTILE)
def test_keys_and_values_are_bound_never_formatted(hostile: str) -> None:
    plain = compiled((Field("k") == "v") | (Field("k", "l") > "v") | Field("k").like("v") | Field("k").exists())
    sharp = compiled(
        (Field(hostile) == hostile)
        | (Field(hostile, hostile) > hostile)
        | Field(hostile).like(hostile)
        | Field(hostile).exists()
    )
    assert str(sharp) == str(plain)


def test_bound_names_follow_from_the_condition_alone() -> None:
    one = compiled((Field("a") == 1) & (Field("b") > "x") & Field("a").contains(2))
    other = compiled((Field("c") == 5) & (Field("d") > "y") & Field("e").contains("z"))
    assert str(one) == str(other)
    assert one.params.keys() == other.params.keys()
    assert all(name.startswith("filter_") for name in one.params)


def test_dictionaries_mean_the_same_as_expressions() -> None:
    year = Field("year")
    assert parse_filter({"year": 2020}) == And((year == 2020,))
    assert parse_filter({"year": {"$gte": 2020, "$lt": 2024}}) == And((And((year >= 2020, year < 2024)),))
    assert parse_filter({"$or": [{"a": 1}, {"b": 2}]}) == And((Or((And((Field("a") == 1,)), And((Field("b") == 2,)))),))
    assert parse_filter({"$not": {"a": 1}}) == And((Not(And((Field("a") == 1,))),))
    assert parse_filter({"author": {"name": {"$ne": "Ada"}}}) == And(
        (And((And((Field("author", "name") != "Ada",)),)),)
    )
    assert parse_filter({"tags": {"$in": ["x", "y"]}}) == And((And((Field("tags").is_in(["x", "y"]),)),))
    assert parse_filter({"a": {"$exists": False}}) == And((And((~Field("a").exists(),)),))
    assert parse_filter({"a": {"$between": [1, 2]}}) == And((And((Field("a").between(1, 2),)),))
    assert parse_filter({"$NOT": {"$Or": [{"a": 1}]}}) == parse_filter({"$not": {"$or": [{"a": 1}]}})
    assert parse_filter({"$AND": [{"a": 1}]}) == parse_filter({"$and": [{"a": 1}]})
    assert parse_filter({"$not": [{"a": 1}, year > 5]}) == And((Not(Or((And((Field("a") == 1,)), year > 5))),))
    assert parse_filter(None) is None
    assert parse_filter({}) is None


def test_an_equal_sign_makes_a_filter() -> None:
    assert (Field("a", "b") == "x") == Comparison(("a", "b"), "==", "x")


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"a": {"$regex": "x"}}, r"no operator \$regex\. Use one of \$between, \$contains"),
        ({"a": {"$and": [{"$gt": 3}]}}, r"\$and and \$or join whole conditions"),
        ({"a": {"$gte": 3, "lt": 5}}, r"operator \$gte stands beside the key 'lt'"),
        ({"a": {"b": {"c": 1, "$lt": 5}}}, r"'b'.*operator \$lt stands beside the key 'c'"),
        ({"a": {"$not": 5}}, "`\\$not` is 5. Pass a dict of operators"),
        ({"a": {"$not": {"gt": 5}}}, "no operator gt"),
        ({"$not": 5}, "cannot take a (int|str). Pass a list"),
        ({"$gt": 3}, "has no key"),
        ({"a": {"$in": "abc"}}, "cannot take a (int|str). Pass a list"),
        ({"a": {"$gt": None}}, "number or a str"),
        ({"a": {"$gt": True}}, "number or a str"),
        ({"a": {"$like": 3}}, "Pass a str"),
        ({"a": {"$exists": 1}}, "True or False"),
        ({"a": {"$between": [1]}}, "low, high"),
        ({"a": float("nan")}, "nan"),
        ({"a\x00": 1}, "NUL"),
        ({"a": "\x00"}, "NUL"),
        ({1: 1}, "must be strings"),
        ("a = 1", "Pass a Filter"),
    ],
)
def test_bad_filters_are_refused(bad: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse_filter(bad)


def nested(key: str, depth: int, *, listed: bool) -> Any:
    condition: Any = {"a": 1}
    for _ in range(depth):
        condition = {key: [condition]} if listed else {key: condition}
    return condition


@pytest.mark.parametrize("condition", [nested("$and", 3000, listed=True), nested("$not", 51, listed=False)])
def test_what_is_nested_too_deeply_is_refused(condition: Any) -> None:
    with pytest.raises(InputError, match="more than 50 levels"):
        parse_filter(condition)
    inverted = Field("a") == 1
    for _ in range(3000):
        inverted = ~inverted
    with pytest.raises(InputError, match="more than 50 levels"):
        parse_filter({"$and": [inverted]})


def test_the_deepest_that_is_taken_and_long_chains_become_sql() -> None:
    for condition in (
        nested("$or", 24, listed=True),
        nested("$not", 48, listed=False),
        nested("key", 48, listed=False),
    ):
        parsed = parse_filter(condition)
        assert parsed is not None
        assert compiled(parsed).params
    either, both = Field("a") == 0, Field("a") == 0
    for number in range(3000):
        either, both = either | (Field("a") == number), (Field("a") == number) & both
    assert parse_filter(either) is either
    assert str(compiled(either)).count("@>") == str(compiled(both)).count("@>") == 3001


@pytest.mark.parametrize("count", [0, 1, 20, 21, 5000])
def test_however_many_values_are_one_parameter(count: int) -> None:
    condition = Field("a").is_in([str(number) for number in range(count)])
    assert len(compiled(condition).params) <= 3


@pytest.mark.parametrize(
    ("condition", "does"),
    [
        ({}, False),
        ({"$and": []}, False),
        ({"$or": [{"a": 1}, {}]}, False),
        ({"$not": {"$or": []}}, False),
        ({"a": {"$nin": []}}, False),
        ({"$or": []}, True),
        ({"a": {"$in": []}}, True),
        ({"$and": [{}, {"a": 1}]}, True),
        ({"$not": {"a": 1}}, True),
        (Field("a").exists() | (Field("b") == 1), True),
    ],
)
def test_whether_a_filter_leaves_anything_out(condition: Any, does: bool) -> None:
    assert restricts(parse_filter(condition)) is does


def test_a_filter_has_no_truth_value() -> None:
    with pytest.raises(InputError, match="&"):
        bool(Field("a") == 1)
