"""Find the citation marks in an answer, in the forms in which models write them.

[1], [1, 2], [1-3], [source 1], \\[1\\], 【1】, 【1†L1-L3】, (Source 1), [1](address), [^1] with its footnote,
<sup>1</sup> and superscripts. A list of sources at the end states nothing, so its marks are none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

# A malicious document may control the answer's text, so every pattern here takes linear time: none begins with a
# repetition, and each repetition is bounded or ends at the character that could begin its next match.
_CODE = re.compile(r"```[\s\S]*?```|`[^`\n]*`")
_KINDS = (
    r"(?:sources?|src|documents?|docs?|references?|refs?|citations?|passages?|chunks?|excerpts?)\.?\s{0,3}[:#]?\s{0,3}"
)
_NUMBERS = rf"\d{{1,4}}(?:\s{{0,3}}(?:,|;|-|–|—|&|and)\s{{0,3}}(?:{_KINDS})?\d{{1,4}}){{0,50}}"
_MARK = re.compile(
    rf"""
      \\?\[{{1,2}}\s{{0,3}}(?:{_KINDS})?(?P<square>{_NUMBERS})(?:[†:][^\[\]\n]{{0,80}})?\s{{0,3}}\\?\]{{1,2}}
      (?P<address>\([^()\s]{{1,2000}}\))?(?P<definition>:(?=\s))?
    | \(\s{{0,3}}{_KINDS}(?P<round>{_NUMBERS})\s{{0,3}}\)
    | \[\^(?P<footnote>[\w-]{{1,20}})\](?!:)
    | <sup>\s{{0,3}}\[?(?P<sup>{_NUMBERS})\]?\s{{0,3}}</sup>
    | (?P<raised>[⁰¹²³⁴-⁹]{{1,3}}(?:[⸴˒,’][⁰¹²³⁴-⁹]{{1,3}}){{0,20}})(?![⁰¹²³⁴-⁹\w])
    """,
    re.IGNORECASE | re.VERBOSE,
)
_RANGE = re.compile(r"(\d+)(?:\s*[-–—]\s*(?:\D{0,20})?(\d+))?")
_FOOTNOTE = re.compile(r"^\[\^([\w-]{1,20})\]:[^\n]*(?:\n(?:[ \t]+[^\n]*))*", re.MULTILINE)
_NAMED = re.compile(rf"(?:{_KINDS}|\[)(\d{{1,4}})\b", re.IGNORECASE)
_LIST_TITLE = re.compile(
    r"^[ \t]{0,3}(?:#{1,6}[ \t]+)?[*_]{0,3}(?:sources?|references?|citations?|footnotes?|bibliography|works cited)"
    r"(?: used| cited)?[*_]{0,3}[ \t]*:?[*_]{0,3}(?=[ \t]*(?:$|\[|【|［|\())",
    re.IGNORECASE | re.MULTILINE,
)
_LIST_LINE = re.compile(r"[ \t]*(?:[-*+•][ \t]+|\d{1,3}[.)][ \t]+)?[*_]{0,2}(?:[\[【(]|\d{1,3}[.:)]|[-*+•])")
_PLAIN = str.maketrans("０１２３４５６７８９［］【】（），：；－", "0123456789[][](),:;-")
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⸴˒’", "0123456789,,,")
_UNITS = re.compile(r"(?:\d|(?:^|[\W\d_])[^\W\d_]{1,2})$")
"""The end of a text behind which a raised number is a power: a number, or a unit such as m or km."""


class Mark(NamedTuple):
    """A citation mark: `answer[start:end]`, and the numbers of the sources that it names, in order."""

    start: int
    end: int
    numbers: tuple[int, ...]


def find_marks(answer: str, *, sources: int) -> list[Mark]:
    """Return the marks in the order of the answer.

    Args:
        answer: The answer. Marks in code are none.
        sources: How many sources there are. A raised number or a link's text that is not the number of a source may be
            a power or a year, and is no mark.
    """
    plain = _CODE.sub(_blank, prose(answer)).translate(_PLAIN)
    footnotes = {note[1]: _of_footnote(note) for note in _FOOTNOTE.finditer(answer.translate(_PLAIN))}
    marks = (_mark(found, plain, footnotes, sources) for found in _MARK.finditer(plain))
    return [mark for mark in marks if mark is not None]


def prose(answer: str) -> str:
    """Return the answer with spaces in place of footnotes and a list of sources at the end: they state nothing."""
    text = _FOOTNOTE.sub(_blank, answer)
    titles = list(_LIST_TITLE.finditer(text))
    if not titles:
        return text
    title = titles[-1]
    if not all(_LIST_LINE.match(line) for line in text[title.end() :].split("\n") if line.strip()):
        return text
    return text[: title.start()] + re.sub(r"\S", " ", text[title.start() :])


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match.group())


def _mark(found: re.Match[str], text: str, footnotes: Mapping[str, tuple[int, ...]], sources: int) -> Mark | None:
    start, end = found.span()
    if (label := found["footnote"]) is not None:
        known = footnotes.get(label) or ((int(label),) if label.isdecimal() else ())
        return Mark(start, end, known) if known else None
    raised = found["raised"]
    written = (raised.translate(_RAISED) if raised else None) or found["square"] or found["round"] or found["sup"]
    numbers = tuple(dict.fromkeys(_listed(written)))
    if raised and _UNITS.search(text[max(0, start - 5) : start]):
        return None
    if (raised or found["sup"] or found["address"]) and not all(1 <= number <= sources for number in numbers):
        return None
    return Mark(start, end, numbers)


def _listed(written: str) -> Iterator[int]:
    for found in _RANGE.finditer(written):
        first, last = int(found[1]), int(found[2] or found[1])
        yield from range(first, last + 1) if last - first < 20 else (first, last)


def _of_footnote(note: re.Match[str]) -> tuple[int, ...]:
    """Return the sources that a footnote names, the one of its own number if it names none."""
    named = tuple(dict.fromkeys(int(found[1]) for found in _NAMED.finditer(note[0], len(note[1]) + 3)))
    return named or ((int(note[1]),) if note[1].isdecimal() else ())
