"""Tables of OpenDocument, with their merged and repeated cells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from embedpipe.files._blocks import Block, Cell, flat, table
from embedpipe.files.opendocument._styles import TABLE, whole

if TYPE_CHECKING:
    from embedpipe.files.opendocument._text import Text


def table_blocks(text: Text, element: Any) -> list[Block]:
    """Return a table, or nothing if it is empty.

    Args:
        text: Reads the cells.
        element: The table:table.
    """
    rows: list[list[Cell]] = []
    below: dict[int, int] = {}  # how many more rows a cell reaches down, by its column
    for element_of_row in _within(element, f"{TABLE}table-row"):
        row = _row(text, element_of_row, below)
        size = sum(len(cell.text) + 3 for cell in row)
        repeated = whole(element_of_row, f"{TABLE}number-rows-repeated", 1) if any(cell.text for cell in row) else 1
        rows += [row] * (1 + _allowed(text, repeated - 1, size))
    while rows and not rows[-1]:
        rows.pop()
    return [table(rows)] if rows else []


def _row(text: Text, element: Any, below: dict[int, int]) -> list[Cell]:
    """Return the cells of a row up to the last one with text."""
    row: list[Cell] = []
    empty = 0  # cells since the last one with text
    for cell in element:
        if cell.tag not in (f"{TABLE}table-cell", f"{TABLE}covered-table-cell"):
            continue
        words = flat(text.blocks(cell)) if cell.tag == f"{TABLE}table-cell" else ""
        repeated = max(1, whole(cell, f"{TABLE}number-columns-repeated", 1))
        column = len(row) + empty
        goes_on = below.pop(column, 0)
        down = min(whole(cell, f"{TABLE}number-rows-spanned", 1), 10_000) - 1
        if max(down, goes_on - 1) > 0:
            below[column] = max(down, goes_on - 1)
        if words or goes_on > 0:
            row += [Cell("")] * _allowed(text, empty, 10)
            row += [Cell(words, below=goes_on > 0)] * (1 + _allowed(text, repeated - 1, len(words) + 3))
            empty = 0
        else:
            empty += repeated
    return row


def _allowed(text: Text, repeated: int, size: int) -> int:
    """Return how often cells stand in the text, of so many times that the file repeats them."""
    allowed = min(repeated, text.repeats // max(size, 1))
    text.repeats -= allowed * size
    text.left_out["repetition of cells"] += allowed < repeated
    return allowed


def _within(element: Any, tag: str) -> Iterator[Any]:
    """Yield the rows of a table, also those in groups, but not those of tables within it."""
    for child in element:
        if child.tag == tag:
            yield child
        elif child.tag.startswith(TABLE) and not child.tag.endswith("-cell"):
            yield from _within(child, tag)
