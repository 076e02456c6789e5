"""The elements of OpenDocument's text: paragraphs, lists, tables, frames, notes and form controls."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from embedpipe.files._blocks import Block, Span, flat, inline
from embedpipe.files._equations import linear_mathml
from embedpipe.files._office import Archive
from embedpipe.files._reading_order import Box, reading_order
from embedpipe.files.opendocument._forms import form_values
from embedpipe.files.opendocument._styles import OFFICE, TABLE, TEXT, Counts, Format, Styles, whole
from embedpipe.files.opendocument._tables import table_blocks

DRAW = "{urn:oasis:names:tc:opendocument:xmlns:drawing:1.0}"
_CHART = "{urn:oasis:names:tc:opendocument:xmlns:chart:1.0}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_MATH = "{http://www.w3.org/1998/Math/MathML}math"
_PRESENTATION = "{urn:oasis:names:tc:opendocument:xmlns:presentation:1.0}"
_SVG = "{urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0}"
_XLINK = "{http://www.w3.org/1999/xlink}"
_XML_ID = "{http://www.w3.org/XML/1998/namespace}id"

_BLANK = re.compile(r"[ \t\r\n]+")
_NUMBER = re.compile(r"-?[0-9]{1,9}(?:\.[0-9]{1,9})?")
_NOT_TEXT = frozenset(
    [f"{TEXT}tracked-changes", f"{OFFICE}forms", f"{OFFICE}annotation-end", f"{OFFICE}scripts", f"{TEXT}script"]
    + [TEXT + name for name in ("sequence-decls", "variable-decls", "user-field-decls", "dde-connection-decls")]
)


@dataclass(slots=True)
class _Line:
    """A paragraph while it is read: its text, and the blocks of the frames in it."""

    spans: list[Span] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)


class Text:
    """Reads the text of a file.

    Args:
        archive: The file, of which embedded equations and charts are read. None for a file of one part.
        styles: Its styles.
    """

    def __init__(self, archive: Archive | None, styles: Styles) -> None:
        self.left_out: Counter[str] = Counter()
        self._archive, self._styles = archive, styles
        self._lists: dict[str, Counts] = {}  # by the list's id, and the last one of each style
        self._controls: dict[str, str] = {}
        self._notes: list[Block] = []
        self._endnotes: list[Block] = []

    def notes(self) -> list[Block]:
        """Return the footnotes and comments of what was read since the last call."""
        found, self._notes = self._notes, []
        return found

    def endnotes(self) -> list[Block]:
        """Return the endnotes of what was read since the last call."""
        found, self._endnotes = self._endnotes, []
        return found

    def blocks(self, elements: Iterable[Any]) -> list[Block]:
        """Return the blocks of these elements."""
        found: list[Block] = []
        for element in elements:
            tag = element.tag
            if tag in (f"{TEXT}p", f"{TEXT}h"):
                found += self._paragraph(element)
            elif tag == f"{TEXT}list":
                found += self._list(element, None, 1)
            elif tag == f"{TABLE}table":
                found += table_blocks(self, element)
            elif tag == f"{OFFICE}forms":
                self._controls.update(form_values(element))
            elif tag in _NOT_TEXT or tag.endswith("-source"):
                continue
            elif tag.startswith((DRAW, OFFICE)) and tag != f"{OFFICE}text":
                line = _Line()
                self._drawn(element, line)
                found += [Block(inline(line.spans).strip()), *line.blocks]
            else:
                found += self.blocks(element)
        return found

    def slide(self, page: Any) -> list[Block]:
        """Return the blocks of a slide: its title, its other shapes in reading order, its notes."""
        titles: list[Block] = []
        notes: list[Block] = []
        read: list[list[Block]] = []
        boxes: list[Box] = []
        for shape in page:
            if shape.tag == f"{_PRESENTATION}notes":
                frames = (frame for frame in shape if frame.get(f"{_PRESENTATION}class") == "notes")
                notes = [block for block in self.blocks(frames) if block.text]
            elif shape.get(f"{_PRESENTATION}class") == "title":
                title = flat(self.blocks([shape]))
                titles.append(Block(title, heading=1))
            elif shape.get(f"{_PRESENTATION}class") not in ("date-time", "page-number"):
                left, top, width, height = (
                    _length(shape.get(_SVG + side, "")) for side in ("x", "y", "width", "height")
                )
                boxes.append(Box(left, top, left + width, top + height, len(read)))
                read.append(self.blocks([shape]))
        others = [block for number in reading_order(boxes) for block in read[number]]
        return titles + others + ([Block("Notes:"), *notes] if notes else [])

    def _paragraph(self, element: Any, label: str | None = None, depth: int = 0) -> list[Block]:
        """Return a paragraph or heading. A label other than None comes from the list around it."""
        line = _Line()
        self._inline(element, line, Format())
        name = element.get(f"{TEXT}style-name", "")
        heading = min(whole(element, f"{TEXT}outline-level", 1), 10) if element.tag == f"{TEXT}h" else 0
        if heading and label is None and element.get(f"{TEXT}is-list-header") != "true":
            start = element.get(f"{TEXT}start-value") and whole(element, f"{TEXT}start-value", 1)
            label = self._styles.headings.label(heading, start or None)
        heading = heading or int(self._styles.is_title(name))
        code = self._styles.is_code(name)
        text = inline(line.spans, plain=heading > 0 or code)
        if code:
            return [Block(text.replace("  \n", "\n").rstrip(), code=True), *line.blocks]
        text = text.strip()
        if heading:
            numbered = f"{label} {text}" if label and label != "-" and text else text
            return [Block(numbered, heading=heading), *line.blocks]
        return [Block(text, label=label or "", depth=depth), *line.blocks]

    def _list(self, element: Any, counts: Counts | None, level: int) -> list[Block]:
        """Return the items of a list. `counts` are those of the list around it."""
        name = element.get(f"{TEXT}style-name", "")
        if counts is None:
            counts = self._continued(element, name) or self._styles.list_of(name)
            self._lists[name] = counts
        if identity := element.get(_XML_ID):
            self._lists[f"#{identity}"] = counts
        return [block for item in element for block in self._item(item, counts, level)]

    def _item(self, item: Any, counts: Counts, level: int) -> list[Block]:
        """Return an item with the lists in it. Its further paragraphs become further lines of it."""
        found: list[Block] = []
        first: Block | None = None
        lines: list[str] = []
        for child in item:
            if child.tag == f"{TEXT}list":
                found += self._list(child, counts, level + 1)
            elif child.tag not in (f"{TEXT}p", f"{TEXT}h"):
                found += self.blocks([child])
            else:
                label = ""
                if first is None and item.tag != f"{TEXT}list-header":
                    start = item.get(f"{TEXT}start-value") and whole(item, f"{TEXT}start-value", 1)
                    label = counts.label(level, start or None)
                block, *boxes = self._paragraph(child, label, level)
                if first is not None and first.label:
                    lines.append(block.text)
                else:
                    first = block
                    found.append(block)
                found += boxes
        if first is not None and first.label:
            first.text = "  \n".join(filter(None, [first.text, *lines]))
        return found

    def _continued(self, element: Any, name: str) -> Counts | None:
        """Return the list that an element goes on with, if any."""
        if identity := element.get(f"{TEXT}continue-list"):
            return self._lists.get(f"#{identity}")
        before = element.getprevious()
        goes_on = element.get(f"{TEXT}continue-numbering") == "true"
        if before is not None and before.tag == element.tag and element.getparent().tag == f"{DRAW}text-box":
            goes_on = before.get(f"{TEXT}style-name") == name  # in text boxes, each item is a list of its own
        return self._lists.get(name) if goes_on else None

    def _inline(self, element: Any, line: _Line, shown: Format) -> None:
        self._write(element.text, line, shown)
        for child in element:
            tag = child.tag
            if tag in (f"{TEXT}s", f"{TEXT}tab", f"{TEXT}line-break"):
                blank = {f"{TEXT}tab": "\t", f"{TEXT}line-break": "  \n"}
                line.spans.append(Span(blank.get(tag) or " " * min(whole(child, f"{TEXT}c", 1), 100)))
            elif tag == f"{TEXT}span":
                style = self._styles.span(child.get(f"{TEXT}style-name", ""))
                self._inline(child, line, style.within(shown))
            elif tag == f"{TEXT}note":
                self._note(child, line)
            elif tag == f"{TEXT}ruby":
                self._ruby(child, line, shown)
            elif tag == f"{OFFICE}annotation":
                self._comment(child)
            elif tag.startswith(DRAW) or tag == _MATH:
                self._drawn(child, line)
            elif tag not in _NOT_TEXT:
                self._inline(child, line, shown)
            self._write(child.tail, line, shown)

    def _write(self, text: str | None, line: _Line, shown: Format) -> None:
        if text and shown.hidden:
            self.left_out["run of hidden text"] += 1
        elif text:
            line.spans.append(Span(_BLANK.sub(" ", text), *shown[:4]))

    def _ruby(self, element: Any, line: _Line, shown: Format) -> None:
        """Write the words with the reading that stands above them."""
        words, reading = _Line(), _Line()
        for part, name in ((words, "ruby-base"), (reading, "ruby-text")):
            found = element.find(f"{TEXT}{name}")
            if found is not None:
                self._inline(found, part, shown)
        line.blocks += words.blocks
        if words.spans:
            text, above = ("".join(span.text for span in part.spans) for part in (words, reading))
            line.spans.append(words.spans[0]._replace(text=text, reading=above.strip()))

    def _note(self, element: Any, line: _Line) -> None:
        mark = "".join(element.findtext(f"{TEXT}note-citation") or "").strip() or "*"
        body = element.find(f"{TEXT}note-body")
        kept = self._endnotes if element.get(f"{TEXT}note-class") == "endnote" else self._notes
        line.spans.append(Span(f"[^{mark}]"))
        text = "" if body is None else flat(self.blocks(body))
        if text:
            kept.append(Block(f"[^{mark}]: {text}"))

    def _comment(self, element: Any) -> None:
        text = flat(self.blocks(child for child in element if child.tag.startswith(TEXT)))
        author = " ".join((element.findtext(f"{_DC}creator") or "").split())
        if text:
            self._notes.append(Block(f"[Comment by {author}: {text}]" if author else f"[Comment: {text}]"))

    def _drawn(self, element: Any, line: _Line) -> None:
        """Read a frame, a shape, a form control or an equation: its words become blocks or stand in the line."""
        if element.tag == _MATH:
            line.spans.append(Span(linear_mathml(element).strip()))
        elif element.tag == f"{OFFICE}annotation":
            self._comment(element)
        elif element.tag == f"{DRAW}control":
            line.spans.append(Span(self._controls.get(element.get(f"{DRAW}control", ""), "")))
        else:
            self._framed(element, line)

    def _framed(self, element: Any, line: _Line) -> None:
        described = " ".join(
            " ".join(child.text.split()) for child in element if child.tag in _DESCRIPTIONS and child.text
        )
        line.spans.append(Span(described))
        read = bool(described)
        for child in element:
            tag = child.tag
            if tag in _DESCRIPTIONS or tag in _NOT_TEXT:
                continue
            if tag in (f"{DRAW}object", f"{DRAW}object-ole"):
                read = self._object(child, line) or read
            elif tag == f"{DRAW}image":
                self.left_out["picture without a description"] += not read
                read = True
            elif tag == f"{DRAW}text-box":
                line.blocks += self.blocks(child)
            elif tag.startswith(DRAW):
                self._drawn(child, line)
            elif tag.startswith((TEXT, TABLE, OFFICE)):
                line.blocks += self.blocks([child])

    def _object(self, element: Any, line: _Line) -> bool:
        """Read an embedded equation or chart. Return whether that was done, or told of."""
        path = posixpath.normpath(element.get(f"{_XLINK}href", "")) + "/content.xml"
        embedded = element[0] if len(element) else None
        if embedded is None and self._archive is not None and not path.startswith(("/", "..")):
            embedded = self._archive.xml(path)
        if embedded is not None and embedded.tag == _MATH:
            line.spans.append(Span(linear_mathml(embedded).strip()))
        elif embedded is not None and (chart := next(embedded.iter(f"{_CHART}chart"), None)) is not None:
            title = " ".join(map(_words, chart.iter(f"{_CHART}title")))
            line.blocks += [Block(f"Chart: {title}" if title else "Chart"), *self.blocks(chart.iter(f"{TABLE}table"))]
        else:
            self.left_out["embedded object"] += 1
        return True


def _length(text: str) -> float:
    """Return a length such as "2.5cm" without its unit: all lengths of a slide have the same."""
    found = _NUMBER.match(text)
    return float(found[0]) if found else 0.0


def _words(element: Any) -> str:
    return " ".join("".join(element.itertext()).split())


_DESCRIPTIONS = (f"{_SVG}title", f"{_SVG}desc")
