"""Find the sentences of a text, in any language and without a model.

The words on both sides decide about a full stop. Abbreviations, initials, numbers, ordinals and ellipses end no
sentence unless the next word begins one. Chinese, Japanese, Hindi, Arabic, Greek, Thai and other scripts have their own
marks. Hard-wrapped lines are one paragraph. Headings, rules and list items end with their line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from embedpipe._checks import checked_kind
from embedpipe.text.abbreviations import (
    AFTER_AN_ORDINAL,
    BEFORE_A_NAME,
    BEFORE_A_NUMBER,
    BEFORE_AN_ORDINAL,
    ENDS_IN_A_MARK,
    MAY_END,
    STARTERS,
)

# A blank line, or a line break before a list item, behind a colon, or beside a line that rules off a heading.
_BLOCK_BREAK = re.compile(
    r"\n[^\S\n]*(?=\n)|\n(?=[^\S\n]*(?:[-*+•⁃#>|]|\d{1,3}[.)]|[*=\-~^_]{3,})\s)|\n(?=[*=\-~^_]{3,}+[^\S\n]*(?:\n|$))"
    r"|(?<=[*=\-~^_]{3})\n|(?<=:)[^\S\n]*\n(?=[^\W\d_])"
)
_CLOSERS = r"[\"'”’»)\]›」』*_]*+"
_SMILEY = r"(?:[^\S\n]{0,2}[:;=]-?[()DPp](?!\w))?"
_MARKS = r"(?:(?<=\s)\.(?:[^\S\n]\.){2,3}|(?<![.!?…])[.!?…؟۔\u037e]++|(?<=[\u0370-\u03ff]);|(?<=\s)[:;]-?[()D](?!\w))"
_SPACED = rf"(?P<spaced>{_MARKS}{_CLOSERS}(?:[^\S\n]?»)?{_SMILEY}(?=\s))"
_UNSPACED = r"[。！？｡।॥።။។։]++[」』”’）》]*+"
_THAI = r"(?<=[\u0e01-\u0e45\u0e47-\u0e5b])(?=[^\S\n]+[\u0e01-\u0e5b])"
_END = re.compile(rf"{_SPACED}|{_UNSPACED}|{_THAI}")

_LAST_WORD = re.compile(r"[^\s(\[\"'“‘«¿¡]*$")
_NEXT_WORD = re.compile(r"\s*([^\w\s]*)(\w*)")
_INITIALS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]|[A-Z]{2}")
_LIST_MARK = re.compile(r"(?<!\S)(?:[•⁃*+-]\s?)?(\d{1,3}|[a-z])(\.\)|[.)])(?=\s)")
_WORD = re.compile(r"\w")
_NEAR = 60  # how many code points to look back: enough to decide, and the time stays linear


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Return (start, end) of each sentence in order, in code points, without the space around it.

    Every non-space character lies in exactly one span.
    """
    spans: list[tuple[int, int]] = []
    checked_kind("text", text, str)
    start = 0
    for match in _BLOCK_BREAK.finditer(text):
        if match.start() > start:
            spans.extend(_block_sentences(text, start, match.start()))
        start = match.end()
    spans.extend(_block_sentences(text, start, len(text)))
    return spans


