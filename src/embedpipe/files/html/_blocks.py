"""Write paragraphs, headings, code and tables under each other, indented by the lists and quotations around them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from embedpipe.files.html._tables import Cell, Row, flat, markdown_table

MAX_LEVELS = 12
"""Deeper lists and quotations are indented like this one: each level lengthens every line within it."""

_MAX_NESTED_TABLES = 3
_FENCE = re.compile("`{3,}")
_MEANT_AS_TEXT = re.compile(
    r"^(?=#{1,6}(?:\s|$)|(?:`{3,}[^`\n]*|~{3,}.*|=+|-+)$|<(?:!|\?|/?(?:pre|script|style|textarea|div|p|table)\b))",
    re.IGNORECASE | re.MULTILINE,
)
"""What begins a line of plain words, and would be a heading, a fence or HTML in Markdown."""


@dataclass(slots=True, eq=False)
class Box:
    """A list item, term, definition or quotation. Its first line begins with the marker, others are indented."""

    outer: Box | None
    marker: str
    indent: str
    owner: object = None  # the list that it belongs to
    level: int = 1
    fresh: bool = True


@dataclass(slots=True)
class Block:
    """A part of the page with lines of its own. `words` is its text where it stands in a table's cell."""

    kind: str
    text: str
    box: Box | None
    words: str


@dataclass(slots=True, eq=False)
class OpenCell:
    """A cell that is being read."""

    columns: int
    rows: int
    header: bool
    blocks: list[Block] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class OpenTable:
    """A table that is being read, and what was being written around it."""

    outside: list[Block]
    box: Box | None
    layout: bool
    stray: list[Block] = field(default_factory=list)  # what stands before the first cell: XML has such tables
    rows: list[tuple[str, list[OpenCell]]] = field(default_factory=list)
    caption: str = ""
    part: str = "tbody"


def paragraphs(text: str, box: Box | None) -> list[Block]:
    """Return the paragraphs of a text whose lines end with "\\n". An empty line divides paragraphs."""
    if "\n" not in text:
        text = text.strip()
        written = f"\\{text}" if _MEANT_AS_TEXT.match(text) else text
        return [Block("paragraph", written, box, text)] if text else []
    found = (part.strip() for part in re.split(r" ?\n ?\n[ \n]*", text))
    return [
        Block("paragraph", _MEANT_AS_TEXT.sub(r"\\", re.sub(" ?\n ?", "  \n", part)), box, part.replace("\n", " "))
        for part in found
        if part
    ]


def code(text: str, language: str, box: Box | None) -> list[Block]:
    """Return a fenced block of code, or none if it is blank."""
    text = re.sub(r"\A(?:[ \t]*\n)+", "", text).rstrip()
    if not text:
        return []
    fence = max([*_FENCE.findall(text), "``"], key=len) + "`"
    return [Block("code", f"{fence}{language}\n{text}\n{fence}", box, text)]


def table(read: OpenTable, *, depth: int) -> list[Block]:
    """Return the blocks of a table: a table of data, or the blocks of its cells if it only lays out the page."""
    blocks = [Block("paragraph", read.caption, read.box, read.caption)] if read.caption else []
    blocks += read.stray
    for _, cells in read.rows:
        _drop_line_numbers(cells)
    rows = [(part, cells) for part, cells in read.rows if any(cell.blocks for cell in cells)]
    if rows and all(len(cells) == 1 and [block.kind for block in cells[0].blocks] == ["code"] for _, cells in rows):
        return blocks + code("\n".join(cells[0].blocks[0].words for _, cells in rows), "", read.box)
    if read.layout or depth > _MAX_NESTED_TABLES or _is_layout(rows):
        return blocks + [block for _, cells in rows for cell in cells for block in cell.blocks]
    of_texts = [
        Row([Cell(_in_one_line(cell.blocks), cell.columns, cell.rows, cell.header) for cell in cells], part)
        for part, cells in read.rows
        if cells
    ]
    if rows:
        blocks.append(Block("table", markdown_table(of_texts), read.box, flat(of_texts) if depth > 1 else ""))
    return blocks


