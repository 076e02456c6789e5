"""A flow of paragraphs and tables in RTF: the body, a header, a note or a text box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from embedpipe.files._blocks import Block, Cell, Span, flat, inline, table

_COLUMNS = 63
"""The most columns that a table has in Word."""

_NEAR = 40
"""Edges of cells that are nearer than this, in twentieths of a point, are the same."""


@dataclass(slots=True)
class Paragraph:
    """What is known of the present paragraph: its level as a heading, its label and depth in a list, its table."""

    heading: int | None = None
    style: int | None = None
    label: str | None = None
    depth: int = 0
    listed: bool = False
    in_table: bool = False


@dataclass(slots=True)
class _Merge:
    edge: int
    below: bool
    beside: bool


@dataclass(slots=True)
class Flow:
    """Collects paragraphs and tables.

    Args:
        kind: Its destination, such as "body" or "footnote".
    """

    kind: str
    mark: str = ""
    spans: list[Span] = field(default_factory=list)
    boxes: list[Block] = field(default_factory=list)
    """Text boxes in the present paragraph. They follow it."""
    _blocks: list[Block] = field(default_factory=list)
    _cell: list[Block] = field(default_factory=list)
    _row: list[str] = field(default_factory=list)
    _rows: list[tuple[list[str], list[_Merge]]] = field(default_factory=list)
    _layout: list[_Merge] = field(default_factory=list)
    below: bool = False
    beside: bool = False

    def end_paragraph(self, paragraph: Paragraph, heading: int) -> None:
        """Add the present paragraph. `heading` is its level as a heading, 0 for none."""
        text = inline(self.spans, plain=heading > 0).strip()
        label = (paragraph.label or "").strip()
        if paragraph.listed and not label:
            label = "-"
        if label and (label == "o" or not any(map(str.isalnum, label))):  # Courier New has bullets like an o
            label = "-"
        block = Block(text, label=label, depth=paragraph.depth)
        if heading:
            block = Block(f"{label} {text}" if label not in ("", "-") and text else text, heading=heading)
        self.spans = []
        if not paragraph.in_table:
            self._end_table()
        (self._cell if paragraph.in_table else self._blocks).extend([block, *self.boxes])
        self.boxes = []

    def begin_row(self) -> None:
        """Begin to define the cells of a row."""
        self._layout = []
        self.below = self.beside = False

    def define_cell(self, edge: int) -> None:
        """Define a cell by its right edge."""
        self._layout.append(_Merge(edge, self.below, self.beside))
        self.below = self.beside = False

    def end_cell(self) -> None:
        """End a cell. Its last paragraph ends before."""
        self._row.append(flat(self._cell).replace(", ;", ";"))
        self._cell = []

    def end_row(self) -> None:
        """End a row."""
        if self._row:
            self._rows.append((self._row, self._layout))
        self._row = []

    def _end_table(self) -> None:
        if self._cell or self._row:  # what is not finished
            self.end_cell()
            self.end_row()
        if not self._rows:
            return
        layouts = {id(layout): layout for _, layout in self._rows}  # rows may share one
        edges = _distinct([merge.edge for layout in layouts.values() for merge in layout])
        rows = [_cells(texts, layout, edges) for texts, layout in self._rows]
        self._rows = []
        block = table(rows)
        self._blocks += [block] if block.rows else []

    def end(self) -> list[Block]:
        """Return all blocks."""
        self._end_table()
        self._blocks += self.boxes
        return self._blocks


@dataclass(slots=True)
class State:
    """What holds within a group, until it ends."""

    flow: Flow
    destination: str = ""  # the nearest one that says where text goes; "skipped" for nowhere
    captured: list[str] | None = None
    bold: bool = False
    italic: bool = False
    struck: bool = False
    hidden: bool = False
    deleted: bool = False
    script: int = 0
    font: int | None = None
    fallback: int = 1  # characters after \u for programs without Unicode


def _distinct(edges: Sequence[int]) -> list[int]:
    found: list[int] = []
    for edge in sorted(set(edges)):
        if not found or edge - found[-1] > _NEAR:
            found.append(edge)
    return found if len(found) <= _COLUMNS else []


def _cells(texts: Sequence[str], layout: Sequence[_Merge], edges: Sequence[int]) -> list[Cell]:
    """Return the cells of a row. A cell reaches over as many columns as edges of any row lie within it."""
    cells: list[Cell] = []
    column = 0
    for place, text in enumerate(texts):
        merge = layout[place] if place < len(layout) else _Merge(0, below=False, beside=False)
        end = column
        while end < len(edges) and edges[end] <= merge.edge:
            end += 1
        cells.append(Cell(text, max(end - column, 1), merge.below, merge.beside))
        column = max(end, column + 1)
    return cells
