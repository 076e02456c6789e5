"""What the styles of an OpenDocument file say: emphasis, titles, and the numbers of lists and headings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from embedpipe.files._numbers import formatted

OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
STYLE = "{urn:oasis:names:tc:opendocument:xmlns:style:1.0}"
TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_FO = "{urn:oasis:names:tc:opendocument:xmlns:xsl-fo-compatible:1.0}"

_KINDS = {"i": "lowerRoman", "I": "upperRoman", "a": "lowerLetter", "A": "upperLetter", "1": "decimal"}


def whole(element: Any, attribute: str, default: int) -> int:
    """Return a whole number of at most six digits in an attribute, or the default."""
    text = element.get(attribute, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 7 else default


class Format(NamedTuple):
    """How a span is formatted."""

    bold: bool = False
    italic: bool = False
    struck: bool = False
    script: int = 0
    hidden: bool = False

    def changed(self, properties: Any) -> Format:
        """Return this format with what style:text-properties change of it."""
        found: dict[str, Any] = {}
        if weight := properties.get(f"{_FO}font-weight"):
            found["bold"] = weight in ("bold", "bolder", "600", "700", "800", "900")
        if slant := properties.get(f"{_FO}font-style"):
            found["italic"] = slant in ("italic", "oblique")
        if line := properties.get(f"{STYLE}text-line-through-style"):
            found["struck"] = line != "none"
        if position := properties.get(f"{STYLE}text-position", "").split():
            low = position[0] == "sub" or position[0].startswith("-")
            found["script"] = 0 if position[0].strip("0%.") == "" else -1 if low else 1
        if display := properties.get(f"{TEXT}display"):
            found["hidden"] = display == "none"
        return self._replace(**found)

    def within(self, other: Format) -> Format:
        """Return the format of a span within a span."""
        return Format(
            self.bold or other.bold,
            self.italic or other.italic,
            self.struck or other.struck,
            self.script or other.script,
            self.hidden or other.hidden,
        )


class _Level(NamedTuple):
    kind: str
    before: str
    after: str
    shown: int
    start: int

    @classmethod
    def of(cls, element: Any) -> _Level:
        numbered = element.tag in (f"{TEXT}list-level-style-number", f"{TEXT}outline-level-style")
        return cls(
            kind=element.get(f"{STYLE}num-format", "") if numbered else "-",
            before=element.get(f"{STYLE}num-prefix", "")[:100],
            after=element.get(f"{STYLE}num-suffix", "")[:100],
            shown=whole(element, f"{TEXT}display-levels", 1),
            start=whole(element, f"{TEXT}start-value", 1),
        )


@dataclass(slots=True)
class Counts:
    """The numbers of a list, or of all headings, by level."""

    levels: dict[int, _Level]
    counts: dict[int, int] = field(default_factory=dict)

    def label(self, level: int, start: int | None = None) -> str:
        """Count an item, and return its label: "-" for bullets, "" where none is shown.

        Args:
            level: The item's level, from 1 on.
            start: The number that the item itself names.
        """
        shown = self.levels.get(level)
        self.counts = {other: count for other, count in self.counts.items() if other <= level}
        first = shown.start if shown else 1
        self.counts[level] = self.counts.get(level, first - 1) + 1 if start is None else start
        if shown is None or shown.kind in ("", "-"):
            return "-" if shown is not None and shown.kind == "-" else ""
        numbers = [
            formatted(self.counts.get(other, above.start), _KINDS.get(above.kind, above.kind))
            for other in range(max(1, level - shown.shown + 1), level + 1)
            if (above := self.levels.get(other)) is not None and above.kind not in ("", "-")
        ]
        return f"{shown.before}{'.'.join(numbers)}{shown.after}".strip()


class Styles:
    """The styles of a file.

    Args:
        roots: The roots of its parts.
    """

    def __init__(self, roots: list[Any]) -> None:
        self._styles: dict[tuple[str, str], Any] = {}
        self._formats: dict[str, Format] = {}
        self._lists: dict[str, dict[int, _Level]] = {}
        self.headings = Counts({})
        for root in roots:
            for style in root.iter(f"{STYLE}style"):
                self._styles.setdefault((style.get(f"{STYLE}family", ""), style.get(f"{STYLE}name", "")), style)
            for listed in root.iter(f"{TEXT}list-style"):
                self._lists.setdefault(listed.get(f"{STYLE}name", ""), _levels(listed))
            for outline in root.iter(f"{TEXT}outline-style"):
                self.headings = Counts(_levels(outline))

    def list_of(self, name: str) -> Counts:
        """Return a new list of a list style, by its name. Without a style, it has bullets."""
        return Counts(self._lists.get(name) or {level: _Level("-", "", "", 1, 1) for level in range(1, 11)})

    def span(self, name: str) -> Format:
        """Return the format of a text style."""
        if name not in self._formats:
            found = Format()
            for style in reversed(list(self._chain("text", name))):
                properties = style.find(f"{STYLE}text-properties")
                found = found if properties is None else found.changed(properties)
            self._formats[name] = found
        return self._formats[name]

    def is_title(self, name: str) -> bool:
        """Return whether a paragraph style is that of the title, or based on it."""
        return any(style.get(f"{STYLE}name") == "Title" for style in self._chain("paragraph", name))

    def is_code(self, name: str) -> bool:
        """Return whether a paragraph style is that of preformatted text, or based on it."""
        return any(style.get(f"{STYLE}name") == "Preformatted_20_Text" for style in self._chain("paragraph", name))

    def _chain(self, family: str, name: str) -> Iterator[Any]:
        for _ in range(20):
            style = self._styles.get((family, name))
            if style is None:
                return
            yield style
            name = style.get(f"{STYLE}parent-style-name", "")


def _levels(element: Any) -> dict[int, _Level]:
    return {whole(level, f"{TEXT}level", 1): _Level.of(level) for level in element if level.get(f"{TEXT}level")}
