"""Write a tree of HTML elements as Markdown, from its start tags, texts and end tags in order.

Each text is written once, without a look at its neighbors in the tree, so the time grows linearly with the page.
"""

from __future__ import annotations

from typing import ClassVar

from embedpipe.files.html._block_writer import Attributes, Elements, End
from embedpipe.files.html._blocks import code
from embedpipe.files.html._line_writer import LineWriter

_SKIPPED = frozenset("head title script style template nav iframe object embed noframes rp math".split())  # noqa: SIM905
"""Elements whose content is no text of the page."""

ATTRIBUTED = frozenset("a code dl img input li ol optgroup option pre sup sub table td th ul listing".split())  # noqa: SIM905
"""The elements whose attributes matter."""

_WITHOUT_WORDS = frozenset("hidden password submit reset image file color range".split())  # noqa: SIM905
"""Kinds of input fields whose value is no text of the page."""

_MAX_OPTIONS = 30


class MarkdownWriter(LineWriter):
    """Takes the elements of a page in order, and writes Markdown."""

    def __init__(self) -> None:
        super().__init__()
        self.left_out: dict[str, int] = {}
        self._ends: list[End] = []  # what ends each of the open elements
        self._options: list[str] | None = None
        self._selected: list[str] = []

    def start(self, tag: str, attributes: Attributes) -> bool:
        """Begin an element. Return whether its content is to be written, and its `end` to be called."""
        if tag in _SKIPPED:
            if tag in ("iframe", "object", "embed"):
                self.left_out[tag] = self.left_out.get(tag, 0) + 1
            return False
        begin = self.elements.get(tag)
        self._ends.append(self._nothing if begin is None else begin(self, tag, attributes))
        return True

    def end(self) -> None:
        """End the element that was begun last."""
        self._ends.pop()()

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

    elements: ClassVar[Elements] = {
        **LineWriter.elements,
        "foreignObject": _drawn_words,
        "input": _input,
        "optgroup": _group,
        "option": _option,
        "select": _select,
        "svg": _drawing,
        "text": _drawn_words,
        "textarea": _textarea,
    }
