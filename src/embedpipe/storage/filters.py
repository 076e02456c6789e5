"""Conditions on metadata, and the SQL they become. Keys and values are bound, never formatted.

    Field("year") >= 2020
    (Field("lang") == "de") & ~Field("tags").contains("draft")
    Field("author", "name") == "Ada"          a nested key
    {"year": {"$gte": 2020, "$lt": 2024}}     LangChain's dictionaries mean the same

Types are kept: "02134" is not 2134, and True is not 1. Order compares numbers with numbers and strings with strings
(by code point, so that ISO dates sort); anything else does not match. A missing key matches only `!=`, `not_in` and
what is negated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import count
from typing import Any, Literal, TypeAlias

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
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TEXT
from sqlalchemy.sql.visitors import cloned_traverse

from embedpipe.errors import InputError
from embedpipe.storage.columns import JsonbArray, TextArray
from embedpipe.storage.json import dumps, storable_text

Operator: TypeAlias = Literal[
    "==", "<", "<=", ">", ">=", "exists", "like", "ilike", "contains", "substring", "isubstring"
]
ValueType: TypeAlias = Literal["number", "string"]
"""What ranges compare: numbers with numbers, and strings with strings."""

_ORDER = ("<", "<=", ">", ">=")
_TEXT = ("like", "ilike", "substring", "isubstring")
_MAX_DEPTH = 50
_FEW = 20
"""Values that the index for equality finds sooner than a pass over all chunks."""


class Filter:
    """A condition on metadata; combine with `&`, `|` and `~`."""

    def __and__(self, other: Filter) -> Filter:
        return And((*_parts(self, And), *_parts(other, And)))

    def __or__(self, other: Filter) -> Filter:
        return Or((*_parts(self, Or), *_parts(other, Or)))

    def __invert__(self) -> Filter:
        return Not(self)

    def __bool__(self) -> bool:
        raise InputError("A filter has no truth value of its own: combine filters with &, | and ~, not and, or, not.")


@dataclass(frozen=True, slots=True)
class Comparison(Filter):
    path: tuple[str, ...]
    operator: Operator
    value: Any


@dataclass(frozen=True, slots=True)
class In(Filter):
    """Equal to any of the values; of none, nothing."""

    path: tuple[str, ...]
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class And(Filter):
    """All of them; of none, everything."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or(Filter):
    """Any of them; of none, nothing."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not(Filter):
    part: Filter


@dataclass(frozen=True, slots=True)
class Among(Filter):
    """Chunks whose own id, or whose document's, is one of these."""

    column: Literal["id", "document_id"]
    ids: Sequence[str]

    def __post_init__(self) -> None:
        for value in self.ids:
            storable_text(value, f"Filter on {self.column}")


def _parts(condition: Filter, kind: type[And | Or]) -> tuple[Filter, ...]:
    """What the condition joins: a long chain of & or | is one condition, not one nested in another."""
    return condition.parts if isinstance(condition, kind) else (condition,)


class Field:
    """A metadata key, or the path to a nested one; comparing it makes a `Filter`. Any text is a key."""

    __slots__ = ("path",)
    __hash__ = None  # type: ignore[assignment]  # == makes a filter, so that equality says nothing

    def __init__(self, *path: str) -> None:
        if not path or not all(isinstance(key, str) for key in path):
            raise InputError(f"Field expected one or more keys as str, got {path!r}.")
        for key in path:
            storable_text(key, f"Filter key {key[:100]!r}")
        self.path = path

    def __eq__(self, value: object) -> Filter:  # type: ignore[override]  # as an expression, not a truth value
        return self.equals(value)

    def __ne__(self, value: object) -> Filter:  # type: ignore[override]  # as an expression, not a truth value
        return Not(self.equals(value))

    def __lt__(self, value: Any) -> Filter:
        return self._compare("<", value)

    def __le__(self, value: Any) -> Filter:
        return self._compare("<=", value)

    def __gt__(self, value: Any) -> Filter:
        return self._compare(">", value)

    def __ge__(self, value: Any) -> Filter:
        return self._compare(">=", value)

    def equals(self, value: Any) -> Filter:
        """The value itself, of the same type; what `==` means."""
        return self._compare("==", value)

    def is_in(self, values: Sequence[Any]) -> Filter:
        """Equal to any of the values."""
        listed = tuple(_sequence(values, "is_in"))
        for value in listed:
            self._check(value)
        return In(self.path, listed)

    def not_in(self, values: Sequence[Any]) -> Filter:
        """Equal to none of the values."""
        return Not(self.is_in(values))

    def between(self, low: Any, high: Any) -> Filter:
        """At least `low` and at most `high`."""
        return And((self._compare(">=", low), self._compare("<=", high)))

    def exists(self) -> Filter:
        """The key is there, also with the value None."""
        return Comparison(self.path, "exists", True)

    def contains(self, value: Any) -> Filter:
        """A list that holds the value."""
        return self._compare("contains", value)

    def like(self, pattern: str) -> Filter:
        """A string that matches SQL's LIKE pattern."""
        return self._compare("like", pattern)

    def ilike(self, pattern: str) -> Filter:
        """As `like`, whatever the case."""
        return self._compare("ilike", pattern)

    def has_text(self, text: str, *, ignore_case: bool = False) -> Filter:
        """A string in which the text occurs, character by character."""
        return self._compare("isubstring" if ignore_case else "substring", text)

    def _compare(self, operator: Operator, value: Any) -> Filter:
        if operator in _TEXT and not isinstance(value, str):
            raise InputError(f"Filter {self.path[-1]!r}: {operator} expected a str, got {type(value).__name__}.")
        if operator in _ORDER and (isinstance(value, bool) or not isinstance(value, (int, float, str))):
            raise InputError(
                f"Filter {self.path[-1]!r}: {operator} expected a number or a str, got {type(value).__name__}."
            )
        self._check(value)
        return Comparison(self.path, operator, value)

    def _check(self, value: Any) -> None:
        if isinstance(value, str):
            storable_text(value, f"Filter {self.path[-1][:100]!r}")
        else:
            dumps({self.path[-1]: value}, what="Filter")


