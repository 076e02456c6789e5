"""Find the passage of a text that fits a query best, and the words in it that match."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from embedpipe._checks import checked_count, checked_kind
from embedpipe.text.function_words import COMMON, FUNCTION_WORDS
from embedpipe.text.readable import ReadableText, readable
from embedpipe.text.words import UNSPACED_START, WORD

ELLIPSIS = "…"
_GRAMMAR = COMMON.union(*FUNCTION_WORDS.values())
_STEM, _ENDING = 4, 3
_LONGEST_STEMMED = 40
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_BREAK = re.compile(r"(?<=[,;:、，；：])\s+|(?<=[、，；：])|\s+")
_ACCENTS = re.compile(r"([a-z\u0370-\u03ff\u0435])[\u0300-\u036f]+")
_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "þ": "th", "æ": "ae", "œ": "oe"})


class SnippetSpan(NamedTuple):
    """Words that match the query: `snippet.text[start:end]`, and their place in the document."""

    start: int
    end: int
    start_index: int
    end_index: int


@dataclass(frozen=True, slots=True)
class Snippet:
    """The passage of a chunk that fits the query best, as a person reads it.

    Attributes:
        text: The passage without markup, on one line. Its words are the chunk's. Added are "…" where a sentence is cut,
            "·" between the cells of a table, ";" behind a row, ":" behind a heading, "•" before an item of a list, and
            "⏎" between lines of code.
        start_index: The start of the passage in the document, in code points.
        end_index: The end of the passage in the document.
        spans: Where words of the query are, in order. They do not overlap.
    """

    text: str
    start_index: int
    end_index: int
    spans: tuple[SnippetSpan, ...] = ()

    @property
    def parts(self) -> list[tuple[str, bool]]:
        """Return the text in parts, each with whether it matches the query."""
        found, done = [], 0
        for start, end, *_ in self.spans:
            found += [(self.text[done:start], False), (self.text[start:end], True)]
            done = end
        return [part for part in (*found, (self.text[done:], False)) if part[0]]

    def __str__(self) -> str:
        return self.text

    def to_dict(self) -> dict[str, Any]:
        """Return the snippet as a dict for JSON."""
        spans = [span._asdict() for span in self.spans]
        return {"text": self.text, "start_index": self.start_index, "end_index": self.end_index, "spans": spans}


class _Match(NamedTuple):
    """A word of the text that matches the query's word of that number."""

    start: int
    end: int
    term: int


class _Part(NamedTuple):
    """A sentence, or a part of one that is too long, with the matches in it."""

    start: int
    end: int
    begins: bool
    ends: bool
    matches: Sequence[_Match]


def best_snippet(text: str, query: str, max_characters: int, *, start_index: int, end_index: int) -> Snippet:
    """Return the passage of a text that fits a query best, in time linear in the text.

    The passage is made of whole sentences. It is the one that has most of the query's words, where long words and those
    that few sentences of the text have weigh more. A sentence longer than `max_characters` is cut.

    Args:
        text: The text, in any language.
        query: The words of the query. Without any, the passage is the beginning of the text.
        max_characters: The greatest length of the passage in code points, at least 1.
        start_index: The start of the text in its document.
        end_index: The end of the text in its document. If the text has another length, it was cleaned. Then all places
            in the document are those of the whole text.

    Raises:
        InputError: If `max_characters` is less than 1 or not an integer, or if another argument is of a wrong type.
    """
    most = checked_count("max_characters", max_characters)
    checked_kind("query", query, str)
    for name, index in (("start_index", start_index), ("end_index", end_index)):
        checked_kind(name, index, int)
    plain = readable(checked_kind("text", text, str))
    if not plain.sentences:
        return Snippet("", start_index, end_index)
    terms = _Terms(query)
    parts = _parts(plain, terms.matches(plain.text), most)
    first, last = _window(parts, terms.weights(parts), most)
    start, end = parts[first].start, parts[last].end
    before = "" if parts[first].begins or end - start >= most else ELLIPSIS
    after = "" if parts[last].ends or end - start + len(before) >= most else ELLIPSIS
    matches = _joined(match for part in parts[first : last + 1] for match in part.matches if match.end <= end)
    is_cleaned = end_index - start_index != len(text)

    def place(left: int, right: int) -> tuple[int, int]:
        if is_cleaned:
            return start_index, end_index
        return start_index + plain.offsets[left], start_index + plain.offsets[right - 1] + 1

    shift = len(before) - start
    spans = tuple(SnippetSpan(left + shift, right + shift, *place(left, right)) for left, right in matches)
    return Snippet(f"{before}{plain.text[start:end]}{after}", *place(start, end), spans)


class _Terms:
    """The words of a query. A word of a text matches one that is equal but for case and accents, or begins alike."""

    def __init__(self, query: str) -> None:
        found = [key for match in WORD.finditer(query) for _, _, key in _keys(match)]
        keys = [key for key in found if key not in _GRAMMAR] or found
        self._keys = list(dict.fromkeys(keys))
        self._known: dict[str, int | None] = {key: term for term, key in enumerate(self._keys)}
        self._stems: dict[str, int] = {}
        for term, key in enumerate(self._keys):
            for stem in _stems(key):
                self._stems.setdefault(stem, term)

    def matches(self, text: str) -> list[_Match]:
        """Return the words of a text that match, in order."""
        if not self._keys:
            return []
        return [
            _Match(start, end, term)
            for match in WORD.finditer(text)
            for start, end, key in _keys(match)
            if (term := self._term(key)) is not None
        ]

    def weights(self, parts: Sequence[_Part]) -> list[float]:
        """Return the weight of each word: BM25's inverse document frequency over the parts, times its length."""
        frequency = Counter(term for part in parts for term in {match.term for match in part.matches})
        return [
            math.log(1 + len(parts) / (0.5 + frequency[term])) * min(len(key), 10)
            for term, key in enumerate(self._keys)
        ]

    def _term(self, key: str) -> int | None:
        if key not in self._known:  # most words of a text come again
            alike = () if key in _GRAMMAR else _stems(key)
            self._known[key] = next((self._stems[stem] for stem in alike if stem in self._stems), None)
        return self._known[key]


