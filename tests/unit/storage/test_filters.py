"""Filters: what parses, what is refused, and that nothing is formatted into the SQL."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Column, MetaData, Table, Text
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB

from embedpipe.errors import InputError
from embedpipe.storage.filters import And, Comparison, Field, Filter, Not, Or, parse_filter, where

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
    assert parse_filter(None) is None
    assert parse_filter({}) is None


def test_an_equal_sign_makes_a_filter() -> None:
    assert (Field("a", "b") == "x") == Comparison(("a", "b"), "==", "x")


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"a": {"$regex": "x"}}, "unknown operator"),
        ({"$gt": 3}, "without a field"),
        ({"a": {"$in": "abc"}}, "expected a list"),
        ({"a": {"$gt": None}}, "number or a str"),
        ({"a": {"$gt": True}}, "number or a str"),
        ({"a": {"$like": 3}}, "expected a str"),
        ({"a": {"$exists": 1}}, "True or False"),
        ({"a": {"$between": [1]}}, "low, high"),
        ({"a": float("nan")}, "nan"),
        ({"a\x00": 1}, "NUL"),
        ({"a": "\x00"}, "NUL"),
        ({1: 1}, "type str"),
        ("a = 1", "expected a Filter"),
    ],
)
def test_bad_filters_are_refused(bad: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse_filter(bad)


def test_a_filter_has_no_truth_value() -> None:
    with pytest.raises(InputError, match="&"):
        bool(Field("a") == 1)
