"""Operators on one metadata key. To add an operator, write here:

1. an entry of `OPERATORS`: its operand and its SQL,
2. a method of `Field`: its form in Python,
3. an entry of `NOTATION`: its form in dictionaries.

Adapters make `Field`s of their framework's filters, and `NOTATION` serves LangChain. So no other file changes, unless
LlamaIndex has the operator, too: its name then goes into `llama_index/filters.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any, Literal, NamedTuple, TypeAlias

from sqlalchemy import ColumnElement, Text, and_, bindparam, cast, false, func, literal, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TEXT

from embedpipe._checks import shown
from embedpipe.errors import InputError
from embedpipe.storage.filters.conditions import And, Comparison, Filter, In, Not
from embedpipe.storage.types import dumps, dumps_value, storable_text

ValueType: TypeAlias = Literal["number", "string"]
"""The types that ranges compare, by their names in jsonb."""

_INDEXED_CHARACTERS = 600
"""Of a text, in an index for ranges: a B-tree entry takes 2,704 bytes, and a character has up to four."""


@dataclass(frozen=True, slots=True)
class MetadataKey:
    """A key of a jsonb column, or the path to a nested one, as SQL. Keys are bound, never formatted."""

    metadata: ColumnElement[Any]
    path: tuple[str, ...]

    @property
    def json(self) -> ColumnElement[Any]:
        """The value as jsonb, NULL where the key is missing."""
        return self.metadata.op("#>", return_type=JSONB())(self._bound_path)

    @property
    def text(self) -> ColumnElement[str]:
        """The value as text, a string without its quotes."""
        return self.metadata.op("#>>", return_type=Text())(self._bound_path)

    @property
    def _bound_path(self) -> ColumnElement[Any]:
        return cast(bindparam(None, list(self.path), type_=ARRAY(TEXT)), ARRAY(TEXT))

    def holds(self, value: Any) -> ColumnElement[bool]:
        """Return whether the column contains {key: value}, which its GIN index answers."""
        nested: dict[str, Any] = reduce(lambda inner, key: {key: inner}, reversed(self.path), value)
        return self.metadata.op("@>", is_comparison=True)(_jsonb(nested))

    def is_a(self, kind: ValueType) -> ColumnElement[bool]:
        """Return whether the value is of that type. Never NULL, so that a negation is exact."""
        return func.coalesce(func.jsonb_typeof(self.json) == kind, false())

    def sort_key(self, kind: ValueType) -> ColumnElement[Any]:
        """Return the expression that ranges compare and that an index for ranges is built on.

        Of a text that is its beginning. It orders the text as the whole does, against any operand that is shorter.
        """
        if kind == "number":
            return self.json
        beginning = func.left(self.text, text(str(_INDEXED_CHARACTERS)), type_=Text())
        return beginning.collate("C")  # by code point, whatever the database's own collation is


def _jsonb(value: Any) -> ColumnElement[Any]:
    return cast(bindparam(None, dumps_value(value, what="Filter"), type_=TEXT), JSONB)


def _equals(key: MetadataKey, value: Any) -> ColumnElement[bool]:
    if isinstance(value, (dict, list)):  # which a longer list and a larger object contain, too
        return func.coalesce(key.json == _jsonb(value), false())
    return key.holds(value)


def _ordered(symbol: str, key: MetadataKey, value: float | str) -> ColumnElement[bool]:
    if not isinstance(value, str):
        return and_(key.is_a("number"), key.sort_key("number").op(symbol, is_comparison=True)(_jsonb(value)))
    conditions, compared = [key.is_a("string")], key.sort_key("string")
    if len(value) >= _INDEXED_CHARACTERS:
        # The index narrows the texts down by their beginning. Among equal beginnings, only the whole text decides.
        beginning = literal(value[:_INDEXED_CHARACTERS], Text)
        conditions.append(compared.op(f"{symbol[0]}=", is_comparison=True)(beginning))
        compared = key.text.collate("C")
    return and_(*conditions, compared.op(symbol, is_comparison=True)(literal(value, Text)))


def _exists(key: MetadataKey, _: Any) -> ColumnElement[bool]:
    return key.json.is_not(None)


def _contains(key: MetadataKey, value: Any) -> ColumnElement[bool]:
    return key.holds([value])


def _like(key: MetadataKey, pattern: str) -> ColumnElement[bool]:
    return and_(key.is_a("string"), key.text.like(literal(pattern, Text)))


def _ilike(key: MetadataKey, pattern: str) -> ColumnElement[bool]:
    return and_(key.is_a("string"), key.text.ilike(literal(pattern, Text)))


def _substring(key: MetadataKey, part: str) -> ColumnElement[bool]:
    return and_(key.is_a("string"), func.strpos(key.text, literal(part, Text)) > 0)


def _isubstring(key: MetadataKey, part: str) -> ColumnElement[bool]:
    return and_(key.is_a("string"), func.strpos(func.lower(key.text), func.lower(literal(part, Text))) > 0)


class _Operand(NamedTuple):
    """What an operator takes: its name in an error message, and the types. A bool is no number."""

    name: str
    types: tuple[type, ...] | None = None

    def takes(self, value: Any) -> bool:
        return self.types is None or (isinstance(value, self.types) and not isinstance(value, bool))


_ANY, _STRING, _ORDERED = (
    _Operand("any JSON value"),
    _Operand("a str", (str,)),
    _Operand("a number or a str", (int, float, str)),
)


class _Operator(NamedTuple):
    """Which operands an operator takes, and its SQL, which is never NULL: so that a negation is exact."""

    operand: _Operand
    sql: Callable[[MetadataKey, Any], ColumnElement[bool]]


OPERATORS = {
    "==": _Operator(_ANY, _equals),
    "<": _Operator(_ORDERED, partial(_ordered, "<")),
    "<=": _Operator(_ORDERED, partial(_ordered, "<=")),
    ">": _Operator(_ORDERED, partial(_ordered, ">")),
    ">=": _Operator(_ORDERED, partial(_ordered, ">=")),
    "exists": _Operator(_ANY, _exists),
    "contains": _Operator(_ANY, _contains),
    "like": _Operator(_STRING, _like),
    "ilike": _Operator(_STRING, _ilike),
    "substring": _Operator(_STRING, _substring),
    "isubstring": _Operator(_STRING, _isubstring),
}


class Field:
    """A metadata key, or the path to a nested one. Compare it to make a `Filter`. Any text is a key.

        Field("year") >= 2020
        (Field("lang") == "de") & ~Field("tags").contains("draft")
        Field("author", "name") == "Ada"          # a nested key

    Types are kept: "02134" is not 2134, and True is not 1. `<`, `<=`, `>` and `>=` compare numbers with numbers, and
    strings with strings by code point, so that ISO dates sort. A value of another type does not match. A missing key
    matches only `!=`, `not_in` and negated conditions.
    """

    __slots__ = ("path",)
    __hash__ = None  # type: ignore[assignment]  # == makes a filter, so that equality says nothing

    def __init__(self, *path: str) -> None:
        if not path or not all(isinstance(key, str) for key in path):
            raise InputError(f"The keys of a Field are {shown(path)}. Pass one or more strings.")
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
        """Match the value itself, of the same type. The same as `==`."""
        return self._compare("==", value)

    def is_in(self, values: Sequence[Any]) -> Filter:
        """Match a value that equals any of these."""
        return In(self.path, tuple(as_sequence(values, "is_in")))

    def not_in(self, values: Sequence[Any]) -> Filter:
        """Match a value that equals none of these, and a missing key."""
        return Not(self.is_in(values))

    def between(self, low: Any, high: Any) -> Filter:
        """Match a value of at least `low` and at most `high`."""
        return And((self._compare(">=", low), self._compare("<=", high)))

    def exists(self) -> Filter:
        """Match every value, None included, but not a missing key."""
        return self._compare("exists", True)

    def contains(self, value: Any) -> Filter:
        """Match a list that has the value as an element."""
        return self._compare("contains", value)

    def like(self, pattern: str) -> Filter:
        """Match a string by a pattern of SQL's LIKE."""
        return self._compare("like", pattern)

    def ilike(self, pattern: str) -> Filter:
        """Match a string by a pattern of SQL's LIKE, ignoring case."""
        return self._compare("ilike", pattern)

    def has_text(self, text: str, *, ignore_case: bool = False) -> Filter:
        """Match a string in which the text occurs, character by character."""
        return self._compare("isubstring" if ignore_case else "substring", text)

    def _compare(self, operator: str, value: Any) -> Filter:
        operand = OPERATORS[operator].operand
        if not operand.takes(value):
            raise InputError(
                f"Filter {shown(self.path[-1])}: `{operator}` cannot compare with a {type(value).__name__}. "
                f"Pass {operand.name}."
            )
        if isinstance(value, str):
            storable_text(value, f"Filter {self.path[-1][:100]!r}")
        else:
            dumps({self.path[-1]: value}, what="Filter")
        return Comparison(self.path, operator, value)


