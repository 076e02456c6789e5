"""Write the parts of a line: emphasis, exponents, indices, marks of notes, links, readings above words."""

from __future__ import annotations

import re
from typing import ClassVar

from embedpipe.files._scripts import NOTE, SUB, SUP
from embedpipe.files.html._block_writer import Attributes, BlockWriter, Elements, End, language
from embedpipe.files.html._inline import BOLD, CODE, ITALIC, STRUCK

_STYLES = {
    **dict.fromkeys(("b", "strong"), BOLD),
    **dict.fromkeys(("i", "em", "cite", "dfn", "var"), ITALIC),
    **dict.fromkeys(("s", "strike", "del"), STRUCK),
    **dict.fromkeys(("code", "kbd", "samp", "tt"), CODE),
}

_MAX_MARK = 3
_NOTE = re.compile(r"foot-?note|\bfn|note-?ref|reference|\bcit|endnote", re.IGNORECASE)


class LineWriter(BlockWriter):
    """Writes what stands within a line, as well as the blocks."""

    def __init__(self) -> None:
        super().__init__()
        self._code_end = 0  # how many texts the open block of code had where the last <code> in it ended
        self._depths = dict.fromkeys((BOLD, ITALIC, STRUCK, CODE), 0)
        self._raised = 0
        self._is_note = False
        self._link_start = -1  # how many pieces the paragraph had where the open link began
        self._ruby_start = -1  # how many pieces the paragraph had where the open <ruby> began
        self._readings: list[str] = []

    def _break(self, tag: str, attributes: Attributes) -> End:
        if self._verbatim is not None:
            self._verbatim.append("\n")
        elif self._flat:
            self._inline.add(" ")
        else:
            self._inline.add_break()
        return self._nothing

    def _emphasis(self, tag: str, attributes: Attributes) -> End:
        style = _STYLES[tag]
        if style == CODE:
            self._language = self._language or language(attributes)
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

    elements: ClassVar[Elements] = {
        **BlockWriter.elements,
        **dict.fromkeys(_STYLES, _emphasis),
        **dict.fromkeys(("sup", "sub"), _script),
        **dict.fromkeys(("span", "time", "label", "small"), _span),
        **dict.fromkeys(("button", "output", "meter", "progress", "video", "audio", "canvas"), _spaced),
        "a": _link,
        "br": _break,
        "img": _image,
        "q": _quote,
        "rt": _reading,
        "rtc": _reading,
        "ruby": _ruby,
    }
