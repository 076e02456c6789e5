"""Shared by every chunker: checks of settings and input, and the step from spans to chunks."""

from __future__ import annotations

from collections.abc import Iterable

from embedpipe.errors import ConfigurationError, InputError
from embedpipe.types import Chunk

Span = tuple[int, int]
"""(start, end) in code points of the text."""


def check_count(name: str, value: object, *, least: int) -> None:
    """Raise `ConfigurationError` unless the value is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(f"{name} must be a whole number of at least {least}; got {value!r}.")


def check_text(text: object) -> None:
    """Raise `InputError` unless the text is a str."""
    if not isinstance(text, str):
        raise InputError(f"The text to chunk must be a str; got {type(text).__name__}. Decode or convert it first.")


def make_chunks(text: str, spans: Iterable[Span]) -> list[Chunk]:
    """Make a chunk of each span, without the space around it. A span of only space makes none."""
    new, chunk = tuple.__new__, Chunk
    made: list[Chunk] = []
    for start, end in spans:
        body = text[start:end].lstrip()
        start = end - len(body)
        body = body.rstrip()
        if body:
            # The same as Chunk(...), at a third of its cost.
            made.append(new(chunk, (body, start, start + len(body), len(made), {}, None, None, None, None)))
    return made
