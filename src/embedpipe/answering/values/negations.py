"""Compare what a statement and a sentence of its source deny."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from embedpipe.answering.values.names import root
from embedpipe.answering.values.tokens import Token
from embedpipe.answering.values.vocabulary import NEGATIONS, NEGATIVE_PREFIXES, NO_NEGATIONS, SOFT_NEGATIONS
from embedpipe.text import COMMON, FUNCTION_WORDS

_REACH = 6
"""How many words behind a negation may be what it denies."""
_CONCORD = frozenset(("es", "it", "pt", "fr", "ru"))
"""Languages in which two negations deny once: "no ... nada"."""
_CLAUSE = frozenset(",;:.!?()")
_GRAMMAR = COMMON.union(*FUNCTION_WORDS.values(), *NEGATIONS.values())


class Negation(NamedTuple):
    """A word that denies, tokens[at], and the roots of the words that it may deny, and of the word before it.

    Words of grammar do not count. `before` is "" at the beginning of a sentence.
    """

    at: int
    denied: tuple[str, ...]
    before: str


def content(tokens: Sequence[Token]) -> list[str]:
    """Return the roots of the words that are no grammar."""
    return [root(token.form) for token in tokens if is_content(token)]


def is_content(token: Token) -> bool:
    return token.kind == "word" and token.form not in _GRAMMAR and len(token.form) > 1


def negations(tokens: Sequence[Token], language: str | None, other: Sequence[str]) -> list[Negation]:
    """Return the negations of a text in order, without pairs that cancel each other.

    `other` has the content words of the text that it is compared with. A word such as "uncommon" is a negation where
    the other text has "common".
    """
    known = NEGATIONS.get(language or "", frozenset())
    held = set(other)
    found: list[Negation] = []
    for at, token in enumerate(tokens):
        if token.kind != "word":
            continue
        if token.form in known and not _denies_nothing(tokens, at):
            found.append(_negation(tokens, at))
        elif language == "en" and (bare := _without_prefix(token.form, held)):
            found.append(Negation(at, (bare,), _before(tokens, at)))
    return found if language in _CONCORD else _without_pairs(found, tokens)


def soft_negations(tokens: Sequence[Token]) -> set[str]:
    return {token.form for token in tokens if token.form in SOFT_NEGATIONS}


def _denies_nothing(tokens: Sequence[Token], at: int) -> bool:
    form = tokens[at].form
    before = tokens[at - 1].form if at else ""
    behind = tokens[at + 1].form if at + 1 < len(tokens) else ""
    if (form, behind) in NO_NEGATIONS or (before, form) in NO_NEGATIONS:
        return True
    return form == "no" and (behind == "." or (at + 1 < len(tokens) and tokens[at + 1].kind == "number"))  # No. 5


def _negation(tokens: Sequence[Token], at: int) -> Negation:
    found: list[str] = []
    for token in tokens[at + 1 : at + 1 + _REACH]:
        if token.form in _CLAUSE or token.form == "but":
            break
        if is_content(token):
            found.append(root(token.form))
    if found:
        return Negation(at, tuple(found), _before(tokens, at))
    # "There were none", "er kommt nicht": nothing follows, so it denies the words before it, the nearest first.
    found = [root(token.form) for token in reversed(tokens[max(0, at - _REACH) : at]) if is_content(token)]
    return Negation(at, tuple(found), found[1] if len(found) > 1 else "")


def _before(tokens: Sequence[Token], at: int) -> str:
    return next((root(token.form) for token in reversed(tokens[max(0, at - _REACH) : at]) if is_content(token)), "")


def bare_words(tokens: Sequence[Token], other: Sequence[str]) -> list[str]:
    """Return the roots of words without their negative prefix, where the other text has only those."""
    held = set(other)
    return [bare for token in tokens if (bare := _without_prefix(token.form, held))]


def _without_prefix(form: str, held: set[str]) -> str | None:
    """Return the root of "common" for "uncommon", if the other text has it and not the word itself."""
    if root(form) in held:
        return None
    for prefix in NEGATIVE_PREFIXES:
        bare = root(form[len(prefix) :])
        if form.startswith(prefix) and len(form) - len(prefix) > 3 and bare in held:
            return bare
    return None


def _without_pairs(found: list[Negation], tokens: Sequence[Token]) -> list[Negation]:
    """Return the negations without two that stand close together: "not without", "not uncommon"."""
    kept: list[Negation] = []
    for negation in found:
        form = tokens[negation.at].form
        close = bool(kept) and negation.at - kept[-1].at < 4 and form not in ("nor", "neither")
        if close and not any(token.form in _CLAUSE for token in tokens[kept[-1].at : negation.at]):
            kept.pop()
        else:
            kept.append(negation)
    return kept