def as_sequence(values: Any, operator: str) -> Sequence[Any]:
    """Return the values of a list, tuple or set as a list."""
    if isinstance(values, (str, bytes)) or not isinstance(values, (Sequence, set, frozenset)):
        raise InputError(f"filter: `{operator}` cannot take a {type(values).__name__}. Pass a list.")
    return list(values)


def _exists_if(field: Field, exists: Any) -> Filter:
    if not isinstance(exists, bool):
        raise InputError(f"filter {field.path[-1]!r}: `$exists` is {shown(exists)}. Pass True or False.")
    return field.exists() if exists else ~field.exists()


def _between(field: Field, bounds: Any) -> Filter:
    values = as_sequence(bounds, "$between")
    if len(values) != 2:
        raise InputError(f"filter {field.path[-1]!r}: `$between` has {len(values)} values. Pass [low, high].")
    return field.between(*values)


NOTATION: dict[str, Callable[[Field, Any], Filter]] = {
    "$eq": Field.equals,
    "$ne": Field.__ne__,
    "$lt": Field.__lt__,
    "$lte": Field.__le__,
    "$gt": Field.__gt__,
    "$gte": Field.__ge__,
    "$in": Field.is_in,
    "$nin": Field.not_in,
    "$between": _between,
    "$exists": _exists_if,
    "$like": Field.like,
    "$ilike": Field.ilike,
    "$contains": Field.contains,
}
"""Operators by their names in LangChain's dictionaries. `notation` adds `$not`, `$and` and `$or`."""