def parse_filter(value: Filter | Mapping[str, Any] | None) -> Filter | None:
    """The filter that a dictionary in LangChain's notation means; a `Filter` or None stays as it is.

    Several keys, and several operators of one key, are joined by and. A dictionary without operators under a key is a
    nested path. Raises `InputError` for an operator that does not exist, an operand of the wrong type, operators beside
    nested keys and for what is nested too deeply.
    """
    _check_depth(value)
    return _parse(value)


def _check_depth(condition: object) -> None:
    level = [condition]
    for _ in range(_MAX_DEPTH):
        level = [inner for outer in level for inner in _inner(outer)]
        if not level:
            return
    raise InputError(
        f"filter expected at most {_MAX_DEPTH} levels, where each dict, list and filter in another is one; got more. "
        "Join conditions side by side, and name many values with is_in or $in."
    )


def _inner(outer: object) -> Iterable[object]:
    match outer:
        case And(parts) | Or(parts):
            return parts
        case Not(part):
            return (part,)
        case Mapping():
            return outer.values()
        case list() | tuple() | set() | frozenset():
            return outer
    return ()


def _parse(value: Any) -> Filter | None:
    if value is None or isinstance(value, Filter):
        return value
    if not isinstance(value, Mapping):
        raise InputError(f"filter expected a Filter, a dict or None, got {type(value).__name__}.")
    return And(tuple(_parse_entry((), key, operand) for key, operand in value.items())) if value else None


def _parse_part(part: Any) -> Filter:
    parsed = _parse(part)
    return And(()) if parsed is None else parsed


def _parse_entry(path: tuple[str, ...], key: Any, operand: Any) -> Filter:
    if not isinstance(key, str):
        raise InputError(f"filter expected keys of type str, got {key!r}.")
    if key.startswith("$"):
        return _parse_operator(path, key, operand) if path else _parse_joint(key, operand)
    if isinstance(operand, Mapping) and operand:
        return _parse_nested((*path, key), operand)
    return Field(*path, key).equals(operand)


def _parse_joint(key: str, operand: Any) -> Filter:
    """What joins whole conditions; as in langchain-postgres also in capitals, and $not of a list for none of them."""
    match key.lower():
        case "$not" if isinstance(operand, Mapping | Filter):
            return Not(_parse_part(operand))
        case "$and" | "$or" | "$not" as joint:
            parts = tuple(_parse_part(part) for part in _sequence(operand, key))
            return And(parts) if joint == "$and" else Or(parts) if joint == "$or" else Not(Or(parts))
    raise InputError(f"filter: the operator {key} stands without a field; expected $and, $or or $not there.")


def _parse_nested(path: tuple[str, ...], operand: Mapping[Any, Any]) -> Filter:
    operators = [key for key in operand if isinstance(key, str) and key.startswith("$")]
    plain = [key for key in operand if key not in operators]
    if operators and plain:
        raise InputError(
            f"filter {path[-1]!r}: expected operators or nested keys, got both: {operators[0]} and {plain[0]!r}. "
            "An operator begins with $."
        )
    return And(tuple(_parse_entry(path, key, value) for key, value in operand.items()))


