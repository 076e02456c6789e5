"""LangChain's dictionaries as filters: {"year": {"$gte": 2020, "$lt": 2024}}."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sized
from itertools import islice
from typing import Any

from embedpipe._threads import in_thread
from embedpipe.errors import InputError
from embedpipe.storage.filters.fields import And, Field, Filter, Not, Or, as_sequence

_MAX_DEPTH = 50
_FEW = 500


def parse_filter(value: Filter | Mapping[str, Any] | None) -> Filter | None:
    """The filter that a dictionary in LangChain's notation means; a `Filter` or None stays as it is.

    Several keys, and several operators of one key, are joined by and. A dictionary without operators under a key is a
    nested path. Raises `InputError` for an operator that does not exist, an operand of the wrong type, operators beside
    nested keys and for what is nested too deeply.
    """
    _check_depth(value)
    return _parse(value)


async def aparse_filter(value: Filter | Mapping[str, Any] | None) -> Filter | None:
    """As `parse_filter`, in a thread where there is much to parse: an event loop has others to answer."""
    return await in_thread(parse_filter, value) if _is_large(value) else parse_filter(value)


def _is_large(condition: object) -> bool:
    """Whether parsing the condition takes more than a moment. No more of it is looked at than a moment allows."""
    found, level = 0, [condition]
    while level and found <= _FEW:
        found += sum(len(each) for each in level if isinstance(each, Sized))
        level = [inner for outer in level for inner in islice(_inner(outer), _FEW) if not isinstance(inner, str)]
    return found > _FEW


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
            parts = tuple(_parse_part(part) for part in as_sequence(operand, key))
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
        bounds = as_sequence(operand, key)
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
