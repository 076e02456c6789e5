"""Tables of OpenDocument, with their merged and repeated cells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from embedpipe.files._blocks import Block, BlockReader, Cell, flat, table
from embedpipe.files.opendocument._styles import TABLE, whole

_COLUMNS = 63
"""The most columns that a cell reaches over, or is repeated in. That bounds the text of a small file."""


def table_blocks(text: BlockReader, element: Any) -> list[Block]:
    """Return a table, or nothing if it is empty.

    Args:
        text: Reads the cells.
        element: The table:table.
    """
    rows: list[list[Cell]] = []
    below: dict[int, int] = {}  # how many more rows a cell reaches down, by its column
    for row in _within(element, f"{TABLE}table-row"):
        cells: list[Cell] = []
        for cell in row:
            if cell.tag in (f"{TABLE}table-cell", f"{TABLE}covered-table-cell"):
                cells += _cells(text, cell, len(cells), below)
        rows.append(cells)
        if whole(row, f"{TABLE}number-rows-repeated", 1) > 1 and any(cell.text for cell in cells):
            text.left_out["repetition of a row"] += 1
    return [table(rows)] if any(cell.text for cells in rows for cell in cells) else []


def _cells(text: BlockReader, element: Any, column: int, below: dict[int, int]) -> list[Cell]:
    """Return a cell as often as it is repeated. It is the next one in this column."""
    covered = element.tag == f"{TABLE}covered-table-cell"
    words = "" if covered else flat(text.blocks(element))
    down = min(whole(element, f"{TABLE}number-rows-spanned", 1), 10_000) - 1
    for beside in range(min(whole(element, f"{TABLE}number-columns-spanned", 1), _COLUMNS) if down > 0 else 0):
        below[column + beside] = down + 1
    cells = []
    for place in range(column, column + min(max(whole(element, f"{TABLE}number-columns-repeated", 1), 1), _COLUMNS)):
        goes_on = covered and below.get(place, 0) > 0
        cells.append(Cell(words, below=goes_on and place in below, beside=covered and not goes_on))
        below[place] = below.get(place, 0) - 1
    return cells


def _within(element: Any, tag: str) -> Iterator[Any]:
    """Yield the rows of a table, also those in groups, but not those of tables within it."""
    for child in element:
        if child.tag == tag:
            yield child
        elif child.tag.startswith(TABLE) and not child.tag.endswith("-cell"):
            yield from _within(child, tag)
