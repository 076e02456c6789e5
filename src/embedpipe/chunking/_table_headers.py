"""The header row that the later chunks of a table are embedded and indexed with."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import NamedTuple

_SHARE = 3
"""A header row takes at most one of so many parts of a chunk. Its last columns are left out."""

_BETWEEN = " | "


class Table(NamedTuple):
    """A table's place in the text, and the cells of its header row, with " | " between them."""

    start: int
    end: int
    header: str


class TableHeaders:
    """The headers of a text's tables, each short enough for a size."""

    def __init__(self, tables: Sequence[Table], *, size: int, count: Callable[[str], int]) -> None:
        """Take a text's tables, in order.

        Args:
            tables: The tables.
            size: A chunk's size.
            count: Returns a text's length, in the unit of the size.
        """
        self._tables = tables
        self._starts = [table.start for table in tables]
        self._most = size // _SHARE
        self._count = count
        self._made: dict[int, tuple[str | None, int]] = {}

    def header(self, start: int) -> str | None:
        """Return the header for a chunk that begins there, None unless that is inside a table."""
        return self._at(start)[0]

    def reserved(self, start: int) -> int:
        """Return how much of a chunk that begins there its header takes, with the line break behind it."""
        return self._at(start)[1]

    def _at(self, start: int) -> tuple[str | None, int]:
        number = bisect_left(self._starts, start) - 1
        if number < 0 or start >= self._tables[number].end - 1:  # a cut before the last line break is behind the table
            return None, 0
        if number not in self._made:
            self._made[number] = self._short(self._tables[number].header)
        return self._made[number]

    def _short(self, header: str) -> tuple[str | None, int]:
        """Return the header without the last columns that do not fit, and its length."""
        cells = header[: self._most * 32].split(_BETWEEN)
        while cells:
            text = _BETWEEN.join(cells)
            length = self._count(text + "\n")
            if length <= self._most:
                return text, length
            cells = cells[: max(min(len(cells) - 1, len(cells) * self._most // length), 0)]
        return None, 0
