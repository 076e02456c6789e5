"""JSON that PostgreSQL's jsonb gives back equal, or an error that names the key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from math import isfinite
from typing import Any

from embedpipe.errors import InputError

_quote = json.encoder.encode_basestring
_MAX_DIGITS = 4000  # Python reads integers of up to 4,300 digits back
_BITS_PER_DIGIT = 3.322


def dumps(value: Mapping[str, Any] | None, *, what: str) -> str | None:
    """JSON text of a dict (None stays None) that comes back from jsonb equal to it.

    Raises `InputError` naming `what` and the key for anything that would not: other types than str, int, float, bool,
    None, list and dict, keys that are not str, NaN and infinities, NUL characters and lone surrogates.
    """
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise InputError(f"{what}: expected a dict, got {type(value).__name__}.")
    try:
        return _object(value, what, "")
    except RecursionError:
        key = next(iter(value), "")
        raise InputError(f"{what}: a value is nested too deeply to be stored, perhaps under {key!r}.") from None


def storable_text(text: str, what: str) -> str:
    """The text itself; `InputError` for what PostgreSQL's text cannot hold: NUL characters and lone surrogates."""
    if not isinstance(text, str):
        raise InputError(f"{what}: expected str, got {type(text).__name__}.")
    if "\x00" in text:
        raise InputError(
            f"{what}: has a NUL character at position {text.index(chr(0))}, which PostgreSQL cannot store. Remove it."
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{what}: has a lone surrogate at position {error.start}, which is no character and cannot be stored. "
            "Remove or replace it."
        ) from error
    return text


def _encode(value: Any, what: str, path: str) -> str:
    kind = type(value)
    if kind is str:
        return _string(value, what, path)
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if kind is int:
        return _integer(value, what, path)
    if kind is float:
        return _float(value, what, path)
    if kind is list:
        return "[" + ", ".join([_encode(item, what, f"{path}[{i}]") for i, item in enumerate(value)]) + "]"
    if isinstance(value, dict):
        return _object(value, what, path)
    raise InputError(
        f"{what}: the value under {path or 'the top'} is a {kind.__name__}, which JSON does not give back equal. "
        "Expected str, int, float, bool, None, list or dict: convert it first."
    )


def _object(value: Mapping[str, Any], what: str, path: str) -> str:
    parts = []
    for key, item in value.items():
        if type(key) is not str:
            raise InputError(
                f"{what}: the key {key!r} under {path or 'the top'} is a {type(key).__name__}; expected str."
            )
        inner = f"{path}.{key}" if path else key
        parts.append(f"{_string(key, what, inner)}: {_encode(item, what, inner)}")
    return "{" + ", ".join(parts) + "}"


def _string(value: str, what: str, path: str) -> str:
    if not value.isascii() or "\x00" in value:
        storable_text(value, f"{what}: {path[:200]!r}")
    return _quote(value)


def _integer(value: int, what: str, path: str) -> str:
    if value.bit_length() > _MAX_DIGITS * _BITS_PER_DIGIT:
        raise InputError(f"{what}: the integer under {path} has more than {_MAX_DIGITS} digits. Store it as a str.")
    return str(value)


def _float(value: float, what: str, path: str) -> str:
    if not isfinite(value):
        raise InputError(f"{what}: the value under {path} is {value}, which JSON cannot hold. Use None or a str.")
    text = repr(value)
    if "e" not in text:
        return text
    # jsonb keeps a number's scale but no exponent: 1e23 would come back as the integer 10**23, which is not equal.
    plain = format(Decimal(text), "f")
    return plain if "." in plain else plain + ".0"
