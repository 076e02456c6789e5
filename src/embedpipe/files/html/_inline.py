"""Write the words of one paragraph as Markdown: emphasis, code, exponents, indices and marks of footnotes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from embedpipe.files._readings import joined_reading, listed_readings
from embedpipe.files._scripts import NOTE, SUB, SUP, raised

BOLD, ITALIC, STRUCK, CODE = 1, 2, 4, 8
_MARKERS = {BOLD: "**", ITALIC: "*", STRUCK: "~~"}

BREAK = "break"

_SPACES = re.compile("  +")
_NEW_WORD = re.compile(r"[a-zß-öø-ÿ][A-ZÀ-ÖØ-Þ]|[^\W\d_]\d|\d[^\W\d_]|%[\dA-Za-z]")
_BACKTICKS = re.compile("`+")
_FRACTION = re.compile(r"\d{1,4}[/⁄∕]\d{1,4}")


class Piece(NamedTuple):
    """Words with one style, or a line break, exponent, index or mark of a note (its text)."""

    kind: str
    text: str
    style: int = 0


@dataclass(slots=True)
class _Reading:
    """What stands above the pieces from one place to another, and says how to pronounce them."""

    start: int
    end: int
    texts: list[str]


class Inline:
    """Collects the pieces of a paragraph. Blank characters count as HTML says: any number of them is one space."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self._blank = True
        self._divided = False
        self._ended = -1  # how many pieces there were when an element ended last
        self._ended_link = False
        self._readings: list[_Reading] = []

    def add(self, text: str, style: int = 0) -> None:
        """Add words."""
        for blank in "\n\t\r\f":  # a pattern of all takes forty times as long
            text = text.replace(blank, " ")
        if "  " in text:
            text = _SPACES.sub(" ", text)
        if self._blank:
            text = text.removeprefix(" ")
        if text:
            if self._divided and not self._blank and not style & CODE:
                text = self._apart(text)
            self._divided = False
            self.pieces.append(Piece("", text, style))
            self._blank = text.endswith(" ")

    def begin_element(self, *, link: bool) -> None:
        """Begin an element that pages often set apart from the one before by its style alone: a link or `<span>`."""
        if self._ended == len(self.pieces):
            self._divided = True
            self._ended_link = self._ended_link or link

    def end_element(self, *, link: bool) -> None:
        """End such an element."""
        self._ended_link = link or (self._ended_link and self._ended == len(self.pieces))
        self._ended = len(self.pieces)

    def _apart(self, text: str) -> str:
        """Return the first words of an element with a space before them if they would run into those before."""
        before = self.pieces[-1].text
        if self._ended_link:
            divided = before[-1].isalnum() and text[0].isalnum()
        else:  # editors put a part of a word into an element of its own, too
            divided = min(len(before), len(text)) > 2 and _NEW_WORD.fullmatch(before[-1] + text[0]) is not None
        return f" {text}" if divided else text

    def add_break(self) -> None:
        """End the line."""
        self.pieces.append(Piece(BREAK, "\n"))
        self._blank = True

    def add_mark(self, kind: str, text: str, style: int = 0) -> None:
        """Add an exponent (SUP), an index (SUB) or the mark of a note (NOTE)."""
        if text.strip():
            self.pieces.append(Piece(kind, text.strip(), style))
            self._blank = False

    def add_reading(self, start: int, readings: list[str]) -> None:
        """Add the readings that stand above the pieces from the place `start` on."""
        if self._readings and self._readings[-1].end == start:  # a word whose characters are elements of their own
            self._readings[-1].texts += readings
            self._readings[-1].end = len(self.pieces)
        else:
            self._readings.append(_Reading(start, len(self.pieces), readings))

    def is_blank(self) -> bool:
        """Return whether there are no words yet."""
        return not any(piece.text.strip() for piece in self.pieces)

    def plain(self) -> str:
        """Return the words without emphasis and in one line."""
        text = "".join(piece.text for piece in self._resolved()).replace("\n", " ").strip()
        return text + self._listed_readings()

    def markdown(self, *, without: int = 0) -> str:
        """Return the words with emphasis and code as Markdown, without the styles `without`. Breaks are line ends."""
        pieces = self._resolved()
        text = "".join(piece.text for piece in pieces)
        inserted: list[tuple[int, int, str]] = []
        used = 0
        for piece in pieces:
            used |= piece.style
        for order, style in enumerate((BOLD, ITALIC, STRUCK, CODE)):
            if style & used & ~without:
                inserted += _markers(pieces, text, style, order)
        return _with_insertions(text, inserted).strip() + self._listed_readings()

    def _listed_readings(self) -> str:
        return listed_readings(
            [
                (
                    "".join(piece.text for piece in self.pieces[above.start : above.end]).strip(),
                    joined_reading(above.texts),
                )
                for above in self._readings
            ]
        )

    def _resolved(self) -> list[Piece]:
        """Return the pieces with exponents, indices and notes as words."""
        resolved: list[Piece] = []
        before = ""
        lower = -1  # the place of a fraction's lower number
        for place, piece in enumerate(self.pieces):
            text = piece.text
            if place == lower:
                pass
            elif piece.kind == SUP and _FRACTION.fullmatch(
                "".join(part.text for part in self.pieces[place : place + 3])
            ):
                lower = place + 2
                text = f" {text}" if before[-1:].isdigit() else text
            elif piece.kind in (SUP, SUB, NOTE):
                following = self.pieces[place + 1] if place + 1 < len(self.pieces) else None
                after = following.text[:2] if following else ""
                if following and following.kind in (SUP, SUB):
                    after = f"{'^' if following.kind == SUP else '_'}{after}"
                text = raised(piece.kind, text, before, after)
            resolved.append(Piece(BREAK if piece.kind == BREAK else "", text, piece.style))
            before = (before + text[-60:])[-60:]
        return resolved


