"""LlamaIndex's metadata filters as the store's conditions.

They mean what they do in `build_metadata_filter_fn` of `llama_index.core.vector_stores.utils`, and nest. A key that is
missing or None meets `!=`, `nin` and `is_empty` alone. Values of another type than the filter's do not match, where
that function raises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, TypeVar

from llama_index.core.vector_stores import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters

from embedpipe.errors import InputError
from embedpipe.storage import Field, Filter
from embedpipe.storage.filters import And, Or, parse_filter

E = TypeVar("E", bound=Enum)

_EVERYTHING, _NOTHING = And(()), Or(())


def to_condition(filters: MetadataFilters | Filter | Mapping[str, Any] | None) -> Filter | None:
    """Return the condition, None where nothing is asked.

    Args:
        filters: LlamaIndex's own, a `Filter`, or a dictionary in LangChain's notation.

    Raises:
        InputError: For anything else, and for a value that its operator cannot take.
    """
    if not isinstance(filters, MetadataFilters):
        return parse_filter(filters)
    if not filters.filters:
        return None
    parts = tuple(_part(part) for part in filters.filters)
    match FilterCondition.AND if filters.condition is None else _member(FilterCondition, filters.condition):
        case FilterCondition.OR:
            return Or(parts)
        case FilterCondition.NOT:
            return ~Or(parts)
    return And(parts)


def _part(part: MetadataFilter | MetadataFilters) -> Filter:
    if isinstance(part, MetadataFilters):
        nested = to_condition(part)
        return _EVERYTHING if nested is None else nested
    operator = _member(FilterOperator, part.operator)
    if operator is FilterOperator.IS_EMPTY:
        field = Field(part.key)
        return ~field.exists() | field.is_in([None, "", []])
    return _OPERATORS[operator](part)


def _member(kind: type[E], value: object) -> E:
    """Return the member, also where it was assigned as its text, which pydantic does not look at."""
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(str(member.value) for member in kind)
        raise InputError(f"{kind.__name__} {value!r:.100} is not known. Use one of: {known}.") from None


def _equals(part: MetadataFilter) -> Filter:
    return _NOTHING if part.value is None else Field(part.key).is_in(_same(part.value))


def _differs(part: MetadataFilter) -> Filter:
    return ~_equals(part)


def _in(part: MetadataFilter) -> Filter:
    return Field(part.key).is_in([same for value in _listed(part) for same in _same(value)])


def _not_in(part: MetadataFilter) -> Filter:
    return ~_in(part)


def _contains(part: MetadataFilter) -> Filter:
    if isinstance(part.value, list):
        raise InputError(f"Filter {part.key!r}: contains expected one value, got a list. Use any or all.")
    return _has(Field(part.key), part.value)


def _any(part: MetadataFilter) -> Filter:
    return Or(tuple(_has(Field(part.key), value) for value in _listed(part)))


def _all(part: MetadataFilter) -> Filter:
    field = Field(part.key)
    present = field.exists() & ~field.is_in([None])
    return And((present, *(_has(field, value) for value in _listed(part))))


def _text_match(part: MetadataFilter) -> Filter:
    return Field(part.key).has_text(_text(part))


def _text_match_insensitive(part: MetadataFilter) -> Filter:
    return Field(part.key).has_text(_text(part), ignore_case=True)


def _same(value: Any) -> list[Any]:
    """What equals it in Python, where 1 is True: LlamaIndex's filters have no other way to ask for a bool."""
    return [value, bool(value)] if type(value) in (int, float) and value in (0, 1) else [value]


def _has(field: Field, value: Any) -> Filter:
    """A list with the value in it, or a string with the text in it."""
    if isinstance(value, str):
        return field.contains(value) | field.has_text(value)
    if type(value) in (int, float) and value in (0, 1):
        return field.contains(value) | field.contains(bool(value))
    return field.contains(value)


def _listed(part: MetadataFilter) -> list[Any]:
    if not isinstance(part.value, list):
        raise InputError(f"Filter {part.key!r}: {part.operator.value} expected a list, got {part.value!r:.100}.")
    return part.value


def _text(part: MetadataFilter) -> str:
    if not isinstance(part.value, str):
        raise InputError(f"Filter {part.key!r}: {part.operator.value} expected a str, got {part.value!r:.100}.")
    return part.value


_OPERATORS: dict[FilterOperator, Callable[[MetadataFilter], Filter]] = {
    FilterOperator.EQ: _equals,
    FilterOperator.NE: _differs,
    FilterOperator.GT: lambda part: Field(part.key) > part.value,
    FilterOperator.GTE: lambda part: Field(part.key) >= part.value,
    FilterOperator.LT: lambda part: Field(part.key) < part.value,
    FilterOperator.LTE: lambda part: Field(part.key) <= part.value,
    FilterOperator.IN: _in,
    FilterOperator.NIN: _not_in,
    FilterOperator.ANY: _any,
    FilterOperator.ALL: _all,
    FilterOperator.CONTAINS: _contains,
    FilterOperator.TEXT_MATCH: _text_match,
    FilterOperator.TEXT_MATCH_INSENSITIVE: _text_match_insensitive,
}