def _keys(word: re.Match[str]) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end, key) of a word: itself, the parts of an identifier, or pairs of characters without spaces."""
    start, end = word.span()
    text = word[0]
    if UNSPACED_START.match(text):
        for left in range(max(len(text) - 1, 1)):
            yield start + left, min(start + left + 2, end), text[left : left + 2]
        return
    yield start, end, _folded(text)
    if text.isascii() and not text.islower() and not text.isupper() and not text.isdigit():
        parts = list(_PARTS.finditer(text))
        if len(parts) > 1:
            for part in parts:
                yield start + part.start(), start + part.end(), part[0].lower()


def _folded(word: str) -> str:
    """Return a word as search compares it: without case, compatible forms, and accents of Latin and Greek letters."""
    if word.isascii():
        return word.lower()
    plain = unicodedata.normalize("NFKD", word.casefold().translate(_LETTERS))
    return unicodedata.normalize("NFC", _ACCENTS.sub(r"\1", plain))


def _stems(key: str) -> Iterator[str]:
    """Yield the beginnings that a word shares with its other forms, longest first.

    Words are alike that share four letters and of which three are left at most, or of which one has an "s" more.
    """
    if key.isalpha() and len(key) <= _LONGEST_STEMMED:
        yield from (key[:length] for length in range(len(key), max(_STEM, len(key) - _ENDING) - 1, -1))
        if len(key) == _STEM and key.endswith("s"):
            yield key[:-1]
        elif len(key) == _STEM - 1:
            yield key


def _parts(plain: ReadableText, matches: Sequence[_Match], most: int) -> list[_Part]:
    """Return the sentences of a text, those over the limit in parts of half of it, with the matches in each."""
    parts: list[_Part] = []
    at = 0
    for start, end in plain.sentences:
        pieces = [(start, end)] if end - start <= most else list(_pieces(plain.text, start, end, max(most // 2 - 1, 1)))
        for left, right in pieces:
            begun = at
            while at < len(matches) and matches[at].start < right:
                at += 1
            parts.append(_Part(left, right, left == start, right == end, matches[begun:at]))
    return parts


def _pieces(text: str, start: int, end: int, most: int) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of the pieces of a long sentence. They are cut at clauses or words where there are any."""
    while end - start > most:
        breaks = [found.span() for found in _BREAK.finditer(text, start + most // 2, start + most + 1)]
        fitting = [found for found in breaks if start < found[0] <= start + most]
        if fitting:
            clauses = [found for found in fitting if text[found[0] - 1] in ",;:、，；："]
            cut, following = (clauses or fitting)[-1]
        else:
            cut = start + most
            while cut > start + 1 and _continues(text[cut]):
                cut -= 1
            following = cut
        yield start, cut
        start = following
    if start < end:
        yield start, end


def _continues(character: str) -> bool:
    """Return whether a character belongs to the one before it: a combining mark, a joiner, a variation selector."""
    return unicodedata.category(character)[0] == "M" or character == "\u200d"


def _window(parts: Sequence[_Part], weights: Sequence[float], most: int) -> tuple[int, int]:
    """Return the first and last part of the best passage.

    It begins with a part that has words of the query, and has what fits behind it. The best one has the most of the
    query's words, where those of its first part count twice.
    """
    counts: Counter[int] = Counter()
    covered, reached = 0.0, 0
    best, first, last = -1.0, 0, 0
    for place, part in enumerate(parts):
        while reached < len(parts) and (reached == place or _fits(parts, place, reached, most)):
            for match in parts[reached].matches:
                covered += weights[match.term] if not counts[match.term] else 0
                counts[match.term] += 1
            reached += 1
        own = sum(weights[term] for term in {match.term for match in part.matches})
        score = round(covered + own, 6)
        if score > best and (part.matches or place == 0):
            best, first, last = score, place, reached - 1
        for match in part.matches:
            counts[match.term] -= 1
            covered -= weights[match.term] if not counts[match.term] else 0
    return _widened(parts, first, _whole(parts, first, last), most)


def _fits(parts: Sequence[_Part], first: int, last: int, most: int) -> bool:
    ellipses = (not parts[first].begins) + (not parts[last].ends)
    return parts[last].end - parts[first].start + ellipses <= most


def _whole(parts: Sequence[_Part], first: int, last: int) -> int:
    """Return the last part without a cut sentence at the end, unless it has words of the query or is all there is."""
    kept = last
    while kept > first and not parts[kept].ends and not parts[kept].matches:
        kept -= 1
    return kept if parts[kept].ends else last


def _widened(parts: Sequence[_Part], first: int, last: int, most: int) -> tuple[int, int]:
    """Return the passage with the sentences before it that fit."""
    while first > 0:
        before = first - 1
        while before > 0 and not parts[before].begins:
            before -= 1
        if not _fits(parts, before, last, most):
            break
        first = before
    return first, last


def _joined(matches: Iterator[_Match]) -> list[tuple[int, int]]:
    """Return (start, end) of the matches, those that overlap as one."""
    found: list[tuple[int, int]] = []
    for start, end, _ in matches:
        if found and start < found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found