def _markers(pieces: list[Piece], text: str, style: int, order: int) -> list[tuple[int, int, str]]:
    """Return where the markers of a style go: (offset, rank among those at the same offset, marker)."""
    found: list[tuple[int, int, str]] = []
    start = place = 0
    outer = style - 1  # the bits of the styles whose markers stand outside
    for number, piece in enumerate(pieces):
        end = place + len(piece.text)
        following = pieces[number + 1] if number + 1 < len(pieces) else None
        if piece.style & style and piece.kind != BREAK:
            if (
                following is None
                or following.kind == BREAK
                or not following.style & style
                or (following.style ^ piece.style) & outer
            ):
                found += _around(text, start, end, style, order)
                start = end
        else:
            start = end
        place = end
    return found


def _around(text: str, start: int, end: int, style: int, order: int) -> list[tuple[int, int, str]]:
    words = text[start:end]
    end -= len(words) - len(words.rstrip())
    start += len(words) - len(words.lstrip())
    if start >= end:
        return []
    if style == CODE:
        marker = "`" * (1 + max(map(len, _BACKTICKS.findall(words)), default=0))
        padded = " " if text[start] == "`" or text[end - 1] == "`" else ""
        return [(start, 10 + order, marker + padded), (end, -order, padded + marker)]
    # Emphasis of a part of a word would divide the word. What is struck out does not belong to it: ~~3~~5 is not 35.
    divides = (start and text[start - 1].isalnum() and text[start].isalnum()) or (
        text[end : end + 1].isalnum() and text[end - 1].isalnum()
    )
    if divides and style != STRUCK:
        return []
    return [(start, 10 + order, _MARKERS[style]), (end, -order, _MARKERS[style])]


def _with_insertions(text: str, inserted: list[tuple[int, int, str]]) -> str:
    if not inserted:
        return text
    parts, done = [], 0
    for place, _, marker in sorted(inserted):
        parts += [text[done:place], marker]
        done = place
    return "".join([*parts, text[done:]])
