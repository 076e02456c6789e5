"""Measure how far a chunk may reach: in code points, or in tokens of a text that is encoded once."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Literal, Protocol, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from embedpipe._checks import checked_choice
from embedpipe.chunking._spans import check_setting
from embedpipe.chunking._table_headers import Table, TableHeaders
from embedpipe.errors import ConfigurationError
from embedpipe.text import TokenCounter, Tokenizer, token_counter

_NOT_SPACE = re.compile(r"\S")
_BLOCK = 1 << 16

Unit: TypeAlias = Literal["characters", "tokens"]
Size: TypeAlias = int | Literal["model"]
"""A number, or "model". `for_model` replaces "model" by the embedding model's limit."""


class Measure(Protocol):
    """Tells how far a chunk may reach. The space around a chunk's text does not count."""

    def reach(self, start: int, stop: int) -> int:
        """Return the furthest end of a chunk that begins at `start`, at least `start`; `stop` or more if all fits."""
        ...

    def fits(self, start: int, end: int) -> bool:
        """Return whether `text[start:end]` is within the size, for ends up to `reach`."""
        ...

    def back(self, end: int) -> int:
        """Return where the overlap begins that a chunk behind `end` may take, `end` itself for none."""
        ...


class CharacterMeasure:
    """Measures in code points."""

    def __init__(self, size: int, overlap: int, headers: TableHeaders | None = None) -> None:
        self._size = size
        self._overlap = overlap
        self._headers = headers

    def reach(self, start: int, stop: int) -> int:
        return start + self._size - (self._headers.reserved(start) if self._headers else 0)

    def fits(self, start: int, end: int) -> bool:
        return True

    def back(self, end: int) -> int:
        return end - self._overlap


class TokenMeasure:
    """Measures in tokens of a chunk's own text, exactly.

    The text is encoded once. A chunk may begin or end inside a stretch that the encoder treats as one. There it has
    other tokens than the whole text. So that stretch alone is encoded again.
    """

    def __init__(
        self, text: str, counter: TokenCounter, *, size: int, overlap: int, headers: TableHeaders | None = None
    ) -> None:
        self._text = text
        self._headers = headers
        self._counter = counter
        self._size = size
        self._overlap = overlap
        self._ends = memoryview(token_ends(text, counter).data)  # bisect on an array makes numpy scalars
        self._reached = (-1, 0)  # the open chunk's start, and its furthest end
        self._opened = (-1, 0, 0)

    def reach(self, start: int, stop: int) -> int:
        if self._reached[0] != start:
            self._reached = (start, self._furthest(start))
        limit = self._reached[1]
        if limit >= stop:
            return stop if self.fits(start, stop) else stop - 1
        return limit

    def fits(self, start: int, end: int) -> bool:
        size = self._room(start)
        match = _NOT_SPACE.search(self._text, start, end)
        if match is None:
            return True
        start = match.start()
        return self._count(start, start + len(self._text[start:end].rstrip())) <= size

    def back(self, end: int) -> int:
        begun = self._before(end) - self._overlap
        return self._ends[begun - 1] if begun > 0 else 0

    def _room(self, start: int) -> int:
        return self._size - (self._headers.reserved(start) if self._headers else 0)

    def _before(self, position: int) -> int:
        """Return how many tokens of the text end at or before the position."""
        return bisect_right(self._ends, position)

    def _position(self, token: int) -> int:
        """Return the end of that many tokens, before a code point that only begins there."""
        if token >= len(self._ends):
            return len(self._text)
        end = self._ends[token - 1] if token else 0
        return end - 1 if token and end == self._ends[token] else end

    def _furthest(self, start: int) -> int:
        size = self._room(start)
        match = _NOT_SPACE.search(self._text, start)
        if match is None:
            return len(self._text)
        start = match.start()
        limit = self._position(self._before(start) + size)
        if head := self._head(start, limit):
            restart, tokens = head
            limit = self._position(self._before(restart) + size - tokens)
        match = _NOT_SPACE.search(self._text, max(limit, start))  # space at the end is not counted
        return match.start() if match else len(self._text)

    def _head(self, start: int, end: int) -> tuple[int, int] | None:
        """Return the first place in (start, end) where the encoder starts afresh, and how many tokens lie before it."""
        opened, restart, tokens = self._opened
        if opened != start or restart >= end:
            match = self._counter.restarts.search(self._text, start + 1, end) if self._counter.restarts else None
            if match is None:
                return None
            restart = match.start()
            tokens = self._counter.count(self._text[start:restart])
            self._opened = (start, restart, tokens)
        return restart, tokens

    def _last_restart(self, first: int, end: int) -> int:
        """Return the last such place up to `end`. `first` is one."""
        restarts, window = self._counter.restarts, 16
        if restarts is None or restarts.match(self._text, end):
            return end
        while end - window > first:
            places = [match.start() for match in restarts.finditer(self._text, end - window, end)]
            if places:
                return places[-1]
            window *= 4
        return first

    def _count(self, start: int, end: int) -> int:
        head = self._head(start, end)
        if head is None:
            return self._counter.count(self._text[start:end])
        first, tokens = head
        last = self._last_restart(first, end)
        tail = self._counter.count(self._text[last:end]) if last < end else 0
        return tokens + self._before(last) - self._before(first) + tail


