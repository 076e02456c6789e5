"""The order of keys in an object. jsonb sorts them by their length in bytes, then by the bytes, and loses it.

A row keeps the order beside the object, and only where it differs from jsonb's: for an object a list of its keys, with
`[key, order]` where the value needs an order too, and for a list `{position: order}`. It holds no values. So whoever
changes the object in SQL changes what is read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from embedpipe.errors import InputError


def order_record(what: str, **objects: Any) -> str | None:
    """Return the orders of a row's objects by column, as JSON. None if there is nothing to keep.

    Raises:
        InputError: If an object is nested too deeply, naming `what`.
    """
    if not any(objects.values()):
        return None
    try:
        kept = {name: order for name, value in objects.items() if (order := key_order(value)) is not None}
        return json.dumps(kept, ensure_ascii=False) if kept else None
    except RecursionError:
        raise InputError(f"{what}: a value is nested too deeply to be stored.") from None


def ordered(value: Any, record: Mapping[str, Any] | None, column: str) -> Any:
    """Return the object of a column with its keys in the order that the row keeps."""
    return value if record is None else in_order(value, record.get(column))


def key_order(value: Any) -> Any:
    """Return the order of the keys of a JSON value, nested ones too. None if jsonb's own is the same."""
    if not value:
        return None
    if isinstance(value, Mapping):
        inner = {key: order for key, item in value.items() if (order := key_order(item)) is not None}
        keys = list(value)
        if not inner and (len(keys) < 2 or keys == sorted(keys, key=_place)):
            return None
        return [[key, inner[key]] if key in inner else key for key in keys]
    if isinstance(value, list):
        return {str(place): order for place, item in enumerate(value) if (order := key_order(item)) is not None} or None
    return None


def in_order(value: Any, order: Any) -> Any:
    """Return a JSON value with its keys in that order. Keys that the order does not name come last."""
    if isinstance(value, dict) and isinstance(order, list):
        rest, made = dict(value), {}
        for entry in order:
            key, inner = entry if isinstance(entry, list) else (entry, None)
            if key in rest:
                made[key] = in_order(rest.pop(key), inner)
        return made | rest
    if isinstance(value, list) and isinstance(order, dict):
        return [in_order(item, order.get(str(place))) for place, item in enumerate(value)]
    return value


def in_jsonb_order(value: dict[str, Any]) -> dict[str, Any]:
    """Return an object with its own keys sorted as jsonb sorts them, so that no order has to be kept for it."""
    return {key: value[key] for key in sorted(value, key=_place)}


def _place(key: str) -> tuple[int, bytes]:
    data = key.encode()
    return len(data), data
