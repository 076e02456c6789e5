"""Fit a filter to a collection's metadata: models write "2020" where the chunks have 2020, and "2024-5-1" for a date.

An operand is changed only where the key's type in the collection says so. A string stays a string for a key of strings.
"""

from __future__ import annotations

import re
from typing import Any

from embedpipe.errors import InputError
from embedpipe.storage.filters import And, Comparison, Condition, Field, Filter, In, Not, Or, parse_filter
from embedpipe.storage.metadata.description import KeyDescription, MetadataDescription, known_keys

_NUMBER = re.compile(r"\s*([+-]?\d{1,18})(\.\d{1,18})?\s*", re.ASCII)
_DAY = re.compile(r"\s*(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T ](\d{2}:\d{2}.*?))?\s*", re.ASCII)
_MIDNIGHT = re.compile(r"00:00(:00(\.0+)?)?(Z|[+-]00:?00)?", re.ASCII)
_BOOLEANS = {"true": True, "false": False}


def coerced(condition: Condition, description: MetadataDescription) -> Filter | None:
    """Return the filter with its keys and operands as the collection has them.

    - A string becomes a number, a date in ISO form or a boolean where the key has such values.
    - A value that is to equal a list matches lists that have it as an element.
    - A key with dots becomes a path where the collection has that path, and no key of that name.

    Args:
        condition: A `Filter`, or a dictionary in LangChain's notation.
        description: Of the collection's metadata.

    Raises:
        InputError: If the collection has no such key, which would find nothing. Only where every chunk was read.
    """
    parsed = parse_filter(condition)
    return None if parsed is None else _coerced(parsed, description)


def _coerced(condition: Filter, description: MetadataDescription) -> Filter:
    match condition:
        case And(parts):
            return And(tuple(_coerced(part, description) for part in parts))
        case Or(parts):
            return Or(tuple(_coerced(part, description) for part in parts))
        case Not(part):
            return Not(_coerced(part, description))
        case Comparison(path, operator, value) if key := _key(path, description):
            value = value if operator == "exists" else fitted(value, key)
            if operator == "==" and key.is_list and not isinstance(value, list):
                operator = "contains"
            return Comparison(key.path, operator, value)
        case In(path, values) if key := _key(path, description):
            fit = tuple(fitted(value, key) for value in values)
            if key.is_list:
                return Or((In(key.path, fit), *(Field(*key.path).contains(value) for value in fit)))
            return In(key.path, fit)
    return condition


def _key(path: tuple[str, ...], description: MetadataDescription) -> KeyDescription | None:
    key = description.find(path)
    if key is None and description.is_exact and not _may_exist(path, description):
        raise InputError(
            f"No chunk has the metadata key {'.'.join(path)!r:.200}. "
            f"Use one of: {known_keys(key.name for key in description.keys)}."
        )
    return key


def _may_exist(path: tuple[str, ...], description: MetadataDescription) -> bool:
    """Return whether the path may lead to an object, of which only the keys within are described, or was left out."""
    return description.left_out > 0 or any(key.path[: len(path)] == path for key in description.keys)


def fitted(value: Any, key: KeyDescription) -> Any:
    """Return a value of a condition on the key, in the type of the key if it is a string that says the same."""
    if isinstance(value, list):
        return [fitted(each, key) for each in value]
    if not isinstance(value, str):
        return value
    match key.type:
        case "number" if number := _NUMBER.fullmatch(value):
            return float(value) if number[2] else int(value)
        case "date" if day := _DAY.fullmatch(value):
            return _date(day, key)
        case "boolean":
            return _BOOLEANS.get(value.strip().lower(), value)
    return value


def _date(day: re.Match[str], key: KeyDescription) -> str:
    """Return the date in ISO form, without a time of midnight if the collection has days alone."""
    year, month, of_month, time = day.groups()
    date = f"{year}-{month:0>2}-{of_month:0>2}"
    days_alone = max(len(str(key.minimum)), len(str(key.maximum)), *(len(each) for each in key.examples)) == len(date)
    if time is None or (days_alone and _MIDNIGHT.fullmatch(time)):
        return date
    separator = " " if " " in str(key.minimum) else "T"
    return f"{date}{separator}{time}"
