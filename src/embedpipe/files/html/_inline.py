"""Write the words of one paragraph as Markdown: emphasis, code, exponents, indices and marks of footnotes."""

from __future__ import annotations

import re
from typing import NamedTuple

BOLD, ITALIC, STRUCK, CODE = 1, 2, 4, 8
_MARKERS = {BOLD: "**", ITALIC: "*", STRUCK: "~~"}

BREAK, SUP, SUB, NOTE = "break", "sup", "sub", "note"

_BLANK = re.compile(r"[ \t\n\r\f]+")
_BACKTICKS = re.compile("`+")
_NUMBER = re.compile(r"\d{1,3}(?:\s?[,;–-]\s?\d{1,3})*")
_SIGNS = re.compile(r"[*†‡§¶#‖⁂]+|\[[^\]]*\]|\(\d{1,3}\)")
_SIMPLE = re.compile(r"[+\-−–±]?(?:\w+(?:[.,]\d+)?|∞|′|″|\*)[+\-−]?|[+\-−]")
_ABBREVIATED = re.compile(
    r"(?:st|nd|rd|th|er|ers|re|res|ère|ères|ème|èmes|eme|de|nde|me|mes|lle|lles|gr|ve|os|as|es|tm|sm|™|®|©|℠|º|ª|°)\.?",
    re.IGNORECASE,
)
_ORDINAL = re.compile(r"(?:e|o|a|d)\.?")
_NUMERAL = re.compile(r"(?:\d|\b[IVXLCDM]+|\b[nN]|\.)$")
_WORD = re.compile(
    r"(?:[^\W\d_]{4,}|(?<![^\W\d_])(?!(?:sin|cos|tan|cot|sec|csc|log|exp|det|mol|rad|yds)$)[^\W\d_]{3})$"
)
"""A word, in place of a unit, a variable or a function."""
_IN_PARENTHESES = re.compile(r"\(([^()]*)\)$")
_FRACTION = re.compile(r"\d{1,4}[/⁄∕]\d{1,4}")
_ELEMENT = re.compile(r"[A-Z][a-z]?(?![a-z])")


class Piece(NamedTuple):
    """Words with one style, or a line break, exponent, index or mark of a note (its text)."""

    kind: str
    text: str
    style: int = 0


class Inline:
    """Collects the pieces of a paragraph. Blank characters count as HTML says: any number of them is one space."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self._blank = True

    def add(self, text: str, style: int = 0) -> None:
        """Add words."""
        text = _BLANK.sub(" ", text)
        if self._blank:
            text = text.removeprefix(" ")
        if text:
            self.pieces.append(Piece("", text, style))
            self._blank = text.endswith(" ")

    def add_break(self) -> None:
        """End the line."""
        self.pieces.append(Piece(BREAK, "\n"))
        self._blank = True

    def add_mark(self, kind: str, text: str, style: int = 0) -> None:
        """Add an exponent (SUP), an index (SUB) or the mark of a note (NOTE)."""
        if text.strip():
            self.pieces.append(Piece(kind, text.strip(), style))
            self._blank = False

    def is_blank(self) -> bool:
        """Return whether there are no words yet."""
        return not any(piece.text.strip() for piece in self.pieces)

    def plain(self) -> str:
        """Return the words without emphasis and in one line."""
        return "".join(piece.text for piece in self._resolved()).replace("\n", " ").strip()

    def markdown(self, *, without: int = 0) -> str:
        """Return the words with emphasis and code as Markdown, without the styles `without`. Breaks are line ends."""
        pieces = self._resolved()
        text = "".join(piece.text for piece in pieces)
        inserted: list[tuple[int, int, str]] = []
        for order, style in enumerate((BOLD, ITALIC, STRUCK, CODE)):
            if not style & without:
                inserted += _markers(pieces, text, style, order)
        return _with_insertions(text, inserted).strip()

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
                after = self.pieces[place + 1].text[:2] if place + 1 < len(self.pieces) else ""
                text = _raised(piece, before, after)
            resolved.append(Piece(BREAK if piece.kind == BREAK else "", text, piece.style))
            before = (before + text[-60:])[-60:]
        return resolved


def _raised(piece: Piece, before: str, after: str) -> str:
    """Return an exponent as "^6", an index as "_2", a note's mark as "[1]". Ordinals and small print stay."""
    text = piece.text
    if piece.kind == NOTE or (piece.kind == SUP and _is_note(text, before, after)):
        return text if _SIGNS.fullmatch(text) else f"[{text}]"
    if piece.kind == SUP and (_ABBREVIATED.fullmatch(text) or (_ORDINAL.fullmatch(text) and _NUMERAL.search(before))):
        return text
    if len(re.findall(r"[^\W\d_]{2,}", text[:200])) > 1:  # small print
        return f" {text} " if before[-1:].isalnum() else text
    sign = "^" if piece.kind == SUP else "_"
    simple = _SIMPLE.fullmatch(text) or (text.startswith("(") and text.endswith(")"))
    return sign + text if simple else f"{sign}({text})"


def _is_note(text: str, before: str, after: str) -> bool:
    """Return whether raised signs without a link are a footnote's mark: that of "tea1", not "m2", "106", "(a+b)2"."""
    if _SIGNS.fullmatch(text):
        return not (text == "*" and re.search(r"\b[A-Za-z]$", before))  # a* is an optimum or a conjugate
    if not _NUMBER.fullmatch(text):
        return False
    if not before or before[-1].isspace():
        return not _ELEMENT.match(after)  # of isotopes, the number comes first
    if before.endswith(")"):
        enclosed = _IN_PARENTHESES.search(before)
        return enclosed is None or re.search(r"[^\W\d_]{4,}", enclosed[1]) is not None
    return before[-1] in ".,;:!?\"'”’»%" or _WORD.search(before) is not None


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
    # Emphasis of a part of a word would divide the word.
    if (start and text[start - 1].isalnum() and text[start].isalnum()) or (
        text[end : end + 1].isalnum() and text[end - 1].isalnum()
    ):
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
