"""Check the negations of a statement against those of the sentence that is nearest to it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from embedpipe.answering.values.names import root
from embedpipe.answering.values.negations import Negation, bare_words, content, negations, soft_negations
from embedpipe.answering.values.text_values import ValuesOfText
from embedpipe.answering.values.tokens import Token
from embedpipe.answering.values.unsupported import UnsupportedValue

_ALIKE = 0.6
"""The share of a statement's content words that a sentence must have before their negations are compared."""
_SAME = 0.85
"""The share of both sides' content words that two sentences share if they say the same but for a word or two."""


def denial(statement: ValuesOfText, source: ValuesOfText, sentence: Sequence[Token]) -> UnsupportedValue | None:
    """Return what only one of the two denies: the statement, or the source's sentence that is nearest to it."""
    words, held = content(statement.tokens), content(sentence)
    words, held = words + bare_words(statement.tokens, held), held + bare_words(sentence, words)
    shared = set(words).intersection(held)
    if not words or len(shared) < _ALIKE * len(set(words)):
        return None
    said = _shared_denials(statement.tokens, source.language, held)
    there = _shared_denials(sentence, source.language, words)
    own_soft, their_soft = soft_negations(statement.tokens), soft_negations(sentence)
    if len(shared) >= _SAME * max(len(set(words)), len(set(held))):
        differ = len(said) != len(there)
    else:
        differ = bool(_in_same_words(said, held) and not there) or bool(_in_same_words(there, words) and not said)
    if not differ or (own_soft - their_soft if len(said) < len(there) else their_soft - own_soft):
        return None
    if len(said) > len(there):
        denied = {word for negation in there for word in negation.denied}
        negation = next((each for each in said if not denied.intersection(each.denied)), said[0])
        token = statement.tokens[negation.at]
        start, end = sentence[0].start, sentence[-1].end
        near = _denied_span(statement, negation, sentence)
        start, end = near or (start, end)
        return UnsupportedValue(
            kind="negation", text=token.text, start=token.start, end=token.end,
            nearest=source.text[start:end], nearest_start=start, nearest_end=end,
        )  # fmt: skip
    denied = {word for negation in said for word in negation.denied}
    negation = next((each for each in there if not denied.intersection(each.denied)), there[0])
    about = next((token for token in statement.tokens if root(token.form) in negation.denied), statement.tokens[0])
    token = sentence[negation.at]
    return UnsupportedValue(
        kind="negation", text=about.text, start=about.start, end=about.end,
        nearest=token.text, nearest_start=token.start, nearest_end=token.end,
    )  # fmt: skip


def _shared_denials(tokens: Sequence[Token], language: str | None, other: Sequence[str]) -> list[Negation]:
    """Return the negations of words that the other text has as well."""
    known = set(other)
    return [each for each in negations(tokens, language, other) if known.intersection(each.denied)]


def _in_same_words(denials: Sequence[Negation], words: Sequence[str]) -> bool:
    """Return whether a text has the word before one of the negations, and the first that it denies, side by side."""
    pairs = {*pairwise(words), *(("", word) for word in words[:1])}
    return any((negation.before, negation.denied[0]) in pairs for negation in denials)


def _denied_span(statement: ValuesOfText, negation: Negation, sentence: Sequence[Token]) -> tuple[int, int] | None:
    """Return the place of the first denied word in the source's sentence."""
    return next(((t.start, t.end) for word in negation.denied for t in sentence if root(t.form) == word), None)
