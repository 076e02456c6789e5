"""Tables of a sheet. A person sees where one ends and another begins: by empty columns, empty rows and headers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from embedpipe.files import _rows

Rows: TypeAlias = "list[tuple[int, Sequence[str]]]"


def tables(rows: Rows) -> list[Rows]:
    """Cut the rows of a sheet into its tables.

    Tables side by side have empty columns between them, and each has its header and at least two columns. Otherwise, an
    empty column is space within one table, as in balance sheets. A table ends at an empty row that a header follows:
    one with other columns than the table above, or one of words above numbers.
    """
    beside = [[(number, cells[start:end]) for number, cells in rows] for start, end in _columns(rows)]
    filled = [[row for row in table if any(row[1])] for table in beside]
    if len(filled) < 2 or not all(len(_rows.header(table)[1]) > 1 for table in filled):
        filled = [rows]
    return [part for table in filled for part in _below_each_other(table)]


def _columns(rows: Rows) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each span of columns that are not empty."""
    used: set[int] = set()
    for _, cells in rows:
        used.update(column for column, cell in enumerate(cells) if cell)
    start = None
    for column in range(max(used, default=-1) + 2):
        if column in used and start is None:
            start = column
        elif column not in used and start is not None:
            yield start, column
            start = None


def _below_each_other(rows: Rows) -> Iterator[Rows]:
    start = 0
    for place in range(1, len(rows)):
        if rows[place][0] > rows[place - 1][0] + 1 and _begins(rows, place, start):
            yield rows[start:place]
            start = place
    yield rows[start:]


def _begins(rows: Rows, place: int, start: int) -> bool:
    """Return whether the row at `place` is the header of another table than that which begins at `start`."""
    sample = rows[place : place + _rows.SAMPLED]
    above, names = _rows.header(sample)
    present = _rows.header(rows[start : min(place, start + _rows.SAMPLED)])
    if not names or not present[1]:
        return bool(names)
    header, below = sample[above][1], sample[above + 1][1]
    former = rows[start + present[0]][1]
    if [bool(cell) for cell in header] != [bool(cell) for cell in former]:
        return True
    return any(_rows.is_value(cell) and not _rows.is_value(name) for name, cell in zip(header, below, strict=False))
