"""Reads a search query as `websearch_to_tsquery` users write one: words, "phrases", -exclusions, or."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PART = re.compile(r'(?P<minus>-(?![-\s]|$))?(?:"(?P<phrase>[^"]*)"?|(?P<word>[^\s"]+))')


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
    """The query's parts. Any text is a query.

    As in PostgreSQL a quote left open ends with the text, `-` excludes the word or phrase right after it, and what
    stands on either side of `or` are alternatives. Unlike there, words outside quotes are not required, they add to
    the score; and a dash with a space or another dash after it excludes nothing.
    """
    words: list[str] = []
    alternatives: list[list[tuple[str, bool]]] = [[]]
    parts = list(_PART.finditer(text))
    after_operand = False
    for position, match in enumerate(parts):
        if match[0].lower() == "or" and after_operand and position + 1 < len(parts):
            alternatives.append([])
            after_operand = False
            continue
        after_operand = True
        excluded = match["minus"] is not None
        part = match["word"] if match["phrase"] is None else match["phrase"]
        if not excluded:
            words.append(part)
        if excluded or match["phrase"] is not None:
            alternatives[-1].append((part, excluded))
    if not all(alternatives):
        return WebQuery(" ".join(words))
    return WebQuery(
        " ".join(words),
        " or ".join(" ".join(f'{"-" * excluded}"{part}"' for part, excluded in parts) for parts in alternatives),
        required=_joined(alternatives[0], excluded=False) if len(alternatives) == 1 else "",
        excluded=" ".join(_joined(parts, excluded=True) for parts in alternatives),
    )


def _joined(parts: list[tuple[str, bool]], *, excluded: bool) -> str:
    return " ".join(part for part, is_excluded in parts if is_excluded == excluded)
