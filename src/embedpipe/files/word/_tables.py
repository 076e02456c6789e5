"""Tables of Word, with their merged cells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from embedpipe.files._blocks import Block, BlockReader, Cell, flat, table
from embedpipe.files.word._numbering import W, number

_COLUMNS = 63
"""The most columns that a table has in Word. No cell reaches over more."""


def table_blocks(text: BlockReader, element: Any) -> list[Block]:
    """Return a table, or what is in its only cell, which is a frame around text.

    Args:
        text: Reads the cells.
        element: The w:tbl.
    """
    rows: list[list[Cell]] = []
    blocks: list[Block] = []
    for row in _within(element, f"{W}tr"):
        properties = row.find(f"{W}trPr")
        if properties is not None and properties.find(f"{W}del") is not None:
            continue
        before = 0 if properties is None else number(properties.find(f"{W}gridBefore"), 0)
        cells = [Cell("", min(before, _COLUMNS))] if before > 0 else []
        for cell in _within(row, f"{W}tc"):
            blocks = _read(text, cell, cells)
        rows.append(cells)
    if len(rows) == 1 and len(rows[0]) == 1:
        return blocks
    return [table(rows)] if any(cell.text for cells in rows for cell in cells) else []


def _read(text: BlockReader, element: Any, row: list[Cell]) -> list[Block]:
    """Add a cell to its row, and return its blocks."""
    span, below, beside = 1, False, False
    properties = element.find(f"{W}tcPr")
    if properties is not None:
        if properties.find(f"{W}cellDel") is not None:
            return []
        span = min(max(number(properties.find(f"{W}gridSpan"), 1), 1), _COLUMNS)
        below, beside = (_goes_on(properties.find(W + name)) for name in ("vMerge", "hMerge"))
    if beside and row:
        row[-1] = row[-1]._replace(columns=row[-1].columns + span)
        return []
    blocks = text.blocks(element)
    row.append(Cell(flat(blocks), span, below))
    return blocks


def _goes_on(merged: Any) -> bool:
    """Return whether a cell goes on with the cell above it or before it."""
    return merged is not None and merged.get(f"{W}val", "continue") == "continue"


def _within(element: Any, tag: str) -> Iterator[Any]:
    """Yield the rows of a table or the cells of a row, also those within controls."""
    for child in element:
        if child.tag == tag:
            yield child
        elif child.tag in (f"{W}sdt", f"{W}sdtContent", f"{W}customXml", f"{W}ins", f"{W}moveTo"):
            yield from _within(child, tag)
