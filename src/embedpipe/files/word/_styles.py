"""What Word's styles say of paragraphs and runs, with what they inherit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from embedpipe.files.word._numbering import W, number

_HEADING = re.compile(r"heading ?([1-9])")
_CODE = re.compile(r"(?:source |program )?code(?: block| text)?|html preformatted|preformatted(?: text)?|verbatim")
_OFF = ("0", "false", "off", "none")
_SCRIPTS = {"superscript": 1, "subscript": -1}


class RunFormat(NamedTuple):
    """How a run is formatted. None where it says nothing."""

    bold: bool | None = None
    italic: bool | None = None
    struck: bool | None = None
    hidden: bool | None = None
    script: int | None = None
    font: str | None = None

    @classmethod
    def of(cls, properties: Any) -> RunFormat:
        """Return the format in a w:rPr."""
        found: dict[str, Any] = {}
        for element in properties:
            tag = element.tag
            if tag in _TOGGLES:
                found[_TOGGLES[tag]] = element.get(f"{W}val") not in _OFF
            elif tag == f"{W}vertAlign":
                found["script"] = _SCRIPTS.get(element.get(f"{W}val"), 0)
            elif tag == f"{W}rFonts":
                found["font"] = element.get(f"{W}ascii") or element.get(f"{W}hAnsi")
        return cls(**found)

    def over(self, other: RunFormat) -> RunFormat:
        """Return this format, and the other's where this says nothing."""
        return other._replace(**{key: value for key, value in self._asdict().items() if value is not None})


_TOGGLES = {
    f"{W}b": "bold",
    f"{W}i": "italic",
    f"{W}strike": "struck",
    f"{W}dstrike": "struck",
    f"{W}vanish": "hidden",
}
PLAIN = RunFormat()


@dataclass(slots=True)
class ParagraphStyle:
    """What a paragraph's style says.

    Args:
        heading: The level of headings, 0 for none.
        code: Whether the paragraph is a line of code.
        numbering: The list that numbers the paragraph, or None.
        level: The level within the list. None for that which the list gives to the style.
        numbered_by: The id of the style that names the list.
    """

    heading: int = 0
    code: bool = False
    numbering: str | None = None
    level: int | None = None
    numbered_by: str = ""


class Styles:
    """The styles of a document.

    Args:
        root: The root of the part on styles, or None.
    """

    def __init__(self, root: Any) -> None:
        self._elements: dict[str, Any] = {}
        self.default = ""
        self.lists: dict[str, str] = {}
        self._paragraphs: dict[str, ParagraphStyle] = {}
        self._runs: dict[str, RunFormat] = {}
        for style in () if root is None else root.iter(f"{W}style"):
            name = style.get(f"{W}styleId", "")
            self._elements[name] = style
            if style.get(f"{W}type") == "paragraph" and style.get(f"{W}default") in ("1", "true", "on"):
                self.default = name
            if style.get(f"{W}type") == "numbering":
                self.lists[name] = _value(style.find(f"{W}pPr/{W}numPr/{W}numId")) or ""

    def paragraph(self, name: str) -> ParagraphStyle:
        """Return what a paragraph style says, by its id."""
        if name not in self._paragraphs:
            found = ParagraphStyle(heading=self._heading(name))
            for style in self._chain(name):
                found.code = found.code or bool(_CODE.fullmatch(_name(style)))
                listed = style.find(f"{W}pPr/{W}numPr")
                if listed is not None and found.numbering is None:
                    found.numbering = _value(listed.find(f"{W}numId"))
                    found.numbered_by = style.get(f"{W}styleId", "")
                if listed is not None and found.level is None and listed.find(f"{W}ilvl") is not None:
                    found.level = number(listed.find(f"{W}ilvl"), 0)
            self._paragraphs[name] = found
        return self._paragraphs[name]

    def run(self, name: str) -> RunFormat:
        """Return what a character style says, by its id."""
        if name not in self._runs:
            found = PLAIN
            for style in self._chain(name):
                properties = style.find(f"{W}rPr")
                found = found if properties is None else found.over(RunFormat.of(properties))
            self._runs[name] = found
        return self._runs[name]

    def _heading(self, name: str) -> int:
        if name not in self._elements:  # a name is all that is left where the part on styles is gone
            known = _HEADING.fullmatch(name.lower())
            return int(known[1]) if known else int(name.lower() == "title")
        for style in self._chain(name):
            outline = style.find(f"{W}pPr/{W}outlineLvl")
            if outline is not None:
                level = number(outline, 9)
                return level + 1 if 0 <= level < 9 else 0
            known = _HEADING.fullmatch(_name(style))
            if known or _name(style) == "title":
                return int(known[1]) if known else 1
        return 0

    def _chain(self, name: str) -> Iterator[Any]:
        """Yield a style, the one that it is based on, and so on. Word allows ten."""
        for _ in range(10):
            style = self._elements.get(name)
            if style is None:
                return
            yield style
            name = _value(style.find(f"{W}basedOn")) or ""


def _name(style: Any) -> str:
    return (_value(style.find(f"{W}name")) or "").lower()


def _value(element: Any) -> str | None:
    return None if element is None else element.get(f"{W}val")
