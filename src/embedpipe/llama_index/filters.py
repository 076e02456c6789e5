"""Convert LlamaIndex's metadata filters to filters of the store.

Their meaning is that of `build_metadata_filter_fn` in `llama_index.core.vector_stores.utils`, and they may be nested.
Documents without the key, or with None, only match `!=`, `nin` and `is_empty`. Values of another type than the filter's
do not match. LlamaIndex's function raises an error there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, TypeVar

from llama_index.core.vector_stores import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters

from embedpipe._checks import shown
from embedpipe.errors import InputError
from embedpipe.storage import Field, Filter
from embedpipe.storage.filters import And, Or, parse_filter

E = TypeVar("E", bound=Enum)

_EVERYTHING, _NOTHING = And(()), Or(())


def to_condition(filters: MetadataFilters | Filter | Mapping[str, Any] | None) -> Filter | None:
    """Convert filters. Return None if they do not restrict anything.

    Args:
        filters: LlamaIndex's own filters, a `Filter`, or a dictionary in LangChain's notation.

    Raises:
        InputError: If `filters` is anything else, or if a value does not fit its operator.
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
    """Return the member of an enum, also for its text: pydantic does not check assignments."""
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(str(member.value) for member in kind)
        raise InputError(f"There is no {kind.__name__} {shown(value)}. Use one of: {known}.") from None


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
        raise InputError(f"Filter {part.key!r}: contains takes one value, not a list. Use any or all.")
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
    """Return the values equal in Python, where 1 is True. LlamaIndex's filters have no other way to match bools."""
    return [value, bool(value)] if type(value) in (int, float) and value in (0, 1) else [value]


def _has(field: Field, value: Any) -> Filter:
    """Return the filter for lists with this value and strings with this text."""
    if isinstance(value, str):
        return field.contains(value) | field.has_text(value)
    if type(value) in (int, float) and value in (0, 1):
        return field.contains(value) | field.contains(bool(value))
    return field.contains(value)


def _listed(part: MetadataFilter) -> list[Any]:
    if not isinstance(part.value, list):
        raise InputError(f"Filter {part.key!r}: {part.operator.value} takes a list, not {shown(part.value)}.")
    return part.value


def _text(part: MetadataFilter) -> str:
    if not isinstance(part.value, str):
        raise InputError(f"Filter {part.key!r}: {part.operator.value} takes a str, not {shown(part.value)}.")
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
