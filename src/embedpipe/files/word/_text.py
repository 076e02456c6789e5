"""The elements of Word's text: paragraphs, runs, fields, tables, controls and drawings."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from embedpipe.files import _drawings
from embedpipe.files._blocks import Block, Span, inline
from embedpipe.files._equations import linear
from embedpipe.files._numbers import roman
from embedpipe.files._office import Archive, Relation
from embedpipe.files._symbols import FONTS, symbol
from embedpipe.files.word._drawing import MC, Drawing, chosen
from embedpipe.files.word._forms import form_value, ticked
from embedpipe.files.word._numbering import Numbering, W, number
from embedpipe.files.word._styles import PLAIN, RunFormat, Styles
from embedpipe.files.word._tables import table_blocks

R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"

_PLAIN_CHARACTERS = {
    f"{W}tab": "\t",
    f"{W}ptab": "\t",
    f"{W}cr": "  \n",
    f"{W}noBreakHyphen": "-",
    f"{W}softHyphen": "",
}


class Reference(NamedTuple):
    """A mark in the text for a "footnote", "endnote" or "comment": its id, and the mark that the text shows."""

    kind: str
    id: str
    mark: str


@dataclass(slots=True)
class _Field:
    """A field, such as a cross-reference: its instruction comes first, then its result, which is what is shown.

    `value` is what a form field says itself. It stands for the result.
    """

    value: str = ""
    instruction: str = ""
    result: bool = False


@dataclass(slots=True)
class _Line:
    """A paragraph while it is read: its text, and the blocks of the text boxes in it."""

    spans: list[Span] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)


class Text:
    """Reads the text of a document's parts, one after another.

    Args:
        archive: The file, of which charts and diagrams are read.
        styles: The styles of the document.
        numbering: The lists of the document. It counts as the text is read.
    """

    def __init__(self, archive: Archive, styles: Styles, numbering: Numbering) -> None:
        self.references: list[Reference] = []
        self.left_out: Counter[str] = Counter()
        self._archive, self._styles, self._numbering = archive, styles, numbering
        self._relations: dict[str, Relation] = {}
        self._fields: deque[_Field] = deque(maxlen=50)  # Word nests twenty
        self._carried: list[Span] = []  # of paragraphs whose end is deleted: they go on in the next one
        self._marks: dict[tuple[str, str], str] = {}
        self._counts: Counter[str] = Counter()  # of notes
        self._drawn: set[str] = set()  # charts and diagrams, each once however often it is referred to
        self._handlers: dict[str, Callable[[Any, _Line, RunFormat], None]] = {
            f"{W}sym": self._symbol,
            f"{W}br": self._break,
            f"{W}fldChar": self._field,
            f"{W}instrText": self._instruction,
            f"{W}footnoteReference": self._reference,
            f"{W}endnoteReference": self._reference,
            f"{W}commentReference": self._reference,
            f"{W}ruby": self._ruby,
            f"{MC}AlternateContent": self._alternate,
            f"{W}drawing": self._drawing,
            f"{W}pict": self._drawing,
            f"{W}object": self._drawing,
        }

    def enter(self, path: str) -> None:
        """Go on with another part of the file."""
        self._relations = dict(self._archive.relations(path))
        self._fields.clear()
        self._carried.clear()

    def blocks(self, elements: Iterable[Any], *, more: bool = False) -> list[Block]:
        """Return the blocks in a body, a cell, a note or a text box.

        Args:
            elements: In order.
            more: Whether further elements of the same body follow, with which a paragraph may go on.
        """
        found: list[Block] = []
        for element in elements:
            tag = element.tag
            if tag == f"{W}p":
                found += self._paragraph(element)
            elif tag == f"{W}tbl":
                found += table_blocks(self, element)
            elif tag == f"{W}sdt":
                found += self._control(element)
            elif tag == f"{MC}AlternateContent":
                found += self.blocks(chosen(element))
            elif tag in (f"{W}customXml", f"{W}ins", f"{W}moveTo", f"{W}smartTag"):
                found += self.blocks(element)
            elif tag in (f"{_M}oMath", f"{_M}oMathPara"):
                found.append(Block(linear(element)))
            elif tag in (f"{W}altChunk", f"{W}subDoc"):
                self.left_out["embedded document"] += 1
        if self._carried and not more:
            carried, self._carried = self._carried, []
            found.append(self._finished(carried, None))
        return found

    def _control(self, element: Any) -> list[Block]:
        if ticked(element) is not None:
            line = _Line()
            self._inline([element], line)
            return [Block(inline(line.spans))]
        content = element.find(f"{W}sdtContent")
        return [] if content is None else self.blocks(content)

    def _paragraph(self, element: Any) -> list[Block]:
        line = _Line(spans=self._carried)
        self._carried = []
        self._inline(element, line)
        if self._fields and not self._fields[-1].result:  # an instruction that never ends must not swallow the text
            self._fields.pop()
        properties = element.find(f"{W}pPr")
        if properties is not None and _mark_is_deleted(properties):
            self._carried = line.spans
            return line.blocks
        return [self._finished(line.spans, properties), *line.blocks]

    def _finished(self, spans: list[Span], properties: Any) -> Block:
        named = None if properties is None else properties.find(f"{W}pStyle")
        name = self._styles.default if named is None else named.get(f"{W}val", "")
        style = self._styles.paragraph(name)
        heading, numbering, level = style.heading, style.numbering, style.level
        if properties is not None:
            outline, listed = properties.find(f"{W}outlineLvl"), properties.find(f"{W}numPr")
            if outline is not None:
                heading = (number(outline, 9) + 1) % 10
            if listed is not None and listed.find(f"{W}numId") is not None:
                numbering, level = listed.find(f"{W}numId").get(f"{W}val"), 0
            if listed is not None and listed.find(f"{W}ilvl") is not None:
                level = number(listed.find(f"{W}ilvl"), 0)
        label = ""
        if numbering is not None:
            if level is None:
                level = self._numbering.level_of_style(numbering, style.numbered_by)
            level = min(max(level, 0), 8)
            label = self._numbering.label(numbering, level)
        text = inline(spans, plain=heading > 0 or style.code)
        if style.code:
            return Block(text.replace("  \n", "\n").rstrip(), code=True)
        text = text.strip()
        if heading and text:
            return Block(f"{label} {text}" if label not in ("", "-") else text, heading=heading)
        return Block(text, label=label, depth=level or 0)

    def _inline(self, elements: Iterable[Any], line: _Line, style: RunFormat = PLAIN) -> None:
        for element in elements:
            tag = element.tag
            if tag == f"{W}r":
                self._run(element, line)
            elif tag in _CONTAINERS:
                self._inline(element, line)
            elif tag == f"{W}sdt":
                checked = ticked(element)
                content = element.find(f"{W}sdtContent")
                if checked is not None:
                    line.spans.append(Span("[x]" if checked else "[ ]"))
                elif content is not None:
                    self._inline(content, line)
            elif tag in (f"{_M}oMath", f"{_M}oMathPara"):
                line.spans.append(Span(linear(element).strip()))
            elif tag == f"{MC}AlternateContent":
                self._inline(chosen(element), line)
            elif tag in (f"{W}p", f"{W}tbl"):  # within a control
                line.blocks += self.blocks([element])

    def _run(self, element: Any, line: _Line) -> None:
        shown = PLAIN
        properties = element.find(f"{W}rPr")
        if properties is not None:
            shown = RunFormat.of(properties)
            style = properties.find(f"{W}rStyle")
            if style is not None:
                shown = shown.over(self._styles.run(style.get(f"{W}val", "")))
        if shown.hidden:
            self.left_out["run of hidden text"] += any(True for _ in element.iter(f"{W}t"))
        else:
            self._content(element, line, shown)

    def _content(self, elements: Iterable[Any], line: _Line, shown: RunFormat) -> None:
        for element in elements:
            tag = element.tag
            if tag == f"{W}t":
                self._write(self._in_font(element.text or "", shown), line, shown)
            elif tag in _PLAIN_CHARACTERS:
                self._write(_PLAIN_CHARACTERS[tag], line, shown)
            elif tag in self._handlers:
                self._handlers[tag](element, line, shown)

    def _write(self, text: str, line: _Line, shown: RunFormat) -> None:
        if text and all(part.result for part in self._fields):
            script = shown.script or 0
            if script and self._fields and self._fields[-1].instruction.split(None, 1)[:1] == ["NOTEREF"]:
                text, script = f"[{text}]", 0
            line.spans.append(Span(text, bool(shown.bold), bool(shown.italic), bool(shown.struck), script))

    def _in_font(self, text: str, shown: RunFormat) -> str:
        if shown.font not in FONTS:
            return text
        return "".join(symbol(shown.font or "", ord(character)) or character for character in text)

    def _symbol(self, element: Any, line: _Line, shown: RunFormat) -> None:
        font, code = element.get(f"{W}font", ""), element.get(f"{W}char", "")
        try:
            character = symbol(font, int(code[:8], 16))
        except ValueError:
            character = None
        if character is None:
            self.left_out[f"symbol of the font {font}"] += 1
        else:
            self._write(character, line, shown)

    def _break(self, element: Any, line: _Line, shown: RunFormat) -> None:
        if element.get(f"{W}type", "textWrapping") == "textWrapping":
            self._write("  \n", line, shown)
        elif line.spans:
            self._write(" ", line, shown)

    def _field(self, element: Any, line: _Line, shown: RunFormat) -> None:
        kind = element.get(f"{W}fldCharType")
        if kind == "begin":
            value = form_value(element.find(f"{W}ffData"))
            line.spans.append(Span(value))
            self._fields.append(_Field(value))
        elif kind == "separate" and self._fields:
            self._fields[-1].result = not self._fields[-1].value
        elif kind == "end" and self._fields:
            ended = self._fields.pop()
            words = ended.instruction.split(None, 1)
            if not ended.result and words[:1] == ["EQ"]:
                self.left_out["equation of a field (EQ)"] += 1

    def _instruction(self, element: Any, line: _Line, shown: RunFormat) -> None:
        if self._fields and len(self._fields[-1].instruction) < 100:
            self._fields[-1].instruction += element.text or ""

    def _reference(self, element: Any, line: _Line, shown: RunFormat) -> None:
        kind, name = element.tag.removeprefix(W).removesuffix("Reference"), element.get(f"{W}id", "")
        if (kind, name) not in self._marks:
            self._counts[kind] += 1
            count = self._counts[kind]
            mark = roman(count) if kind == "endnote" and count < 4000 else str(count)
            self._marks[kind, name] = mark
            self.references.append(Reference(kind, name, mark))
        if kind != "comment":
            self._write(f"[^{self._marks[kind, name]}]", line, PLAIN)

    def _ruby(self, element: Any, line: _Line, shown: RunFormat) -> None:
        """Write the words with the reading that stands above them."""
        words, reading = _Line(), _Line()
        for part, name in ((words, "rubyBase"), (reading, "rt")):
            found = element.find(f"{W}{name}")
            if found is not None:
                self._inline(found, part)
        line.blocks += words.blocks
        if words.spans:
            text, above = ("".join(span.text for span in part.spans) for part in (words, reading))
            line.spans.append(words.spans[0]._replace(text=text, reading=above.strip()))

    def _alternate(self, element: Any, line: _Line, shown: RunFormat) -> None:
        self._content(chosen(element), line, shown)

    def _drawing(self, element: Any, line: _Line, shown: RunFormat) -> None:
        """Write what a drawing or an object says: its description, and the blocks within it."""
        drawing = Drawing.of(element)
        line.blocks += (Block(text) for text in drawing.texts)
        for box in drawing.boxes:
            line.blocks += self.blocks(box)
        for reference in drawing.related:
            line.blocks += self._related(reference)
        if drawing.description:
            self._write(drawing.description, line, shown)
        self.left_out.update(drawing.left_out)

    def _related(self, element: Any) -> list[Block]:
        name = element.get(f"{R}id") or element.get(f"{R}dm") or ""
        relation = self._relations.get(name)
        if relation is None or relation.path in self._drawn:
            return []
        self._drawn.add(relation.path)
        root = self._archive.xml(relation.path)
        if root is None:
            return []
        return list(_drawings.chart(root) if element.tag == f"{_C}chart" else _drawings.diagram(root))


def _mark_is_deleted(properties: Any) -> bool:
    mark = properties.find(f"{W}rPr")
    return mark is not None and (mark.find(f"{W}del") is not None or mark.find(f"{W}moveFrom") is not None)


_CONTAINERS = frozenset(
    W + name
    for name in ("hyperlink", "fldSimple", "ins", "moveTo", "smartTag", "customXml", "dir", "bdo", "sdtContent")
)
