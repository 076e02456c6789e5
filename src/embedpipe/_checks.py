"""Checks of arguments and settings. Each returns the value as the package keeps it, or raises an error that says what
to pass.

A numpy number is taken as Python's. A bool is no number, and neither is a str or a Decimal.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from decimal import Decimal
from functools import cache
from math import inf, isfinite
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from embedpipe.errors import ConfigurationError, EmbedPipeError, InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

T = TypeVar("T", bound=str)
C = TypeVar("C")
F = TypeVar("F")

MOST_COUNT = 2**31 - 1
"""The most that a number of things can be where nothing else is said: PostgreSQL's integer."""

MOST_SECONDS = 2_000_000.0
"""The longest time limit, 23 days: PostgreSQL counts milliseconds in 31 bits, and so do some clocks."""


def shown(value: object) -> str:
    """Return a value as a message shows it: its repr, shortened."""
    try:
        return repr(value)[:100]
    except Exception:  # noqa: BLE001 - of any class; Python's own int does it too, past 4,300 digits
        return f"<{type(value).__name__}>"


def checked_count(
    name: str, value: object, *, least: int = 1, most: int = MOST_COUNT, error: type[EmbedPipeError] = InputError
) -> int:
    """Return a whole number from `least` to `most` as an int."""
    if type(value) is int or (isinstance(value, Integral) and not isinstance(value, bool)):
        number = int(value)
        if least <= number <= most:
            return number
    raise error(f"{name}={shown(value)} is out of range. Pass {_whole(least, most)}.")


def checked_number(
    name: str,
    value: object,
    *,
    least: float = -inf,
    most: float = inf,
    above: float = -inf,
    error: type[EmbedPipeError] = InputError,
) -> float:
    """Return a finite number from `least`, or over `above`, to `most` as a float."""
    if isinstance(value, Real) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = inf
        if isfinite(number) and least <= number <= most and number > above:
            return number
    raise error(f"{name}={shown(value)} is out of range. Pass {_number(least, most, above)}.")


def checked_flag(name: str, value: object, *, error: type[EmbedPipeError] = InputError) -> bool:
    """Return a bool. A word such as "false" is none: it would count as True."""
    if isinstance(value, bool):
        return value
    import numpy as np  # not at the top: it is slow to import, and rarely needed here

    if isinstance(value, np.bool_):
        return bool(value)
    raise error(f"{name}={shown(value)} is not a bool. Pass True or False.")


def checked_function(name: str, value: F, *, error: type[EmbedPipeError] = InputError) -> F:
    """Return a function, or None."""
    if value is not None and not callable(value):
        raise error(f"{name}={shown(value)} is no function. Pass a function, or leave it out.")
    return value


def checked_kind(name: str, value: object, cls: type[C], *, error: type[EmbedPipeError] = InputError) -> C:
    """Return an object of the class."""
    if not isinstance(value, cls):
        raise error(f"{name} is a {type(value).__name__}. Pass a {cls.__name__}.")
    return value


def checked_items(name: str, values: object, cls: type[C], *, error: type[EmbedPipeError] = InputError) -> list[C]:
    """Return objects of the class as a list."""
    if not isinstance(values, Iterable):
        raise error(f"{name}={shown(values)} is no list. Pass a list of {cls.__name__}.")
    return [checked_kind(f"{name}[{place}]", value, cls, error=error) for place, value in enumerate(values)]


def checked_choice(name: str, value: object, choices: Sequence[T], *, error: type[EmbedPipeError] = InputError) -> T:
    """Return the one of the choices that the value equals."""
    if isinstance(value, str):
        for choice in choices:
            if value == choice:
                return choice
    raise error(f"{name}={shown(value)} is not known. Pass {_one_of(choices)}.")


def checked_text(name: str, value: object, *, error: type[EmbedPipeError] = InputError) -> str:
    """Return a str that can be sent, stored and written to files: without NUL characters and lone surrogates."""
    if not isinstance(value, str):
        raise error(f"{name} is a {type(value).__name__}. Pass a str.")
    fault = None if value.isascii() and "\x00" not in value else text_fault(value)
    if fault is not None:
        raise error(f"{name}={shown(value)} {fault}")
    return value if type(value) is str else str.__str__(value)


def text_fault(text: str) -> str | None:
    """Return the reason why PostgreSQL and others cannot take a text, and the remedy. None if they can."""
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


def checked_path(name: str, value: object, *, error: type[EmbedPipeError] = InputError) -> Path:
    """Return a path that the system can look for, whether it is there or not."""
    try:
        path = Path(value)  # type: ignore[arg-type]  # a TypeError for others
        if b"\x00" in os.fsencode(path):
            raise ValueError("a NUL character")  # noqa: TRY301 - one message for all
        path.exists()
    except (TypeError, ValueError, OSError) as fault:  # too long, a NUL character, a lone surrogate
        raise error(f"{name}={shown(value)} is no path ({fault!s:.100}). Pass a str or a Path.") from fault
    return path


