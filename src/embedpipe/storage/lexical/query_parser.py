"""Parse a search query in the notation of `websearch_to_tsquery`: words, "phrases", -exclusions, or."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from embedpipe.errors import InputError

_LONG_WORD = re.compile(r"\S{500}")
"""Cut into words of 500 characters. PostgreSQL takes time by the square of a word's length, and indexes none over 2,047
bytes."""

MOST_OPERATORS = 1000
"""The most phrases and exclusions. Each is compared with the words of every chunk that is looked at."""

_PART = re.compile(r'(?P<minus>-(?![-\s]|$))?(?:(?<!\w)"(?P<phrase>[^"]*)"|(?P<word>[^\s"]+))')

_OPERATOR = re.compile(r'"|(?<!\S)-|(?<!\S)or(?!\S)', re.IGNORECASE)
"""What a query without phrases, exclusions and alternatives has nowhere. Most queries are of that kind."""


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
    text = _LONG_WORD.sub(r"\g<0> ", text)
    if not _OPERATOR.search(text):
        return ParsedQuery(" ".join(text.split()))
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
        kinds = alternatives[-1]
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
        """Return all phrases and exclusions, joined by and. If there are none, the words, joined by or."""
        if not self.phrases and not self.excluded:
            return " or ".join(f'"{part}"' for part in self.words)
        return " ".join([f'"{part}"' for part in self.phrases] + [f'-"{part}"' for part in self.excluded])
