"""Checks of arguments that several stages and adapters share."""

from __future__ import annotations

from embedpipe.errors import EmbedPipeError, InputError


def check_count(name: str, value: object, *, least: int = 1, error: type[EmbedPipeError] = InputError) -> None:
    """Raise `error` unless the value is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise error(f"{name}={value!r:.100} is out of range. Pass a whole number, {least} or more.")
