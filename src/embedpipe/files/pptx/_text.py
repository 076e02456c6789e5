"""The text of shapes and tables in DrawingML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from embedpipe.files._blocks import Block, Cell, Span, flat, inline, table
from embedpipe.files._equations import linear
from embedpipe.files._numbers import formatted

A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_MATH = "{http://schemas.microsoft.com/office/drawing/2010/main}m"

_ON = ("1", "true")
_KINDS = {"arabic": "decimal", "alphaLc": "lowerLetter", "alphaUc": "upperLetter"}
_KINDS |= {"romanLc": "lowerRoman", "romanUc": "upperRoman"}
_ENDS = {"Period": "{}.", "ParenR": "{})", "ParenBoth": "({})", "Plain": "{}", "Minus": "- {} -"}


def chosen(element: Any) -> Any:
    """Return one of the alternatives of mc:AlternateContent. They say the same for newer and older programs."""
    found = element.find(f"{MC}Choice")
    found = element.find(f"{MC}Fallback") if found is None or not len(found) else found
    return () if found is None else found


def paragraphs(body: Any, *, styles: Sequence[Any] = (), bullets: bool = False) -> list[Block]:
    """Return the paragraphs of a text body. Those with bullets or numbers are list items.

    Args:
        body: The p:txBody or a:txBody.
        styles: The text bodies that it inherits from, the nearest first.
        bullets: Whether a paragraph that nothing is said of has a bullet.
    """
    blocks: list[Block] = []
    counts: dict[int, tuple[str, int]] = {}
    found = (source.find(f"{A}lstStyle") for source in (body, *styles))
    inherited = [levels for levels in found if levels is not None]
    for paragraph in body.iter(f"{A}p"):
        properties = paragraph.find(f"{A}pPr")
        level = min(_whole(properties, "lvl", 0), 8)
        text = _inline(paragraph).strip()
        if not text:
            continue
        mark = _mark(properties, inherited, level)
        label = "-" if mark is None and bullets else ""
        if mark is not None and mark.tag in (f"{A}buChar", f"{A}buBlip"):
            label = "-"
        for deeper in [other for other in counts if other > level]:
            del counts[deeper]
        if mark is not None and mark.tag == f"{A}buAutoNum":
            kind = mark.get("type", "arabicPeriod")
            before, count = counts.get(level, (kind, 0))
            count = count + 1 if before == kind and count else _whole(mark, "startAt", 1)
            counts[level] = kind, count
            label = _numbered(count, kind)
        else:
            counts.pop(level, None)
        blocks.append(Block(text, label=label, depth=level))
    return blocks


def _whole(element: Any, attribute: str, default: int) -> int:
    text = "" if element is None else element.get(attribute, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else default


def _mark(properties: Any, inherited: Sequence[Any], level: int) -> Any:
    """Return the element that says which bullet or number a paragraph has, its own or an inherited one."""
    for found in (properties, *(levels.find(f"{A}lvl{level + 1}pPr") for levels in inherited)):
        for child in () if found is None else found:
            if child.tag in (f"{A}buNone", f"{A}buChar", f"{A}buAutoNum", f"{A}buBlip"):
                return child
    return None


def _numbered(count: int, kind: str) -> str:
    for end, form in _ENDS.items():
        if kind.endswith(end):
            return form.format(formatted(count, _KINDS.get(kind.removesuffix(end), "decimal")))
    return f"{count}."


def _inline(paragraph: Any) -> str:
    spans: list[Span] = []
    for element in paragraph:
        tag = element.tag
        if tag in (f"{A}r", f"{A}fld"):
            properties = element.find(f"{A}rPr")
            raised = "" if properties is None else properties.get("baseline", "")
            script = 0 if raised.strip("0%.-") == "" else -1 if raised.startswith("-") else 1
            spans.append(Span(_unescaped(element.findtext(f"{A}t") or ""), script=script))
        elif tag == f"{A}br":
            spans.append(Span("  \n"))
        elif tag in (f"{MC}AlternateContent", _MATH):
            spans.append(Span("".join(linear(part) for part in (chosen(element) if tag != _MATH else element))))
    return inline(spans)


def _unescaped(text: str) -> str:
    """Return the text with its line breaks, which some programs write as vertical tabs."""
    return text.replace("_x000B_", "\n").replace("\v", "\n").replace("_x000D_", "\n")


def table_block(element: Any) -> Block:
    """Return a table, each cell in its column. A merged cell's other places are cells of their own in the file."""
    rows = ([cell for cell in row if cell.tag == f"{A}tc"] for row in element.findall(f"{A}tr"))
    return table([[_cell(cell) for cell in row] for row in rows])


def _cell(cell: Any) -> Cell:
    body = cell.find(f"{A}txBody")
    text = "" if body is None else flat(paragraphs(body))
    return Cell(text, below=cell.get("vMerge") in _ON, beside=cell.get("hMerge") in _ON)
