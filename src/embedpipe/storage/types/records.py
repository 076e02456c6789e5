"""Settings that the database keeps as JSON. Reading refuses those of a newer embedpipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from embedpipe._checks import shown
from embedpipe.errors import SchemaError

T = TypeVar("T")


def from_record(kind: type[T], record: Mapping[str, Any], *, what: str) -> T:
    """Return settings that were recorded as JSON.

    Args:
        kind: The dataclass that was recorded.
        record: The JSON object.
        what: How a message names the record.

    Raises:
        SchemaError: If the record has a field, or a value, that this version does not know.
    """
    if not isinstance(record, Mapping):
        raise newer(what, f"it is {shown(record)}")
    unknown = sorted(record.keys() - {field.name for field in fields(kind)})  # type: ignore[arg-type]  # always a dataclass
    if unknown:
        raise newer(what, f"it has {', '.join(unknown)}")
    for name, expected in get_type_hints(kind).items():
        if name in record and not _fits(record[name], expected):
            raise newer(what, f"{name} is {shown(record[name])}")
    try:
        return kind(**record)
    except (TypeError, ValueError) as error:  # a field is missing, or the settings refuse a value
        raise newer(what, str(error)) from error


def newer(what: str, difference: str) -> SchemaError:
    """Return the error for a record that only a newer version can have written."""
    return SchemaError(f"{what} was recorded by a newer embedpipe: {difference}. Upgrade embedpipe.")


def _fits(value: object, expected: Any) -> bool:
    """Return whether a value is of that type. The settings themselves check a choice or a tuple."""
    kinds = get_args(expected) or (expected,)
    if get_origin(expected) not in (None, UnionType):
        return True
    return type(value) in kinds or (float in kinds and type(value) is int)
