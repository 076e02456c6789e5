"""Split a text into words, numbers and signs, with their places."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from typing import NamedTuple

from embedpipe.text import FUNCTION_WORDS, SPACED_LETTER, sentence_spans

# Takes linear time: each alternative begins with another kind of character, and none looks back over a repetition. In
# a number, a single mark may stand before each further digit. Spaces divide it only into groups of three digits.
_TOKEN = re.compile(
    rf"""
      (?P<number>\d+(?:(?<!\d\d\d\d)[ \u00a0\u202f]\d{{3}}(?!\d))*(?:[.,·'’٫٬]\d+)*)
    | (?P<word>(?:(?!\d){SPACED_LETTER})+(?:['’](?:(?!\d){SPACED_LETTER})+)*)
    | (?P<sign>[^\w\s])
    | (?P<sole>\w)
    """,
    re.VERBOSE,
)
_NOT = re.compile(r"^(\w+)n['’]t$")
_FULL = {"ca": "can", "wo": "will", "sha": "shall"}
_SCRIPTS = {"ru": r"[\u0400-\u04ff]", "ar": r"[\u0600-\u06ff]", "hi": r"[\u0900-\u097f]"}


class Token(NamedTuple):
    """`text[start:end]`, and its form: case-folded, without a possessive, contractions in full."""

    kind: str
    text: str
    form: str
    start: int
    end: int
    sentence: int
    opens: bool
    """Whether it is the first word of a sentence, or of a quotation, a bracket or the part behind a colon."""

    @property
    def capital(self) -> bool:
        return self.kind == "word" and self.text[0].isupper()


def tokenize(text: str) -> list[Token]:
    """Return the tokens in order. "isn't" and "cannot" become two tokens of one place each."""
    spans = sentence_spans(text)
    starts = [start for start, _ in spans]
    tokens: list[Token] = []
    opened, last = True, -1
    for found in _TOKEN.finditer(text):
        kind, start, end = found.lastgroup or "", found.start(), found.end()
        sentence = max(bisect_right(starts, start) - 1, 0)
        opened = opened or sentence != last
        last = sentence
        if kind == "sign":
            tokens.append(Token("sign", found[0], found[0], start, end, sentence, False))
            opened = opened or found[0] in ':"“„«([–—•'
            continue
        for form in _forms(found[0]) if kind == "word" else (found[0],):
            tokens.append(Token(kind, found[0], form, start, end, sentence, opened))
            opened = False
    return tokens


def _forms(word: str) -> tuple[str, ...]:
    form = word.casefold().replace("’", "'")
    if form == "cannot":
        return "can", "not"
    if contracted := _NOT.match(form):
        return _FULL.get(contracted[1], contracted[1]), "not"
    if form.startswith("n'"):  # French: n'est
        return "ne", form[2:]
    if "'" in form:
        head, _, tail = form.partition("'")
        return (tail,) if len(head) < 3 and len(tail) > 2 else (head,)  # l'eau, d'Alembert; Smith's
    return (form,)


def language_of(tokens: list[Token], text: str) -> str | None:
    """Return the language whose function words are most frequent, or that of the script. None if there are none."""
    for language, letters in _SCRIPTS.items():
        if len(re.findall(letters, text)) * 2 > len(text) * 0.7:
            return language
    counts = Counter(token.form for token in tokens if token.kind == "word")
    shares = {language: sum(counts[word] for word in known) for language, known in FUNCTION_WORDS.items()}
    best = max(shares, key=lambda language: shares[language])
    return best if shares[best] else None


def in_another_language(text: str, other: str) -> bool:
    """Return whether a short text is in another language than the other text, as far as its frequent words tell.

    Related languages share frequent words, so a single one that the language of the other has decides against it.
    """
    tokens, other_tokens = tokenize(text), tokenize(other)
    language, theirs = language_of(tokens, text), language_of(other_tokens, other)
    if language is None or language == theirs:
        return False
    return theirs is None or not any(token.form in FUNCTION_WORDS.get(theirs, ()) for token in tokens)