def _drop_line_numbers(cells: list[OpenCell]) -> None:
    """Remove a cell of code that only counts the lines of the cell beside it."""
    texts = [cell.blocks[0].words.split("\n") if [b.kind for b in cell.blocks] == ["code"] else [] for cell in cells]
    if len(texts) == 2 and texts[0] and abs(len(texts[0]) - len(texts[1])) <= 1:
        numbers = [line.strip() for line in texts[0]]
        if numbers[0].isdecimal() and numbers == [str(int(numbers[0]) + place) for place in range(len(numbers))]:
            del cells[0]


def _is_layout(rows: Sequence[tuple[str, Sequence[OpenCell]]]) -> bool:
    if any(cell.header for _, cells in rows for cell in cells):
        return False
    kinds = [[block.kind for block in cell.blocks] for _, cells in rows for cell in cells]
    if any(kind in ("heading", "table") for of_cell in kinds for kind in of_cell):
        return True
    several = any(len(of_cell) > 1 or "code" in of_cell for of_cell in kinds)
    one = len(rows) == 1 or all(len(cells) == 1 for _, cells in rows)
    return one and (several or len(kinds) == 1)


def _in_one_line(blocks: Sequence[Block]) -> str:
    parts: list[str] = []
    for place, block in enumerate(blocks):
        words = " ".join(block.words.split("\n"))
        if block.kind == "code":
            words = "`" + " ".join(words.split()) + "`" if "`" not in words else words
        follows_item = place and block.box is not None and block.box is not blocks[place - 1].box
        parts.append(f"; {words}" if follows_item else f" {words}")
    return "".join(parts).strip().removeprefix("; ")


def rendered(blocks: Sequence[Block]) -> str:
    """Return the blocks under each other."""
    parts: list[str] = []
    before: Block | None = None
    for block in blocks:
        if block.kind == "heading":  # an item with a heading is a section: Markdown has no headings within lists
            box = block.box
            while box is not None:
                if box.indent != "> ":
                    box.marker = box.indent = ""
                box = box.outer
        separator = (
            "" if before is None else "\n" if _goes_on(before, block) else f"\n{_margin_between(before, block)}\n"
        )
        first, others = _margins(block.box)
        lines = block.text.split("\n")
        text = "\n".join([first + lines[0], *((others + line if line else others.rstrip()) for line in lines[1:])])
        parts.append(separator + text)
        before = block
    return "".join(parts).strip("\n") + "\n"


def _margins(box: Box | None) -> tuple[str, str]:
    """Return what stands before the first line and before other lines."""
    boxes = []
    while box is not None:
        boxes.append(box)
        box = box.outer
    first, others = "", ""
    for box in reversed(boxes):
        first += box.marker if box.fresh else box.indent
        others += box.indent
        box.fresh = False
    return first, others


def _margin_between(before: Block, block: Block) -> str:
    """Return what stands on the empty line between two blocks: the marks of the quotations around both."""
    around = []
    box = before.box
    while box is not None:
        around.append(box)
        box = box.outer
    box = block.box
    while box is not None and box not in around:
        box = box.outer
    return _margins(box)[1].rstrip()


def _goes_on(before: Block, block: Block) -> bool:
    """Return whether a block begins an item of the list that the block before is in, or of a list below its words."""
    begun, box = None, block.box
    while box is not None and box.fresh:
        begun, box = box, box.outer
    if begun is None or begun.owner is None or "heading" in (before.kind, block.kind):
        return False
    box = before.box
    while box is not None:
        if box is begun.outer:
            return box.owner is not None
        if box.owner is begun.owner:
            return begun.marker != "" or box.marker == ""  # a term stands apart from the definition before it
        box = box.outer
    return False
