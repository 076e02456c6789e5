"""Write tables as Markdown. Merged cells keep their columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile

_MAX_SPAN = 1000
_MAX_REPEATED = 200
"""Longer texts of merged cells stand in the first place only."""


@dataclass(slots=True)
class Cell:
    """A cell. `columns` and `rows` say how many it spans."""

    text: str
    columns: int = 1
    rows: int = 1
    header: bool = False


@dataclass(slots=True)
class Row:
    """A row. `part` is "thead", "tbody" or "tfoot"."""

    cells: list[Cell] = field(default_factory=list)
    part: str = "tbody"


def grid(rows: Sequence[Row]) -> list[list[str]]:
    """Return each row's texts by column. A merged cell's text stands in each of its places.

    A cell over the whole row, such as a section's title, stands in the first column only. Columns in which no cell
    begins are left out: `colspan="100"` often means "all".
    """
    places: list[dict[int, str]] = [{} for _ in rows]
    begun: set[int] = set()
    left = 1000 + 8 * sum(len(row.cells) for row in rows)  # places for merged cells: more are an attack
    below: dict[int, tuple[str, int]] = {}  # by column, the text of a cell from above, and how many rows it goes on
    for number, row in enumerate(rows):
        going_on, below = below, {}
        for column, (text, more) in going_on.items():
            places[number][column] = text
            if more > 1:
                below[column] = (text, more - 1)
        column = 0
        for cell in row.cells:
            while column in places[number]:
                column += 1
            begun.add(column)
            columns = min(max(1, cell.columns), _MAX_SPAN, max(1, left))
            spanned = min(max(1, cell.rows), len(rows) - number, max(1, left // columns))
            left -= columns * spanned - 1
            text = cell.text if len(cell.text) <= _MAX_REPEATED else ""
            alone = len(row.cells) == 1 and columns > 1 and not going_on
            for offset in range(columns):
                places[number].setdefault(column + offset, cell.text if offset == 0 else "" if alone else text)
                if spanned > 1:
                    below[column + offset] = (text, spanned - 1)
            column += columns
    kept = sorted(begun)
    return [_texts(row, kept) for row in places]


def _texts(row: dict[int, str], columns: Sequence[int]) -> list[str]:
    last = max(row, default=-1)
    return [row.get(column, "") for column in takewhile(lambda column: column <= last, columns)]


def markdown_table(rows: Sequence[Row]) -> str:
    """Return the table with one header row: several header rows are joined, column by column.

    Without a header, the first row is it: Markdown has no tables without.
    """
    rows = sorted(rows, key=lambda row: row.part == "tfoot")
    texts = grid(rows)
    headers = sum(1 for _ in takewhile(_is_header, rows))
    if headers == len(rows):
        headers = sum(1 for _ in takewhile(_has_only_headers, rows)) % len(rows)
    headers = headers or 1
    header = _joined(texts[:headers])
    width = max(len(header), 1)
    lines = [_line([*header, *[""] * (width - len(header))]), "|" + " --- |" * width]
    return "\n".join([*lines, *(_line(row) for row in texts[headers:] if any(row))])


def _is_header(row: Row) -> bool:
    return row.part == "thead" or _has_only_headers(row)


def _has_only_headers(row: Row) -> bool:
    return bool(row.cells) and all(cell.header for cell in row.cells)


def _joined(rows: Sequence[Sequence[str]]) -> list[str]:
    columns: list[dict[str, None]] = [{} for _ in range(max(map(len, rows), default=0))]
    for row in rows:
        for column, text in zip(columns, row, strict=False):
            column[text] = None
    return [" ".join(filter(None, column)) for column in columns]


def _line(texts: Sequence[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"


def flat(rows: Sequence[Row]) -> str:
    """Return a table within a cell in one line: "a, b; c, d"."""
    return "; ".join(filter(None, (", ".join(filter(None, (cell.text for cell in row.cells))) for row in rows)))
