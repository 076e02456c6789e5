"""LangChain's dictionaries as filters: {"year": {"$gte": 2020, "$lt": 2024}}. Their operators are in `operators`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sized
from itertools import islice
from typing import Any, TypeAlias

from embedpipe._checks import shown
from embedpipe._threads import in_thread
from embedpipe.errors import InputError
from embedpipe.storage.filters.conditions import And, Filter, Not, Or
from embedpipe.storage.filters.operators import NOTATION, Field, as_sequence

Condition: TypeAlias = Filter | Mapping[str, Any] | None
"""A filter as a caller may give it."""

_MAX_DEPTH = 50
_FEW = 500


def parse_filter(value: Filter | Mapping[str, Any] | None) -> Filter | None:
    """Return the filter that a dictionary in LangChain's notation means.

    Several keys, and several operators of one key, are joined by and. A dictionary without operators under a key is a
    nested path.

    Args:
        value: A dictionary. A `Filter` or None is returned as it is.

    Raises:
        InputError: For an operator that does not exist, an operand of the wrong type, operators beside nested keys, and
            more than 50 levels.
    """
    if value is None or isinstance(value, Filter):
        return value
    _check_depth(value)
    return _parse(value)


async def aparse_filter(value: Filter | Mapping[str, Any] | None) -> Filter | None:
    """Do as `parse_filter`, in a thread if there is much to parse, so that the event loop goes on."""
    return await in_thread(parse_filter, value) if value is not None and _is_large(value) else parse_filter(value)


def _is_large(condition: object) -> bool:
    """Return whether parsing takes long. Stops counting once that is clear."""
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
        f"The filter has more than {_MAX_DEPTH} levels. Each dict, list and filter within another is a level. "
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
        raise InputError(f"The filter is a {type(value).__name__}. Pass a Filter, a dict or None.")
    return And(tuple(_parse_entry((), key, operand) for key, operand in value.items())) if value else None


def _parse_part(part: Any) -> Filter:
    parsed = _parse(part)
    return And(()) if parsed is None else parsed


def _parse_entry(path: tuple[str, ...], key: Any, operand: Any) -> Filter:
    if not isinstance(key, str):
        raise InputError(f"The filter has the key {shown(key)}. Keys must be strings.")
    if key.startswith("$"):
        return _parse_operator(path, key, operand) if path else _parse_joint(key, operand)
    if isinstance(operand, Mapping) and operand:
        return _parse_nested((*path, key), operand)
    return Field(*path, key).equals(operand)


def _parse_joint(key: str, operand: Any) -> Filter:
    """Parse an operator that joins whole conditions.

    As in langchain-postgres, it may be in capitals, and $not of a list means none of them.
    """
    match key.lower():
        case "$not" if isinstance(operand, Mapping | Filter):
            return Not(_parse_part(operand))
        case "$and" | "$or" | "$not" as joint:
            parts = tuple(_parse_part(part) for part in as_sequence(operand, key))
            return And(parts) if joint == "$and" else Or(parts) if joint == "$or" else Not(Or(parts))
    raise InputError(
        f"filter: the operator {key} has no key. Write {{key: {{{key!r}: ...}}}}, or use $and, $or or $not here."
    )


def _parse_nested(path: tuple[str, ...], operand: Mapping[Any, Any]) -> Filter:
    operators = [key for key in operand if isinstance(key, str) and key.startswith("$")]
    plain = [key for key in operand if key not in operators]
    if operators and plain:
        raise InputError(
            f"filter {path[-1]!r}: the operator {operators[0]} stands beside the key {plain[0]!r}. "
            "Use operators, which begin with $, or nested keys."
        )
    return And(tuple(_parse_entry(path, key, value) for key, value in operand.items()))


def _parse_operator(path: tuple[str, ...], key: str, operand: Any) -> Filter:
    if key == "$not":
        if not isinstance(operand, Mapping) or not operand:
            raise InputError(
                f"filter {path[-1]!r}: `$not` is {shown(operand)}. Pass a dict of operators, or use $ne for a value."
            )
        return Not(And(tuple(_parse_operator(path, inner, value) for inner, value in operand.items())))
    if key not in NOTATION:
        raise InputError(
            f"filter {path[-1]!r}: there is no operator {key}. Use one of {', '.join(sorted([*NOTATION, '$not']))}. "
            '$and and $or join whole conditions: {"$or": [{key: ...}, {key: ...}]}.'
        )
    return NOTATION[key](Field(*path), operand)
