"""Filters as SQL. Keys and values are bound, never formatted."""

from __future__ import annotations

from functools import reduce
from itertools import count
from typing import Any

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Text,
    and_,
    bindparam,
    cast,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TEXT
from sqlalchemy.sql.visitors import cloned_traverse

from embedpipe.errors import InputError
from embedpipe.storage.filters.fields import (
    ORDER,
    Among,
    And,
    Comparison,
    Filter,
    In,
    Not,
    OfPayload,
    Operator,
    Or,
    ValueType,
)
from embedpipe.storage.types import TextArray, dumps

INDEXED_CHARACTERS = 600
"""Of a text, in an index for ranges: a B-tree entry takes 2,704 bytes, and a character has up to four."""


def where(condition: Filter, metadata: Column[Any]) -> ColumnElement[bool]:
    """The condition as SQL over the jsonb column of a table of chunks; never NULL, so that negation is exact.

    Its values are bound as `filter_1`, `filter_2` and so on: the same condition has the same names wherever it stands.
    """
    numbers = count(1)

    def name(bound: BindParameter[Any]) -> None:
        bound.key, bound.unique = f"filter_{next(numbers)}", False

    return cloned_traverse(_where(condition, metadata), {}, {"bindparam": name})


def _where(condition: Filter, metadata: Column[Any]) -> ColumnElement[bool]:
    match condition:
        case And(parts):
            return and_(true(), *(_where(part, metadata) for part in parts))
        case Or(parts):
            return or_(false(), *(_where(part, metadata) for part in parts))
        case Not(part):
            return not_(_where(part, metadata))
        case Among(column, ids):
            named = metadata.table.c[column]
            return and_(named.is_not(None), named == func.any(bindparam(None, TextArray(ids), unique=True)))
        case OfPayload(key, values):
            found = metadata.table.c.payload.op("->>", return_type=Text())(literal(key, Text))
            return func.coalesce(found == func.any(bindparam(None, TextArray(values), unique=True)), false())
        case Comparison():
            return _comparison(condition, metadata)
        case In():
            return _in(condition, metadata)
    raise InputError(f"filter expected a Filter, got {type(condition).__name__}.")


def _comparison(condition: Comparison, metadata: ColumnElement[Any]) -> ColumnElement[bool]:
    path, operator, value = condition.path, condition.operator, condition.value
    if operator == "exists":
        return _at(metadata, path).is_not(None)
    if operator == "contains":
        return metadata.op("@>", is_comparison=True)(_jsonb(_nested(path, [value])))
    if operator == "==" and not isinstance(value, (dict, list)):
        return metadata.op("@>", is_comparison=True)(_jsonb(_nested(path, value)))
    found = _at(metadata, path)
    if operator == "==":
        return func.coalesce(found == _jsonb({"v": value})["v"], false())
    kind: ValueType = "string" if isinstance(value, str) else "number"
    key, is_kind = ordered_by(metadata, path, kind)
    if operator in ORDER:
        operand = _jsonb({"v": value})["v"] if kind == "number" else literal(value, Text)
        if kind == "string" and len(value) >= INDEXED_CHARACTERS:
            beginning = literal(value[:INDEXED_CHARACTERS], Text)
            is_kind = and_(is_kind, key.op(f"{operator[0]}=", is_comparison=True)(beginning))
            key = _text_at(metadata, path).collate("C")
        return and_(is_kind, key.op(operator, is_comparison=True)(operand))
    return and_(is_kind, _text_condition(operator, _text_at(metadata, path), value))


def _in(condition: In, metadata: ColumnElement[Any]) -> ColumnElement[bool]:
    """Few values by the index for equality; many by a hash of them, which costs a chunk the same however many."""
    values: BindParameter[Any] = bindparam(None, condition.bound, unique=True)
    if condition.few:
        return metadata.op("@>", is_comparison=True)(func.any(values))
    found = metadata
    for key in condition.path:  # not #>, which takes "0" for a place in a list
        found = found.op("->", return_type=JSONB())(literal(key, Text))
    wanted = func.unnest(values, type_=JSONB)["v"]
    return func.coalesce(found.in_(select(wanted)), false())  # coalesce also keeps it from becoming a join


def ordered_by(
    metadata: ColumnElement[Any], path: tuple[str, ...], kind: ValueType
) -> tuple[ColumnElement[Any], ColumnElement[bool]]:
    """Return what a range compares, and the condition that it is of that type: what an index for ranges is built on.

    Of a text that is its beginning, which orders it against any shorter operand as the whole does.
    """
    found = _at(metadata, path)
    beginning = func.left(_text_at(metadata, path), text(str(INDEXED_CHARACTERS)), type_=Text())
    key = found if kind == "number" else beginning.collate("C")
    return key, func.coalesce(func.jsonb_typeof(found) == kind, false())


def _text_condition(operator: Operator, text: ColumnElement[str], value: str) -> ColumnElement[bool]:
    operand = literal(value, Text)
    match operator:
        case "like":
            return text.like(operand)
        case "ilike":
            return text.ilike(operand)
        case "substring":
            return func.strpos(text, operand) > 0
    return func.strpos(func.lower(text), func.lower(operand)) > 0


def _nested(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    return reduce(lambda inner, key: {key: inner}, reversed(path), value)


def _jsonb(value: dict[str, Any]) -> ColumnElement[Any]:
    return cast(bindparam(None, dumps(value, what="Filter"), type_=TEXT), JSONB)


def _at(metadata: ColumnElement[Any], path: tuple[str, ...]) -> ColumnElement[Any]:
    return metadata.op("#>", return_type=JSONB())(_path(path))


def _text_at(metadata: ColumnElement[Any], path: tuple[str, ...]) -> ColumnElement[str]:
    return metadata.op("#>>", return_type=Text())(_path(path))


def _path(path: tuple[str, ...]) -> ColumnElement[Any]:
    return cast(bindparam(None, list(path), type_=ARRAY(TEXT)), ARRAY(TEXT))
