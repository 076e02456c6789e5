"""Rows of CSV files and spreadsheets as text: a paragraph for each row, so that a chunk's cells have their names.

With a header row, a paragraph has a line "name: value" for each cell that is not empty. Without, its cells are joined
by " | ". Rows above the table that hold a single cell, such as a title, are paragraphs.

The first row of at least two cells is the header if the table has at least two columns, a row follows, at least half of
the row's cells are filled, and none of them is a number, a date or true or false. Years may head columns whose values
are no years.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from embedpipe.types import Location

_NUMBER = re.compile(r"[-+(]?\s?[$€£¥]?\s?\d[\d.,'\s]*(?:[eE][-+]?\d+)?\s?[%€$£]?\)?")
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[T ].*)?|\d{1,2}:\d{2}(?::\d{2})?")
_TRUTH = ("true", "false")
_YEAR = re.compile("(?:19|20)[0-9]{2}")
SAMPLED = 20
_MARKUP = re.compile(r"^(?=#{1,6}(?:\s|$)|```|~~~|[-=]+\s*$)", re.MULTILINE)
_BLANK = re.compile(r"\n\s*\n")


def write(
    rows: Sequence[tuple[int, Sequence[str]]],
    text: list[str],
    start: int,
    location: dict[str, Any],
    notes: Mapping[int, list[str]],
) -> tuple[list[Location], list[str]]:
    """Append the paragraphs of the rows to `text`, a blank line after each.

    Args:
        rows: Each row's number, and its cells. Rows without a cell add nothing.
        text: The pieces of the text so far.
        start: The length of the text so far.
        location: What the location of each row says beside its number, such as the sheet.
        notes: Lines that follow the row of this number. Those of rows that are not written stand at the end.

    Returns:
        A location for each row that was written, and the names of the columns, none if there is no header.
    """
    rows = [(number, _without_end(cells)) for number, cells in rows if any(cells)]
    above, names = header(rows)
    beginnings = [_MARKUP.sub(r"\\", f"{name}: ") for name in names]
    written: dict[int, str] = {}
    for place, (number, cells) in enumerate(rows):
        if names and place > above:
            written[number] = _record(beginnings, cells)
        elif not names or place < above:
            joined = " | ".join(cells)
            written[number] = _one_block(joined.lstrip(" |") if place < above else joined)
    for number, lines in notes.items():
        beside = [written[number]] if number in written else []
        written[number] = "\n".join([*beside, *map(_one_block, lines)])
    locations = []
    for number, paragraph in written.items():
        locations.append(Location(start, {**location, "row": number} if number else location))
        text.append(paragraph)
        text.append("\n\n")
        start += len(paragraph) + 2
    return locations, names


def _without_end(cells: Sequence[str]) -> Sequence[str]:
    """Return the cells without empty ones at the end."""
    end = len(cells)
    while end and not cells[end - 1]:
        end -= 1
    return cells[:end]


def _record(beginnings: list[str], cells: Sequence[str]) -> str:
    lines = [beginning + cell for beginning, cell in zip(beginnings, cells, strict=False) if cell]
    if len(cells) > len(beginnings):
        more = enumerate(cells[len(beginnings) :], len(beginnings) + 1)
        lines += [f"column {number}: {cell}" for number, cell in more if cell]
    paragraph = "\n".join(lines)
    return paragraph if paragraph.count("\n") < len(lines) else _one_block(paragraph)


def _one_block(paragraph: str) -> str:
    """Return the paragraph without blank lines, and with lines escaped that would be a heading or fence of Markdown."""
    return _MARKUP.sub(r"\\", _BLANK.sub("\n", paragraph))


def header(rows: Sequence[tuple[int, Sequence[str]]]) -> tuple[int, list[str]]:
    """Return how many rows stand above the table, and the names in its header, none if it has no header."""
    filled = [sum(map(bool, cells)) for _, cells in rows[: SAMPLED + 1]]
    above = next((place for place, count in enumerate(filled) if count > 1), 0)
    if not filled or filled[above] < 2:
        return 0, []
    names, below = _without_end(rows[above][1]), [cells for _, cells in rows[above + 1 : above + 1 + SAMPLED]]
    if not below or 2 * filled[above] < len(names):
        return above, []
    for place, name in enumerate(names):
        if not is_value(name):
            continue
        values = [cells[place] for cells in below if place < len(cells)]
        if not _YEAR.fullmatch(name) or any(_YEAR.fullmatch(value) for value in values):
            return above, []
    if all(is_value(name) for name in names if name):
        return above, []
    return above, [" ".join(name.split()) or f"column {place}" for place, name in enumerate(names, 1)]


def is_value(cell: str) -> bool:
    """Return whether a cell holds a number, a date or true or false, and so is no name of a column."""
    return len(cell) < 40 and bool(_NUMBER.fullmatch(cell) or _DATE.fullmatch(cell) or cell.lower() in _TRUTH)