def checked_texts(name: str, value: object, *, error: type[EmbedPipeError] = InputError) -> tuple[str, ...]:
    """Return the strings of a list or another iterable. One str is none: it would count as a list of its letters."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise error(f"{name}={shown(value)} is no list of strings. Pass a list.")
    return tuple(checked_text(f"{name}[{place}]", each, error=error) for place, each in enumerate(value))


def checked_array(name: str, value: object, *, error: type[EmbedPipeError] = InputError) -> npt.NDArray[np.float32]:
    """Return real numbers in lists of equal length, or in an array, as contiguous float32.

    numpy would also read "0.5" as a number, and drop the imaginary part of another. NaN, infinities and the shape are
    left to the caller. What float32 cannot hold becomes infinite.
    """
    import numpy as np  # not at the top: it is slow to import

    try:
        array = np.asarray(value)
        if array.dtype.kind not in "fiuO" or (array.dtype.kind == "O" and not _all_real(array)):
            raise TypeError(f"they hold {array.dtype}")  # noqa: TRY301 - one message for all
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(array, dtype=np.float32)
    except (TypeError, ValueError, OverflowError, RuntimeError) as fault:
        raise error(
            f"{name} is no array of numbers ({shown(fault)}). Pass numbers in lists of equal length."
        ) from fault


def _all_real(array: npt.NDArray[Any]) -> bool:
    return all(isinstance(each, Real | Decimal) or each is None for each in array.flat)  # None becomes NaN


class Bounds(NamedTuple):
    """The range of a field: from `least`, or over `above`, to `most`."""

    least: float = -inf
    most: float = inf
    above: float = -inf


_COUNT = Bounds(1, MOST_COUNT)


def check_fields(
    settings: Any, bounds: Mapping[str, Bounds] | None = None, *, error: type[EmbedPipeError] = ConfigurationError
) -> None:
    """Check each field of a dataclass by its annotation, and keep it as a plain Python value.

    A whole number is from 1 to `MOST_COUNT`, and any other finite, unless `bounds` say otherwise. An annotation that
    allows more than numbers, bools, strings, choices, lists of strings and classes is left to the dataclass.
    """
    ranges = bounds or {}
    for name, kind in _kinds(type(settings)).items():  # type: ignore[arg-type]  # mypy takes no type[Any] for hashable
        value = getattr(settings, name)
        kept = _checked(name, value, kind, ranges.get(name), error)
        if kept is not value:
            object.__setattr__(settings, name, kept)


class _Kind(NamedTuple):
    """The types that a field's annotation allows. `open`: also one that cannot be told by `isinstance`."""

    plain: frozenset[type]
    choices: tuple[str, ...]
    texts: bool
    classes: tuple[type, ...]
    open: bool
    none: bool


@cache
def _kinds(cls: type) -> dict[str, _Kind]:
    hints = get_type_hints(cls)
    return {field.name: _kind(hints[field.name]) for field in fields(cls) if field.init}


def _kind(annotation: Any) -> _Kind:
    parts = set(get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,))
    plain = parts & {int, float, bool, str}
    literals = {part for part in parts if get_origin(part) is Literal}
    texts = {part for part in parts if get_args(part) in ((str,), (str, ...))}
    others = parts - plain - literals - texts - {NoneType}
    classes = {part for part in others if isinstance(part, type) and get_origin(part) is None and _tells(part)}
    choices = tuple(choice for part in literals for choice in get_args(part))
    return _Kind(frozenset(plain), choices, bool(texts), tuple(classes), open=others != classes, none=NoneType in parts)


def _tells(cls: type) -> bool:
    """Return whether `isinstance` takes the class: a protocol may forbid it."""
    return not getattr(cls, "_is_protocol", False) or getattr(cls, "_is_runtime_protocol", False)


def _checked(name: str, value: object, kind: _Kind, bounds: Bounds | None, error: type[EmbedPipeError]) -> object:
    """Return a field's value once it is of the kind. Where several fit, its own type decides which is checked."""
    plain, text = kind.plain, isinstance(value, str)
    if kind.open or (value is None and kind.none) or isinstance(value, kind.classes):
        return value
    if kind.choices and (text or not plain):
        return checked_choice(name, value, kind.choices, error=error)
    if str in plain and (text or len(plain) == 1):
        return checked_text(name, value, error=error)
    if bool in plain:
        return checked_flag(name, value, error=error)
    if int in plain:
        least, most, _ = bounds or _COUNT
        return checked_count(name, value, least=int(least), most=int(most), error=error)
    if float in plain:
        least, most, above = bounds or Bounds()
        return checked_number(name, value, least=least, most=most, above=above, error=error)
    if kind.texts:
        return checked_texts(name, value, error=error)
    wanted = " or ".join(sorted(each.__name__ for each in kind.classes))
    raise error(f"{name} is a {type(value).__name__}. Pass a {wanted}.")


def _whole(least: int, most: int) -> str:
    return f"a whole number from {least} to {most}" if most < MOST_COUNT else f"a whole number, {least} or more"


def _number(least: float, most: float, above: float) -> str:
    lowest = f"over {above:g}" if above > -inf else "" if least == -inf else f"{least:g} or more"
    if least > -inf and most < inf:
        return f"a number from {least:g} to {most:g}"
    highest = "" if most == inf else f"up to {most:g}"
    return (
        "a finite number" if not lowest and not highest else f"a number {' and '.join(filter(None, (lowest, highest)))}"
    )


def _one_of(choices: Sequence[str]) -> str:
    *others, last = map(repr, choices)
    return f"{', '.join(others)} or {last}" if others else last
