"""Split a text of any script into words, to compare texts by their words."""

from __future__ import annotations

import re

from embedpipe._checks import checked_kind

# Scripts written without spaces: Thai to Khmer, kana, Han. A run of them becomes its character bigrams.
_UNSPACED = (
    r"\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff"
)
# Combining marks inside words, which \w leaves out: Latin, Hebrew, Arabic, the Indic scripts (without the danda).
_MARKS = r"\u0300-\u036f\u0591-\u05bd\u05bf\u05c1-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0963\u0966-\u0dff"

SPACED_LETTER = rf"(?![_{_UNSPACED}])[\w{_MARKS}]"
"""A pattern for one character of a word in a script that separates words."""

WORD = re.compile(rf"[{_UNSPACED}]+|(?:{SPACED_LETTER})+")
"""A word, or a run of characters in a script without spaces."""
UNSPACED_START = re.compile(rf"[{_UNSPACED}]")


def words(text: str) -> list[str]:
    """Return the words of a text in order, case-folded. The parts of an identifier are words of their own.

    A run of a script without spaces becomes its overlapping pairs of characters.
    """
    found: list[str] = []
    checked_kind("text", text, str)
    for match in WORD.finditer(text):
        word = match.group().casefold()
        if len(word) > 2 and UNSPACED_START.match(word):
            found.extend(word[i : i + 2] for i in range(len(word) - 1))
        else:
            found.append(word)
    return found
