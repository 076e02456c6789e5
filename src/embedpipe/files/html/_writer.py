"""Write a tree of HTML elements as Markdown, from its start tags, texts and end tags in order.

Each text is written once, without a look at its neighbors in the tree, so the time grows linearly with the page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import ClassVar, TypeAlias

from embedpipe.files._numbers import formatted
from embedpipe.files._scripts import NOTE, SUB, SUP
from embedpipe.files.html._blocks import MAX_LEVELS, Block, Box, OpenCell, OpenTable, code, paragraphs, rendered, table
from embedpipe.files.html._inline import BOLD, CODE, ITALIC, STRUCK, Inline

Attributes: TypeAlias = Mapping[str, str | None]
End: TypeAlias = Callable[[], None]

_SKIPPED = frozenset("head title script style template nav iframe object embed noframes rp math".split())  # noqa: SIM905
"""Elements whose content is no text of the page."""

ATTRIBUTED = frozenset("a code dl img input li ol optgroup option pre sup sub table td th ul listing".split())  # noqa: SIM905
"""The elements whose attributes matter."""

_BLOCKS = """
address article aside body center details dialog div fieldset figcaption figure footer form header hgroup legend main
p search section summary
""".split()  # noqa: SIM905 - read as a list of words
_STYLES = {
    **dict.fromkeys(("b", "strong"), BOLD),
    **dict.fromkeys(("i", "em", "cite", "dfn", "var"), ITALIC),
    **dict.fromkeys(("s", "strike", "del"), STRUCK),
    **dict.fromkeys(("code", "kbd", "samp", "tt"), CODE),
}
_NOT_IN_HEADINGS = frozenset("p ul ol dl table blockquote pre section article".split())  # noqa: SIM905
"""Within a heading they are errors: its end tag is missing."""
_WITHOUT_WORDS = frozenset("hidden password submit reset image file color range".split())  # noqa: SIM905
"""Kinds of input fields whose value is no text of the page."""

_MAX_OPTIONS = 30
_MAX_MARK = 3
_NOTE = re.compile(r"foot-?note|\bfn|note-?ref|reference|\bcit|endnote", re.IGNORECASE)
_LANGUAGE = re.compile(r"(?:^|\s)(?:language-|lang-|highlight-source-|highlight-|brush: ?)([\w+#.-]{1,20})")
_LETTERS = {"a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}
_INTEGER = re.compile(r"\s*([0-9]{1,6})(?![0-9])", re.ASCII)
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\ufeff\ufffe\uffff]")


class _List:
    """A list that is being read, and the number of its next item."""

    def __init__(self, number: int | None, letters: str) -> None:
        self.number = number
        self._letters = letters

    def marker(self) -> str:
        """Return the marker of the next item."""
        if self.number is None:
            return "- "
        number, self.number = self.number, self.number + 1
        return f"{formatted(number, _LETTERS.get(self._letters, ''))}. "


class MarkdownWriter:
    """Takes the elements of a page in order, and writes Markdown."""

    def __init__(self) -> None:
        self.left_out: dict[str, int] = {}
        self._ends: list[End] = []  # what ends each of the open elements
        self._blocks: list[Block] = []
        self._inline = Inline()
        self._outer: list[Inline] = []  # paragraphs that wait for a part that is written apart
        self._flat = 0  # how many of the open elements have their text in one line
        self._heading = 0
        self._verbatim: list[str] | None = None
        self._language = ""
        self._code_end = 0  # how many texts the open block of code had where the last <code> in it ended
        self._depths = dict.fromkeys((BOLD, ITALIC, STRUCK, CODE), 0)
        self._style = 0
        self._box: Box | None = None
        self._lists: list[_List] = []
        self._tables: list[OpenTable] = []
        self._options: list[str] | None = None
        self._selected: list[str] = []
        self._raised = 0
        self._is_note = False
        self._link_start = -1  # how many pieces the paragraph had where the open link began
        self._muted: list[bool] = [False]
        self._ruby_start = -1  # how many pieces the paragraph had where the open <ruby> began
        self._readings: list[str] = []

    def markdown(self) -> str:
        """Return the text. Call it after the last element."""
        self._flush()
        return _UNPRINTABLE.sub("", rendered(self._blocks))

    def text(self, text: str) -> None:
        """Write a text."""
        if self._muted[-1]:
            return
        if self._verbatim is not None:
            self._verbatim.append(text)
        else:
            self._inline.add(text, self._style)

    def start(self, tag: str, attributes: Attributes) -> bool:
        """Begin an element. Return whether its content is to be written, and its `end` to be called."""
        if tag in _SKIPPED:
            if tag in ("iframe", "object", "embed"):
                self.left_out[tag] = self.left_out.get(tag, 0) + 1
            return False
        begin = self._elements.get(tag)
        self._ends.append(self._nothing if begin is None else begin(self, tag, attributes))
        return True

    def end(self) -> None:
        """End the element that was begun last."""
        self._ends.pop()()

    def _nothing(self) -> None:
        pass

    # Paragraphs, headings, code

    def _flush(self) -> None:
        """End the paragraph."""
        if self._verbatim is not None:
            if self._verbatim and not self._verbatim[-1].endswith("\n"):
                self._verbatim.append("\n")
        elif self._flat:
            self._inline.add(" ")
        elif self._inline.pieces:
            inline, self._inline = self._inline, Inline()
            self._blocks += paragraphs(inline.markdown(), self._box)

    def _block(self, tag: str, attributes: Attributes) -> End:
        if self._heading and tag in _NOT_IN_HEADINGS and not self._outer and not self._inline.is_blank():
            self._end_heading()
        self._flush()
        return self._flush

    def _break(self, tag: str, attributes: Attributes) -> End:
        if self._verbatim is not None:
            self._verbatim.append("\n")
        elif self._flat:
            self._inline.add(" ")
        else:
            self._inline.add_break()
        return self._nothing

    def _rule(self, tag: str, attributes: Attributes) -> End:
        self._flush()
        if not self._flat and self._verbatim is None:
            self._blocks.append(Block("rule", "---", self._box, ""))
        return self._nothing

    def _emphasis(self, tag: str, attributes: Attributes) -> End:
        style = _STYLES[tag]
        if style == CODE:
            self._language = self._language or _language(attributes)
            if self._verbatim and len(self._verbatim) == self._code_end:  # a line, or another language
                self._flush()
        self._set_style(style, 1)
        return {BOLD: self._end_bold, ITALIC: self._end_italic, STRUCK: self._end_struck, CODE: self._end_code}[style]

    def _end_bold(self) -> None:
        self._set_style(BOLD, -1)

    def _end_italic(self) -> None:
        self._set_style(ITALIC, -1)

    def _end_struck(self) -> None:
        self._set_style(STRUCK, -1)

    def _end_code(self) -> None:
        self._code_end = len(self._verbatim or ())
        self._set_style(CODE, -1)

    def _set_style(self, style: int, change: int) -> None:
        self._depths[style] += change
        if style == CODE or not self._depths[CODE]:  # emphasis within code is left out
            self._style = sum(bit for bit, depth in self._depths.items() if depth)

    def _header(self, tag: str, attributes: Attributes) -> End:
        self._flush()
        if self._flat or self._verbatim is not None:
            return self._flush
        self._heading = int(tag[1])
        self._flat += 1
        return self._end_heading

    def _end_heading(self) -> None:
        if not self._heading:
            self._flush()
            return
        level, self._heading = self._heading, 0
        self._flat -= 1
        inline, self._inline = self._inline, Inline()
        text = inline.markdown(without=BOLD)
        if text:
            self._blocks.append(Block("heading", f"{'#' * level} {text}", self._box, text))

    def _pre(self, tag: str, attributes: Attributes) -> End:
        self._block(tag, attributes)
        if self._flat or self._verbatim is not None:
            return self._flush
        self._verbatim, self._language = [], _language(attributes)
        return self._end_pre

    def _end_pre(self) -> None:
        self._blocks += code(self._verbatim_text(), self._language, self._box)

    def _verbatim_text(self) -> str:
        text, self._verbatim = "".join(self._verbatim or ()), None
        return text.replace("\r\n", "\n").replace("\r", "\n").replace("\xa0", " ")

    # Lists, definitions, quotations

    def _list(self, tag: str, attributes: Attributes) -> End:
        self._block(tag, attributes)
        first = _integer(attributes.get("start"), 1) if tag == "ol" else None
        self._lists.append(_List(first, attributes.get("type") or ""))
        return self._end_list

    def _end_list(self) -> None:
        self._flush()
        self._lists.pop()

    def _item(self, tag: str, attributes: Attributes) -> End:
        items = self._lists[-1] if self._lists else _List(None, "")
        if items.number is not None:
            items.number = _integer(attributes.get("value"), items.number)
        marker = items.marker()
        return self._open_box(marker, " " * len(marker), items)

    def _term(self, tag: str, attributes: Attributes) -> End:
        return self._open_box("" if tag == "dt" else ": ", "", self._lists[-1] if self._lists else None)

    def _quotation(self, tag: str, attributes: Attributes) -> End:
        self._block(tag, attributes)
        return self._open_box("> ", "> ", None)

    def _open_box(self, marker: str, indent: str, owner: object) -> End:
        self._flush()
        level = self._box.level + 1 if self._box else 1
        if level > MAX_LEVELS:
            return self._flush
        self._box = Box(self._box, marker, indent, owner, level)
        return self._end_box

    def _end_box(self) -> None:
        self._flush()
        self._box = self._box.outer if self._box else None

    # Tables

    def _table(self, tag: str, attributes: Attributes) -> End:
        self._block(tag, attributes)
        if self._flat or self._verbatim is not None:
            return self._flush
        self._tables.append(OpenTable(self._blocks, self._box, attributes.get("role") in ("presentation", "none")))
        self._blocks = self._tables[-1].stray
        return self._end_table

    def _end_table(self) -> None:
        self._flush()
        read = self._tables.pop()
        self._blocks, self._box = read.outside, read.box
        self._blocks += table(read, depth=1 + len(self._tables))

    def _part(self, tag: str, attributes: Attributes) -> End:
        self._flush()
        if self._tables and not self._flat:
            self._tables[-1].part = tag
        return self._flush

    def _row(self, tag: str, attributes: Attributes) -> End:
        self._flush()
        if self._tables and not self._flat:
            self._tables[-1].rows.append((self._tables[-1].part, []))
        return self._flush

    def _cell(self, tag: str, attributes: Attributes) -> End:
        self._flush()
        if not self._tables or not self._tables[-1].rows or self._flat or self._verbatim is not None:
            return self._flush
        rows = _integer(attributes.get("rowspan"), 1)
        cell = OpenCell(_integer(attributes.get("colspan"), 1), rows or 65534, tag == "th")
        self._tables[-1].rows[-1][1].append(cell)
        self._blocks = cell.blocks
        if "data-code" not in attributes:
            return self._flush
        self._verbatim, self._language = [], ""
        return self._end_pre

    def _caption(self, tag: str, attributes: Attributes) -> End:
        self._flush()
        if not self._tables or self._flat or self._verbatim is not None:
            return self._flush
        self._apart()
        return self._end_caption

    def _end_caption(self) -> None:
        self._tables[-1].caption = self._joined().plain()

    # Parts of a line

    def _apart(self) -> None:
        """Collect what follows apart from the paragraph, in one line."""
        self._outer.append(self._inline)
        self._inline = Inline()
        self._flat += 1

    def _joined(self) -> Inline:
        """Return what was collected, and go on with the paragraph."""
        self._flat -= 1
        apart, self._inline = self._inline, self._outer.pop()
        return apart

    def _script(self, tag: str, attributes: Attributes) -> End:
        if self._verbatim is not None:
            self._verbatim.append("^" if tag == "sup" else "_")
            return self._nothing
        self._raised += 1
        if self._raised > 1:  # an exponent's exponent
            self._inline.add("^" if tag == "sup" else "_")
            return self._end_inner_script
        is_link = self._link_start == len(self._inline.pieces)
        self._is_note = is_link or _NOTE.search(attributes.get("class") or "") is not None
        self._apart()
        return self._end_superscript if tag == "sup" else self._end_subscript

    def _end_inner_script(self) -> None:
        self._raised -= 1

    def _end_superscript(self) -> None:
        self._raised = 0
        text = self._joined().plain()
        self._inline.add_mark(NOTE if self._is_note else SUP, text, self._style)

    def _end_subscript(self) -> None:
        self._raised = 0
        text = self._joined().plain()
        self._inline.add_mark(NOTE if self._is_note else SUB, text, self._style)

    def _link(self, tag: str, attributes: Attributes) -> End:
        if "href" not in attributes or self._verbatim is not None:
            return self._nothing
        if self._raised:
            self._is_note = True
            return self._nothing
        self._inline.begin_element(link=True)
        self._link_start = len(self._inline.pieces)
        about = f"{attributes.get('class')} {attributes.get('role')} {attributes.get('epub:type')}"
        if not _NOTE.search(about):
            return self._end_link
        self._apart()
        return self._end_note

    def _end_link(self) -> None:
        self._link_start = -1
        self._inline.end_element(link=True)

    def _span(self, tag: str, attributes: Attributes) -> End:
        self._inline.begin_element(link=False)
        return self._end_span

    def _end_span(self) -> None:
        self._inline.end_element(link=False)

    def _end_note(self) -> None:
        self._link_start = -1
        text = self._joined().plain()
        if len(text) > _MAX_MARK:
            self._inline.add(text, self._style)
        else:
            self._inline.add_mark(NOTE, text, self._style)

    # Readings above words

    def _ruby(self, tag: str, attributes: Attributes) -> End:
        if self._verbatim is not None or self._ruby_start >= 0:
            return self._nothing
        self._ruby_start, self._readings = len(self._inline.pieces), []
        return self._end_ruby

    def _end_ruby(self) -> None:
        self._inline.add_reading(self._ruby_start, self._readings)
        self._ruby_start = -1

    def _reading(self, tag: str, attributes: Attributes) -> End:
        if self._verbatim is not None:
            self._verbatim.append("（")
            return self._end_verbatim_reading
        if self._ruby_start < 0:
            return self._nothing
        self._apart()
        return self._end_reading

    def _end_verbatim_reading(self) -> None:
        self.text("）")

    def _end_reading(self) -> None:
        self._readings.append(self._joined().plain())

    def _image(self, tag: str, attributes: Attributes) -> End:
        self.text(attributes.get("alt") or attributes.get("title") or "")
        return self._nothing

    def _quote(self, tag: str, attributes: Attributes) -> End:
        self._quote_mark()
        return self._quote_mark

    def _quote_mark(self) -> None:
        self.text('"')

    def _spaced(self, tag: str, attributes: Attributes) -> End:
        self._space()
        return self._space

    def _space(self) -> None:
        self.text(" ")

    # Form fields

    def _input(self, tag: str, attributes: Attributes) -> End:
        kind = (attributes.get("type") or "text").lower()
        if self._verbatim is not None:
            return self._nothing
        if kind in ("checkbox", "radio"):
            self.text(" [x] " if "checked" in attributes else " [ ] ")
        elif kind not in _WITHOUT_WORDS:
            self.text(f" {attributes.get('value') or ''} ")
        return self._nothing

    def _textarea(self, tag: str, attributes: Attributes) -> End:
        if self._verbatim is not None:
            return self._nothing
        self._verbatim, self._language = [], ""
        return self._end_textarea

    def _end_textarea(self) -> None:
        text = self._verbatim_text()
        if "\n" in text.strip() and not self._flat:
            self._flush()
            self._blocks += code(text, "", self._box)
        else:
            self.text(f" {text} ")

    def _select(self, tag: str, attributes: Attributes) -> End:
        if self._options is not None or self._verbatim is not None:
            return self._nothing
        self.text(" ")
        self._options, self._selected = [], []
        self._muted.append(True)
        return self._end_select

    def _end_select(self) -> None:
        self._muted.pop()
        options, self._options = self._options or [], None
        if len(options) > _MAX_OPTIONS:
            self.left_out["select"] = self.left_out.get("select", 0) + 1
            options = self._selected
        self.text(", ".join(options) + " ")

    def _group(self, tag: str, attributes: Attributes) -> End:
        if self._options is not None and (label := attributes.get("label")):
            self._options.append(" ".join(label.split()))
        return self._block(tag, attributes)

    def _option(self, tag: str, attributes: Attributes) -> End:
        if self._options is None or len(self._muted) > 50:
            return self._nothing
        self._apart()
        self._muted.append(False)
        self.text(f"{attributes.get('label') or ''} ")
        return self._end_selected if "selected" in attributes else self._end_option

    def _end_option(self) -> None:
        self._muted.pop()
        text = self._joined().plain()
        if text and self._options is not None:
            self._options.append(text)

    def _end_selected(self) -> None:
        self._end_option()
        self._selected = (self._options or [])[-1:]

    # Drawings, of which only the words are written

    def _drawing(self, tag: str, attributes: Attributes) -> End:
        self._muted.append(True)
        return self._unmute

    def _drawn_words(self, tag: str, attributes: Attributes) -> End:
        self._muted.append(False)
        self.text(" ")
        return self._end_drawn_words

    def _end_drawn_words(self) -> None:
        self.text(" ")
        self._muted.pop()

    def _unmute(self) -> None:
        self._muted.pop()

    _elements: ClassVar[dict[str, Callable[[MarkdownWriter, str, Attributes], End]]] = {
        **dict.fromkeys(_BLOCKS, _block),
        **dict.fromkeys(_STYLES, _emphasis),
        **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), _header),
        **dict.fromkeys(("pre", "listing", "xmp", "plaintext"), _pre),
        **dict.fromkeys(("ul", "ol", "dl", "menu", "dir"), _list),
        **dict.fromkeys(("dt", "dd"), _term),
        **dict.fromkeys(("thead", "tbody", "tfoot"), _part),
        **dict.fromkeys(("td", "th"), _cell),
        **dict.fromkeys(("sup", "sub"), _script),
        **dict.fromkeys(("button", "output", "meter", "progress", "video", "audio", "canvas"), _spaced),
        **dict.fromkeys(("span", "time", "label", "small"), _span),
        "a": _link,
        "blockquote": _quotation,
        "br": _break,
        "caption": _caption,
        "foreignObject": _drawn_words,
        "hr": _rule,
        "img": _image,
        "input": _input,
        "li": _item,
        "optgroup": _group,
        "option": _option,
        "q": _quote,
        "rt": _reading,
        "rtc": _reading,
        "ruby": _ruby,
        "select": _select,
        "svg": _drawing,
        "table": _table,
        "text": _drawn_words,
        "textarea": _textarea,
        "tr": _row,
    }
    """How each element is begun. Others do not change what is written."""


def _language(attributes: Attributes) -> str:
    found = _LANGUAGE.search(attributes.get("class") or "")
    return found[1] if found else ""


def _integer(value: str | None, default: int) -> int:
    found = _INTEGER.match(value or "")
    return int(found[1]) if found else default
