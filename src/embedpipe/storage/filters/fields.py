"""Conditions on metadata.

    Field("year") >= 2020
    (Field("lang") == "de") & ~Field("tags").contains("draft")
    Field("author", "name") == "Ada"          a nested key
    {"year": {"$gte": 2020, "$lt": 2024}}     LangChain's dictionaries mean the same

Types are kept: "02134" is not 2134, and True is not 1. Order compares numbers with numbers and strings with strings
(by code point, so that ISO dates sort); anything else does not match. A missing key matches only `!=`, `not_in` and
what is negated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from embedpipe.errors import InputError
from embedpipe.storage.types import JsonbArray, dumps, dumps_value, storable_text

Operator: TypeAlias = Literal[
    "==", "<", "<=", ">", ">=", "exists", "like", "ilike", "contains", "substring", "isubstring"
]
ValueType: TypeAlias = Literal["number", "string"]
"""What ranges compare: numbers with numbers, and strings with strings."""

ORDER = ("<", "<=", ">", ">=")
_FEW = 20
"""Values that the index for equality finds sooner than a pass over all chunks."""
_TEXT = ("like", "ilike", "substring", "isubstring")


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
    """Equal to any of the values; of none, nothing.

    There may be many values, and a search binds them several times: so they are made ready with the filter, once.
    `few` says whether `bound` holds the metadata that contains a value, for the index for equality, or the values
    under the key "v".
    """

    path: tuple[str, ...]
    values: tuple[Any, ...]
    few: bool = field(init=False, compare=False, repr=False)
    bound: JsonbArray = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        what = f"Filter {self.path[-1]!r:.100}"
        few = len(self.values) <= _FEW and not any(isinstance(value, (dict, list)) for value in self.values)
        keys = self.path if few else ("v",)
        before, after = "".join(f"{{{dumps_value(key, what=what)}: " for key in keys), "}" * len(keys)
        texts = (f"{before}{dumps_value(value, what=what)}{after}" for value in self.values)
        object.__setattr__(self, "few", few)
        object.__setattr__(self, "bound", JsonbArray(texts))


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


@dataclass(frozen=True, slots=True)
class OfPayload(Filter):
    """Chunks whose payload has one of these texts under a key: what a framework's adapter wrote there."""

    key: str
    values: Sequence[str]


def _parts(condition: Filter, kind: type[And | Or]) -> tuple[Filter, ...]:
    """What the condition joins: a long chain of & or | is one condition, not one nested in another."""
    return condition.parts if isinstance(condition, kind) else (condition,)


def parts_of(condition: Filter) -> tuple[Filter, ...]:
    """Return the conditions that the condition is put together from; none where it is a single one."""
    match condition:
        case And(parts) | Or(parts):
            return parts
        case Not(part):
            return (part,)
    return ()


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
        return In(self.path, tuple(as_sequence(values, "is_in")))

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
        if operator in ORDER and (isinstance(value, bool) or not isinstance(value, (int, float, str))):
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


def as_sequence(values: Any, operator: str) -> Sequence[Any]:
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
