"""JSON that PostgreSQL's jsonb gives back equal, or an error that names the key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from math import isfinite
from typing import Any

from embedpipe._checks import shown
from embedpipe.errors import InputError

_quote = json.encoder.encode_basestring
_MAX_DIGITS = 4000  # Python reads integers of up to 4,300 digits back
_BITS_PER_DIGIT = 3.322


def dumps(value: Mapping[str, Any] | None, *, what: str) -> str | None:
    """Return a dict as JSON text that jsonb gives back equal to it. None stays None.

    Args:
        value: Of str, int, float, bool, None, list and dict, with keys that are str.
        what: How a message names the dict.

    Raises:
        InputError: For anything that would come back different: other types, NaN and infinities, NUL characters and
            lone surrogates. The message names the key.
    """
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise InputError(f"{what} is a {type(value).__name__}. Pass a dict.")
    return dumps_value(value, what=what)


def dumps_value(value: Any, *, what: str) -> str:
    """Return any JSON value as text, by the rules of `dumps`."""
    try:
        return _encode(value)
    except _UnstorableError as fault:
        raise InputError(f"{what}: {fault.message()}") from None
    except RecursionError:
        key = next(iter(value), "")
        raise InputError(f"{what}: a value is nested too deeply to be stored, perhaps under {shown(key)}.") from None


class _UnstorableError(Exception):
    """Part of a value that cannot be stored, and the reason. Each level that passes it on adds its key or position.

    The path is put together on the way out, since only an error needs it. To keep it ready for every value would take
    time by the number of values times the length of their keys.
    """

    def __init__(self, subject: str, fault: str) -> None:
        super().__init__(subject, fault)
        self.subject, self.fault = subject, fault
        self.places: list[str] = []

    def message(self) -> str:
        path = "".join(reversed(self.places)).removeprefix(".")[:200] or "the top"
        legible = path.encode(errors="backslashreplace").decode()
        return f"{self.subject} under {legible} {self.fault}"


def storable_text(text: str, what: str) -> str:
    """Return a text unchanged if PostgreSQL can store it.

    Raises:
        InputError: If it is no str, or has a NUL character or a lone surrogate. The message begins with `what`.
    """
    if not isinstance(text, str):
        raise InputError(f"{what} is a {type(text).__name__}. Pass a str.")
    fault = None if text.isascii() and "\x00" not in text else _text_fault(text)
    if fault is not None:
        raise InputError(f"{what}: {fault}")
    return text


def _text_fault(text: str) -> str | None:
    if "\x00" in text:
        return f"has a NUL character at position {text.index(chr(0))}, which PostgreSQL cannot store. Remove it."
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return (
            f"has a lone surrogate at position {error.start}, which is half a character and cannot be stored. "
            "Remove or replace it."
        )
    return None


def _encode(value: Any) -> str:
    kind = type(value)
    if kind is str:
        return _string(value)
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if kind is int:
        return _integer(value)
    if kind is float:
        return _float(value)
    if kind is list:
        return _list(value)
    if isinstance(value, dict):
        return _object(value)
    raise _UnstorableError(
        "the value",
        f"is a {kind.__name__}, which JSON does not give back equal. "
        "Convert it to a str, int, float, bool, None, list or dict.",
    )


def _list(value: list[Any]) -> str:
    parts: list[str] = []
    try:
        for item in value:
            parts.append(_encode(item))  # noqa: PERF401 - how many there are tells where an error was
    except _UnstorableError as fault:
        fault.places.append(f"[{len(parts)}]")
        raise
    return "[" + ", ".join(parts) + "]"


def _object(value: Mapping[str, Any]) -> str:
    parts = []
    for key, item in value.items():
        if type(key) is not str:
            raise _UnstorableError(f"the key {shown(key)}", f"is a {type(key).__name__}. Keys must be str.")
        try:
            parts.append(f"{_string(key)}: {_encode(item)}")
        except _UnstorableError as fault:
            fault.places.append(f".{key}")
            raise
    return "{" + ", ".join(parts) + "}"


def _string(value: str) -> str:
    fault = None if value.isascii() and "\x00" not in value else _text_fault(value)
    if fault is not None:
        raise _UnstorableError("the text", fault)
    return _quote(value)


def _integer(value: int) -> str:
    if value.bit_length() > _MAX_DIGITS * _BITS_PER_DIGIT:
        raise _UnstorableError("the integer", f"has more than {_MAX_DIGITS} digits. Store it as a str.")
    return str(value)


def _float(value: float) -> str:
    if not isfinite(value):
        raise _UnstorableError("the value", f"is {value}, which JSON cannot hold. Use None or a str.")
    text = repr(value)
    if "e" not in text:
        return text
    # jsonb keeps a number's scale but no exponent: 1e23 would come back as the integer 10**23, which is not equal.
    plain = format(Decimal(text), "f")
    return plain if "." in plain else plain + ".0"
