"""Parse a search query in the notation of `websearch_to_tsquery`: words, "phrases", -exclusions, or."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from embedpipe.errors import InputError

MOST_OPERATORS = 1000
"""The most phrases and exclusions. Each is compared with the words of every chunk that is looked at."""

_PART = re.compile(r'(?P<minus>-(?![-\s]|$))?(?:(?<!\w)"(?P<phrase>[^"]*)"|(?P<word>[^\s"]+))')

_OPERATOR = re.compile(r'"|(?<!\S)-|(?<!\S)or(?!\S)', re.IGNORECASE)
"""What a query without phrases, exclusions and alternatives has nowhere. Most queries are of that kind."""


ASIAN = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"  # noqa: E501 - one class
"""Scripts without spaces between words: Thai, Lao, Burmese, Khmer, Kana, Han."""

SIGNS = "!-/:-@\\u005b-\\u0060{-~\u00a1-\u00a9\u00ab-\u00b4\u00b6-\u00b9\u00bb-\u00bf\u2010-\u205e\u2190-\u2bff\u2e00-\u2e7f\u3001-\u303f\uff01-\uff0f\uff1a-\uff20\U0001f000-\U0001faff"  # noqa: E501 - one class
"""Punctuation and symbols."""

_SPACE = "\\s\u00a0\u2000-\u200b\u3000"
WORD = f"[^{_SPACE}{SIGNS}{ASIAN}]"
JOINED = f"[^{_SPACE}]"
NO_SIGN = f"[^{_SPACE}{SIGNS}]"

_LONG_WORD, _LONG_COMPOUND = 500, 450
_WORD_RUN, _JOINED_RUN, _SIGN = re.compile(f"{WORD}+"), re.compile(f"{JOINED}+"), re.compile(f"[{SIGNS}]")


@dataclass(frozen=True, slots=True)
class ParsedQuery:
    """The parts of a query.

    Attributes:
        words: The words that score a chunk: all but the excluded ones and the operator `or`.
        constraint: The condition that a chunk must meet, for `websearch_to_tsquery`: the required phrases, and the
            exclusions. None if there are none.
        required: Words of the constraint that every match has. With `excluded`, they decide for most chunks before any
            text is read.
        excluded: Words of the constraint's exclusions.
        phrases: The phrases that are not required. Their words are among `words`.
    """

    words: str
    constraint: str | None = None
    required: str = ""
    excluded: str = ""
    phrases: tuple[str, ...] = ()

    @property
    def values(self) -> dict[str, str | list[str] | None]:
        """The values to bind to the statements of a lexical search."""
        return {
            "words": self.words,
            "constraint": self.constraint,
            "required": self.required,
            "excluded": self.excluded,
            "phrases": list(self.phrases),
        }


def cut(text: str) -> str:
    """Return a text with a space within long words, as texts are cut for the index, see `terms.cut`.

    PostgreSQL indexes no word over 2,047 bytes, and takes time by the square of the length of some compounds, such as
    a_a_a_a. So words are cut every 500 characters, and what signs join is cut behind the first sign after 450. Words
    count from their own first character: a word in brackets is cut as it is elsewhere.
    """
    if max(map(len, text.split()), default=0) <= _LONG_COMPOUND:
        return text
    return _JOINED_RUN.sub(_cut_behind_signs, _WORD_RUN.sub(_cut_word, text))


def _cut_word(word: re.Match[str]) -> str:
    whole = len(word[0]) // _LONG_WORD * _LONG_WORD
    parts = [word[0][start : start + _LONG_WORD] for start in range(0, whole, _LONG_WORD)]
    return " ".join([*parts, word[0][whole:]])


def _cut_behind_signs(compound: re.Match[str]) -> str:
    text, parts, start = compound[0], [], 0
    for sign in _SIGN.finditer(text):
        if sign.start() - start >= _LONG_COMPOUND:
            parts.append(text[start : sign.end()])
            start = sign.end()
    return " ".join([*parts, text[start:]])


def parse_query(text: str, *, required_phrases: bool = True) -> ParsedQuery:
    """Parse a query. Any text is one.

    As in PostgreSQL, `-` excludes the word or phrase right after it, and the texts on both sides of `or` are
    alternatives. There are three differences. Words outside quotes are not required: they add to the score. A dash
    before a space or another dash excludes nothing. A quote that is left open, or follows a letter or digit (5"),
    quotes nothing.

    Args:
        text: The query.
        required_phrases: Put phrases into the constraint. Otherwise they are returned as `phrases`.

    Raises:
        InputError: If there are more than `MOST_OPERATORS` phrases and exclusions.
    """
    if not _OPERATOR.search(text):
        return ParsedQuery(" ".join(cut(text).split()))
    alternatives = [_Alternative()]
    phrases: list[str] = []
    parts = list(_PART.finditer(text))
    after_operand = False
    for position, match in enumerate(parts):
        if match[0].lower() == "or" and after_operand and position + 1 < len(parts):
            alternatives.append(_Alternative())
            after_operand = False
            continue
        after_operand = True
        part, is_phrase = (match["word"], False) if match["phrase"] is None else (match["phrase"], True)
        part, kinds = cut(part), alternatives[-1]  # by itself: a dash or quote before it would move the cuts
        if is_phrase and not match["minus"] and not required_phrases:
            phrases.append(part)
            is_phrase = False
        (kinds.excluded if match["minus"] else kinds.phrases if is_phrase else kinds.words).append(part)
        if not match["minus"]:
            kinds.scored.append(part)
    operators = len(phrases) + sum(len(each.phrases) + len(each.excluded) for each in alternatives)
    if operators > MOST_OPERATORS:
        raise InputError(
            f"The query has {operators} quoted phrases and words excluded by a dash. At most {MOST_OPERATORS} are "
            "possible. Leave out quotes and dashes that are only part of the text."
        )
    words = " ".join(part for each in alternatives for part in each.scored)
    if not any(each.phrases or each.excluded for each in alternatives):
        return ParsedQuery(words, phrases=tuple(phrases))
    return ParsedQuery(
        words,
        " or ".join(each.constraint() for each in alternatives),
        required=" ".join(alternatives[0].phrases) if len(alternatives) == 1 else "",
        excluded=" ".join(part for each in alternatives for part in each.excluded),
        phrases=tuple(phrases),
    )


@dataclass(frozen=True, slots=True)
class _Alternative:
    """The part of a query between two `or`. `scored` are its words, within quotes or not."""

    words: list[str] = field(default_factory=list)
    phrases: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)
    scored: list[str] = field(default_factory=list)

    def constraint(self) -> str:
        """Return all phrases and exclusions, joined by and. If there are none, the words, joined by or.

        A space keeps the quotes away from the words, which are cut once more in SQL.
        """
        if not self.phrases and not self.excluded:
            return " or ".join(f'" {part} "' for part in self.words)
        return " ".join([f'" {part} "' for part in self.phrases] + [f'-" {part} "' for part in self.excluded])