def check_unit(unit: object, tokenizer: Tokenizer) -> None:
    """Raise `ConfigurationError` for an unknown unit or tokenizer."""
    checked_choice("unit", unit, get_args(Unit), error=ConfigurationError)
    if unit == "tokens":
        token_counter(tokenizer)


def check_size(chunk_size: Size, chunk_overlap: int = 0) -> None:
    """Raise `ConfigurationError` unless 1 <= chunk_size and 0 <= chunk_overlap < chunk_size."""
    check_setting("chunk_overlap", chunk_overlap, least=0)
    if chunk_size == "model":
        return
    check_setting("chunk_size", chunk_size, least=1)
    if chunk_overlap >= chunk_size:
        raise ConfigurationError(
            f"chunk_overlap={chunk_overlap} is not less than chunk_size={chunk_size}. Lower the overlap."
        )


def measure_or_none(text: str, *, unit: Unit, tokenizer: Tokenizer, size: Size | None) -> Measure | None:
    """Return the measure of a size without overlap over the text, None for no size."""
    return None if size is None else measure_of(text, unit=unit, tokenizer=tokenizer, size=size, overlap=0)


def table_headers(tables: Sequence[Table], *, unit: Unit, tokenizer: Tokenizer, size: Size) -> TableHeaders | None:
    """Return the header rows for later chunks of the tables, None if there are no tables."""
    if not tables or isinstance(size, str):
        return None
    return TableHeaders(tables, size=size, count=len if unit == "characters" else token_counter(tokenizer).count)


def measure_of(
    text: str, *, unit: Unit, tokenizer: Tokenizer, size: Size, overlap: int, headers: TableHeaders | None = None
) -> Measure:
    """Return the measure of a size over the text, less the headers of tables.

    Raises:
        ConfigurationError: If the size is still "model".
    """
    if isinstance(size, str):
        raise ConfigurationError(
            'chunk_size="model" needs a model. Call for_model(chunker, model) first, or give the chunker to a '
            "SemanticSearchService, which does that."
        )
    if unit == "characters":
        return CharacterMeasure(size, overlap, headers)
    return TokenMeasure(text, token_counter(tokenizer), size=size, overlap=overlap, headers=headers)


def token_ends(text: str, counter: TokenCounter) -> npt.NDArray[np.int32]:
    """Return (tokens,) int32, ascending: the code point at which each token of the text ends."""
    parts = [(counter.ends(text[start:end]) + start).astype(np.int32) for start, end in _blocks(text, counter)]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int32)


def _blocks(text: str, counter: TokenCounter) -> Iterator[tuple[int, int]]:
    """Yield stretches of bounded length, cut where the encoder starts afresh if there is such a place."""
    start = 0
    while start < len(text):
        end = start + _BLOCK
        match = counter.restarts.search(text, end, end + _BLOCK) if counter.restarts else None
        end = match.start() if match else min(end, len(text))
        yield start, end
        start = end