def _parse_operator(path: tuple[str, ...], key: str, operand: Any) -> Filter:
    field = Field(*path)
    if key == "$exists":
        if not isinstance(operand, bool):
            raise InputError(f"filter {path[-1]!r}: $exists expected True or False, got {operand!r}.")
        return field.exists() if operand else ~field.exists()
    if key == "$between":
        bounds = _sequence(operand, key)
        if len(bounds) != 2:
            raise InputError(f"filter {path[-1]!r}: $between expected [low, high], got {len(bounds)} values.")
        return field.between(*bounds)
    if key == "$not":
        if not isinstance(operand, Mapping) or not operand:
            raise InputError(f"filter {path[-1]!r}: $not expected a dict of operators, got {operand!r:.100}. Use $ne.")
        return Not(And(tuple(_parse_operator(path, inner, value) for inner, value in operand.items())))
    build: Callable[[Field, Any], Filter] | None = _OPERATORS.get(key)
    if build is None:
        known = ", ".join(sorted([*_OPERATORS, "$exists", "$between", "$not"]))
        raise InputError(
            f"filter {path[-1]!r}: unknown operator {key}. Expected one of {known}; "
            '$and and $or join whole conditions: {"$or": [{key: ...}, {key: ...}]}.'
        )
    return build(field, operand)


_OPERATORS: dict[str, Callable[[Field, Any], Filter]] = {
    "$eq": Field.equals,
    "$ne": Field.__ne__,
    "$lt": Field.__lt__,
    "$lte": Field.__le__,
    "$gt": Field.__gt__,
    "$gte": Field.__ge__,
    "$in": Field.is_in,
    "$nin": Field.not_in,
    "$like": Field.like,
    "$ilike": Field.ilike,
    "$contains": Field.contains,
}


def _sequence(values: Any, operator: str) -> Sequence[Any]:
    if isinstance(values, (str, bytes)) or not isinstance(values, (Sequence, set, frozenset)):
        raise InputError(f"filter: {operator} expected a list, got {type(values).__name__}.")
    return list(values)


def restricts(condition: Filter | None) -> bool:
    """Whether the condition leaves anything out, as far as its form alone tells."""
    return condition is not None and _constant(condition) is not True


def _constant(condition: Filter) -> bool | None:
    """What the condition is whatever a chunk holds; None where that depends on the chunk."""
    match condition:
        case And(parts):
            return _joined([_constant(part) for part in parts], decisive=False)
        case Or(parts):
            return _joined([_constant(part) for part in parts], decisive=True)
        case Not(part):
            inner = _constant(part)
            return None if inner is None else not inner
        case In(values=()) | Among(ids=()):
            return False
    return None


def _joined(parts: Sequence[bool | None], *, decisive: bool) -> bool | None:
    if decisive in parts:
        return decisive
    return None if None in parts else not decisive


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
        case Comparison():
            return _comparison(condition, metadata)
        case In(path, values):
            return _in(path, values, metadata)
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
    if operator in _ORDER:
        operand = _jsonb({"v": value})["v"] if kind == "number" else literal(value, Text)
        return and_(is_kind, key.op(operator, is_comparison=True)(operand))
    return and_(is_kind, _text_condition(operator, _text_at(metadata, path), value))


def _in(path: tuple[str, ...], values: Sequence[Any], metadata: ColumnElement[Any]) -> ColumnElement[bool]:
    """Few values by the index for equality; many by a hash of them, which costs a chunk the same however many."""
    if len(values) <= _FEW and not any(isinstance(value, (dict, list)) for value in values):
        return metadata.op("@>", is_comparison=True)(func.any(_jsonb_array(_nested(path, value) for value in values)))
    found = metadata
    for key in path:  # not #>, which takes "0" for a place in a list
        found = found.op("->", return_type=JSONB())(literal(key, Text))
    wanted = func.unnest(_jsonb_array({"v": value} for value in values), type_=JSONB)["v"]
    return func.coalesce(found.in_(select(wanted)), false())  # coalesce also keeps it from becoming a join


def ordered_by(
    metadata: ColumnElement[Any], path: tuple[str, ...], kind: ValueType
) -> tuple[ColumnElement[Any], ColumnElement[bool]]:
    """What a range compares, and the condition that it is of that type: what an index for ranges is built on."""
    found = _at(metadata, path)
    key = found if kind == "number" else _text_at(metadata, path).collate("C")
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


def _jsonb_array(values: Iterable[dict[str, Any]]) -> ColumnElement[Any]:
    return bindparam(None, JsonbArray(dumps(value, what="Filter") for value in values), unique=True)


def _at(metadata: ColumnElement[Any], path: tuple[str, ...]) -> ColumnElement[Any]:
    return metadata.op("#>", return_type=JSONB())(_path(path))


def _text_at(metadata: ColumnElement[Any], path: tuple[str, ...]) -> ColumnElement[str]:
    return metadata.op("#>>", return_type=Text())(_path(path))


def _path(path: tuple[str, ...]) -> ColumnElement[Any]:
    return cast(bindparam(None, list(path), type_=ARRAY(TEXT)), ARRAY(TEXT))