def _block_sentences(text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield the sentences of a block: one paragraph, heading or list item."""
    items = _items(text, start, stop)
    for item, (begin, body) in enumerate(items):
        end = items[item + 1][0] if item + 1 < len(items) else stop
        for cut in (*_sentence_ends(text, body, end), end):
            piece = text[begin:cut]
            left = cut - len(piece.lstrip())
            right = begin + len(piece.rstrip())
            if left < right:
                yield left, right
            begin = cut


def _items(text: str, start: int, stop: int) -> list[tuple[int, int]]:
    """Return where each item of a list in one line ("1. This 2. That") and its text begin, else the block."""
    while start < stop and text[start].isspace():
        start += 1
    first = _LIST_MARK.match(text, start, stop)
    if first is None:
        return [(start, start)]
    items = [(start, first.end())]
    label, style = first.groups()
    for match in _LIST_MARK.finditer(text, first.end(), stop):
        expected = str(int(label) + 1) if label.isdigit() else chr(ord(label) + 1)
        if match.groups() == (expected, style):
            items.append((match.start(), match.end()))
            label = expected
    return items if label.isdigit() or len(items) > 1 else [(start, start)]


def _sentence_ends(text: str, start: int, stop: int) -> Iterator[int]:
    while stop > start and not _WORD.match(text, stop - 1):
        stop -= 1  # marks behind the last word belong to it
    begun = start
    for match in _END.finditer(text, start, stop):
        near = max(begun, match.start() - _NEAR)
        if match["spaced"]:
            is_end = _ends_here(text, match, near=near, stop=stop)
        else:
            is_end = not _inside_brackets(text, near, match.end())
        if is_end:
            begun = match.end()
            yield begun


def _inside_brackets(text: str, near: int, end: int) -> bool:
    return any(text.rfind(pair[0], near, end) > text.rfind(pair[1], near, end) for pair in ("《》", "「」", "『』"))


def _ends_here(text: str, match: re.Match[str], *, near: int, stop: int) -> bool:
    """Decide whether the sentence ends with this run of marks and closing quotes."""
    marks = match["spaced"]
    next_word = _NEXT_WORD.match(text, match.end(), stop)
    last_word = _LAST_WORD.search(text, near, match.start())
    openers, following = next_word.groups() if next_word else ("", "")
    word = last_word.group() if last_word else ""
    if openers[:1] and openers[0] in ",;:)]}%":
        return False
    if marks.startswith(". ."):  # a spaced ellipsis has a fourth stop at the end of a sentence
        return marks.count(".") > 3 and not following[:1].islower()
    if marks[0] != "." or marks[:2] == "..":
        return _strong_end(text, match, word=word, following=following, near=near)
    if following[:1].islower():
        return _ends_before_lower(word, closed=len(marks) > 1)
    return _stop_ends(text, match, word=word, following=following, near=near)


def _strong_end(text: str, match: re.Match[str], *, word: str, following: str, near: int) -> bool:
    """Decide for marks other than one full stop."""
    marks = match["spaced"]
    if following[:1].islower():
        return marks[-1] in "!?" and f"{word}{marks}".lower() not in ENDS_IN_A_MARK
    elided = text[match.start() - 1 : match.start()] in ("[", "(") and marks[-1] in "])\"'”"
    return not elided and _WORD.search(text, near, match.start()) is not None


def _ends_before_lower(word: str, *, closed: bool) -> bool:
    """Decide for a full stop before a lower-case word. Some writers begin sentences so.

    Behind a plain word this is likelier than an abbreviation.
    """
    return not closed and len(word) > 3 and word.isalpha() and not _is_abbreviation(word.lower())


def _is_abbreviation(word: str) -> bool:
    return word in BEFORE_A_NAME or word in BEFORE_A_NUMBER or word in MAY_END


def _stop_ends(text: str, match: re.Match[str], *, word: str, following: str, near: int) -> bool:
    """Decide for one full stop before a capital, a digit or no letter at all."""
    if not _WORD.search(text, near, match.start()):
        return False
    if word.isdigit():
        return _number_ends(text, match, word=word, following=following, near=near)
    key = word.lower()
    if key in BEFORE_A_NAME:
        return False
    if key in BEFORE_A_NUMBER:
        return not following[:1].isdigit() and (following in STARTERS or len(word) > 2)
    if key in MAY_END or _INITIALS.fullmatch(word):
        return following in STARTERS or len(match["spaced"]) > 1
    return True


def _number_ends(text: str, match: re.Match[str], *, word: str, following: str, near: int) -> bool:
    """Decide for a full stop behind a number. The number of an item or a German ordinal ends no sentence."""
    before = text[near : match.start() - len(word)].split()
    if not before:
        return False
    if len(word) > 2:
        return True
    return following not in AFTER_AN_ORDINAL and before[-1] not in BEFORE_AN_ORDINAL
