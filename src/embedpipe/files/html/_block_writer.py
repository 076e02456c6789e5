"""Write the blocks of a page: paragraphs, headings, code, lists, definitions, quotations and tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeAlias

from embedpipe.files._numbers import formatted
from embedpipe.files.html._blocks import MAX_LEVELS, Block, Box, OpenCell, OpenTable, code, paragraphs, rendered, table
from embedpipe.files.html._inline import BOLD, Inline

Attributes: TypeAlias = Mapping[str, str | None]
End: TypeAlias = Callable[[], None]
Elements: TypeAlias = dict[str, Callable[[Any, str, Attributes], End]]
"""How each element is begun: by a method that takes its name and attributes, and returns what ends it."""

_BLOCKS = """
address article aside body center details dialog div fieldset figcaption figure footer form header hgroup legend main
p search section summary
""".split()  # noqa: SIM905 - read as a list of words

_NOT_IN_HEADINGS = frozenset("p ul ol dl table blockquote pre section article".split())  # noqa: SIM905
"""Within a heading they are errors: its end tag is missing."""
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


class BlockWriter:
    """Collects the blocks of a page. Whatever begins an element returns what ends it."""

    def __init__(self) -> None:
        self._blocks: list[Block] = []
        self._inline = Inline()
        self._outer: list[Inline] = []  # paragraphs that wait for a part that is written apart
        self._flat = 0  # how many of the open elements have their text in one line
        self._style = 0  # of the words that follow: bold, italic, struck, code
        self._muted: list[bool] = [False]
        self._heading = 0
        self._verbatim: list[str] | None = None
        self._language = ""
        self._box: Box | None = None
        self._lists: list[_List] = []
        self._tables: list[OpenTable] = []

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

    def _rule(self, tag: str, attributes: Attributes) -> End:
        self._flush()
        if not self._flat and self._verbatim is None:
            self._blocks.append(Block("rule", "---", self._box, ""))
        return self._nothing

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
        self._verbatim, self._language = [], language(attributes)
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

    elements: ClassVar[Elements] = {
        **dict.fromkeys(_BLOCKS, _block),
        **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), _header),
        **dict.fromkeys(("pre", "listing", "xmp", "plaintext"), _pre),
        **dict.fromkeys(("ul", "ol", "dl", "menu", "dir"), _list),
        **dict.fromkeys(("dt", "dd"), _term),
        **dict.fromkeys(("thead", "tbody", "tfoot"), _part),
        **dict.fromkeys(("td", "th"), _cell),
        "blockquote": _quotation,
        "caption": _caption,
        "hr": _rule,
        "li": _item,
        "table": _table,
        "tr": _row,
    }
    """Elements that are not named do not change what is written."""


def language(attributes: Attributes) -> str:
    """Return the language of code that an element's class names."""
    found = _LANGUAGE.search(attributes.get("class") or "")
    return found[1] if found else ""


def _integer(value: str | None, default: int) -> int:
    found = _INTEGER.match(value or "")
    return int(found[1]) if found else default
