"""Reads a search query as `websearch_to_tsquery` users write one: words, "phrases", -exclusions, or."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from embedpipe.errors import InputError

_LONG_WORD = re.compile(r"\S{500}")
"""PostgreSQL reads words in time by the square of their length, and indexes none of over 2,047 bytes."""

MOST_OPERATORS = 1000
"""Each is compared with the words of every chunk that is looked at."""

_PART = re.compile(r'(?P<minus>-(?![-\s]|$))?(?:(?<!\w)"(?P<phrase>[^"]*)"|(?P<word>[^\s"]+))')


@dataclass(frozen=True, slots=True)
class WebQuery:
    """`words` are what a chunk is scored by: all of the query but what is excluded and the operator `or`.

    `constraint` is what it must meet, to be read by `websearch_to_tsquery`: the phrases and exclusions alone; None
    where nothing is asked of it. `required` and `excluded` hold the words of these, `required` only such as every
    match has; they tell most chunks apart before their text is read.
    """

    words: str
    constraint: str | None = None
    required: str = ""
    excluded: str = ""

    @property
    def values(self) -> dict[str, str | None]:
        """What the statements of the lexical leg take as bound values."""
        return {
            "words": self.words,
            "constraint": self.constraint,
            "required": self.required,
            "excluded": self.excluded,
        }


def parse_query(text: str) -> WebQuery:
    """The query's parts. Any text is a query, of at most `MOST_OPERATORS` phrases and exclusions (else `InputError`).

    As in PostgreSQL `-` excludes the word or phrase right after it, and what stands on either side of `or` are
    alternatives. Unlike there, words outside quotes are not required, they add to the score; a dash with a space or
    another dash after it excludes nothing; and a quote left open or behind a letter or digit (5") quotes nothing.
    """
    alternatives = [_Alternative()]
    parts = list(_PART.finditer(_LONG_WORD.sub(r"\g<0> ", text)))
    after_operand = False
    for position, match in enumerate(parts):
        if match[0].lower() == "or" and after_operand and position + 1 < len(parts):
            alternatives.append(_Alternative())
            after_operand = False
            continue
        after_operand = True
        part = match["word"] if match["phrase"] is None else match["phrase"]
        kinds = alternatives[-1]
        (kinds.excluded if match["minus"] else kinds.words if match["phrase"] is None else kinds.phrases).append(part)
        if not match["minus"]:
            kinds.scored.append(part)
    operators = sum(len(each.phrases) + len(each.excluded) for each in alternatives)
    if operators > MOST_OPERATORS:
        raise InputError(
            f"The query has {operators} phrases in quotes and words excluded by a dash, and at most {MOST_OPERATORS} "
            "are taken. Leave out quotes and dashes where they are only part of the text."
        )
    words = " ".join(part for each in alternatives for part in each.scored)
    if not any(each.phrases or each.excluded for each in alternatives):
        return WebQuery(words)
    return WebQuery(
        words,
        " or ".join(each.constraint() for each in alternatives),
        required=" ".join(alternatives[0].phrases) if len(alternatives) == 1 else "",
        excluded=" ".join(part for each in alternatives for part in each.excluded),
    )


def unquoted(text: str) -> str:
    """The query with the words of its phrases as words like the others; exclusions stay."""
    return _PART.sub(lambda part: part[0] if part["phrase"] is None or part["minus"] else part["phrase"], text)


@dataclass(frozen=True, slots=True)
class _Alternative:
    """What stands between two `or`; `scored` are its words, within quotes or not."""

    words: list[str] = field(default_factory=list)
    phrases: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)
    scored: list[str] = field(default_factory=list)

    def constraint(self) -> str:
        """All phrases and exclusions; any of the words where there are neither."""
        if not self.phrases and not self.excluded:
            return " or ".join(f'"{part}"' for part in self.words)
        return " ".join([f'"{part}"' for part in self.phrases] + [f'-"{part}"' for part in self.excluded])
