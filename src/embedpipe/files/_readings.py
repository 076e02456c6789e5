"""Readings above words, as `<ruby>` has them: how a Japanese or Chinese word is pronounced."""

from __future__ import annotations

import re

_BETWEEN_SYLLABLES = re.compile("(?<=[\u3040-\u30ff\uff66-\uff9f]) (?=[\u3040-\u30ff\uff66-\uff9f])")


def joined_reading(readings: list[str]) -> str:
    """Return the readings of a word's parts as one. Kana have no spaces, other scripts one between the parts."""
    return _BETWEEN_SYLLABLES.sub("", " ".join(filter(None, readings)))


def listed_readings(readings: list[tuple[str, str]]) -> str:
    """Return pairs of words and readings as they follow their paragraph: " 〔漢字（かんじ）、本（ほん）〕".

    Within the sentence, they would divide its words: search for "読む" finds nothing in "読（よ）む".
    """
    parts = [f"{word}（{reading}）" for word, reading in dict.fromkeys(readings) if reading and reading != word]
    return f" 〔{'、'.join(parts)}〕" if parts else ""
