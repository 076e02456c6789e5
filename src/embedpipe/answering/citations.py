"""From an answer's text to statements whose citations are checked against the sources they name."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

from embedpipe.retrieval.context import Passage
from embedpipe.text import SPACED_LETTER, sentence_spans, words

Status: TypeAlias = Literal["quoted", "paraphrased", "unsupported", "misquoted", "unknown_source"]

MIN_SUPPORT = 0.5
"""The share of a paraphrase's words that its source must hold."""

# An answer may be of a planted document's making, so no pattern here may take more than linear time: none begins with
# a repetition, and none looks past the character that could begin its next match.
_CODE = re.compile(r"```[\s\S]*?```|`[^`\n]*`")
_MARK = re.compile(
    r"\[\s*(?:sources?\s*)?(\d{1,4}(?:\s*(?:,|;|-|–|and)\s*(?:sources?\s*)?\d{1,4})*)\s*\](?!\()", re.IGNORECASE
)
_NUMBERS = re.compile(r"(\d+)(?:\s*[-–]\s*(\d+))?")
_QUOTATION = re.compile(r"\"([^\"]+)\"|“([^“”]+)”|„([^„“”]+)[“”]|«([^«»]+)»|「([^「」]+)」")
_ELLIPSIS = re.compile(r"\[\s*(?:\.\.\.|…)\s*\]|\.\.\.|…")
_LETTER = re.compile(SPACED_LETTER)
_QUOTE_MARKS = str.maketrans("’‘“”„", '\'\'"""')
_MAX_LEFT_OUT = 300
"""How many characters an ellipsis may stand for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """One mark such as [2] in an answer, and what the check of it found.

    `status`: "quoted": the statement's quotation, or the statement itself, stands in the source word for word;
    "paraphrased": nothing is quoted, and the source holds at least half of the statement's words; "unsupported": it
    holds fewer; "misquoted": the quotation does not stand there; "unknown_source": there is no source of that number.
    `start_index`, `end_index`: where the quotation, or else the sentence nearest to the statement, stands in the
    original document (of text that was cleaned: where its chunk stands); None where nothing was found. `quote` is the
    source's own text there, which the document has word for word (only the white space between two chunks may be of
    another kind). `support`: the share of the statement's words that the source holds, from 0 to 1.
    """

    source: int
    status: Status
    document_id: str | None = None
    quote: str | None = None
    start_index: int | None = None
    end_index: int | None = None
    support: float = 0.0

    @property
    def valid(self) -> bool:
        return self.status in ("quoted", "paraphrased")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A sentence of an answer, without its marks; `answer[start:end]` is it with them."""

    text: str
    start: int
    end: int
    citations: tuple[Citation, ...] = ()


def checked_statements(answer: str, sources: Sequence[Passage]) -> list[Statement]:
    """The answer's sentences in order, each with its citations checked; one that cites nothing has none.

    A mark belongs to the sentence that it stands in or directly follows. Source numbers count from 1.
    """
    checked = [_Source(source) for source in sources]
    return [
        Statement(text=text, start=start, end=end, citations=tuple(_check(text, number, checked) for number in numbers))
        for text, start, end, numbers in _cited_sentences(answer)
    ]


class _Source:
    """A passage, and what every citation of it is checked against, made once."""

    def __init__(self, passage: Passage) -> None:
        self.passage = passage

    @cached_property
    def words(self) -> frozenset[str]:
        return frozenset(words(self.passage.text))

    @cached_property
    def plain(self) -> _PlainText:
        return _PlainText(self.passage.text)

    @cached_property
    def sentences(self) -> list[tuple[tuple[int, int], frozenset[str]]]:
        text = self.passage.text
        return [(span, frozenset(words(text[slice(*span)]))) for span in sentence_spans(text)]


def _cited_sentences(answer: str) -> Iterator[tuple[str, int, int, list[int]]]:
    marks = list(_MARK.finditer(_CODE.sub(_blank, answer)))
    blanked = list(answer)
    behind = 0
    for mark in marks:
        start = mark.start()
        while start > behind and answer[start - 1].isspace():
            start -= 1
        behind = mark.end()
        blanked[start:behind] = " " * (behind - start)
    prose = "".join(blanked)
    spans = sentence_spans(prose)
    owned = _owned(marks, spans, answer)
    for position, (start, end) in enumerate(spans):
        own = owned[position]
        numbers = [number for mark in own for number in _numbers(mark[1])]
        whole = (min([start, *(m.start(1) - 1 for m in own)]), max([end, *(m.end() for m in own)]))
        text = re.sub(r"\s+([.,;:!?])", r"\1", " ".join(prose[start:end].split()))
        yield text, *whole, list(dict.fromkeys(numbers))


def _blank(match: re.Match[str]) -> str:
    return " " * len(match.group())


def _owned(
    marks: Sequence[re.Match[str]], spans: Sequence[tuple[int, int]], answer: str
) -> defaultdict[int, list[re.Match[str]]]:
    """Return the marks of each sentence, by its position.

    A mark belongs to the sentence that it stands in, or else to the one before it on its line, or to the next.
    """
    starts = [start for start, _ in spans]
    breaks = [match.start() for match in re.finditer("\n", answer)]
    owned: defaultdict[int, list[re.Match[str]]] = defaultdict(list)
    for mark in marks:
        at = mark.start(1)
        after = bisect_right(starts, at)
        on_line = after > 0 and bisect_right(breaks, at) == bisect_right(breaks, min(spans[after - 1][1], at) - 1)
        owned[after if after < len(spans) and not on_line else after - 1].append(mark)
    return owned


def _numbers(mark: str) -> Iterator[int]:
    for match in _NUMBERS.finditer(mark):
        first, last = int(match[1]), int(match[2] or match[1])
        yield from range(first, last + 1) if last - first < 20 else (first, last)


def _check(statement: str, number: int, sources: Sequence[_Source]) -> Citation:
    """Return what a citation of source `number` after `statement` is worth."""
    if not 1 <= number <= len(sources):
        return Citation(source=number, status="unknown_source")
    source = sources[number - 1]
    passage, said = source.passage, frozenset(words(statement))
    support = _share(said, source.words)
    quotations = [text for groups in _QUOTATION.findall(statement) for text in groups if words(text)]
    verbatim = source.plain.find(statement)
    found = [verbatim] if verbatim else [source.plain.find(text) for text in quotations]
    if not found:
        status: Status = "paraphrased" if support >= MIN_SUPPORT else "unsupported"
        span = _nearest_sentence(said, source) if status == "paraphrased" else None
        return _citation(number, passage, status=status, span=span, support=support)
    if None in found:
        return _citation(number, passage, status="misquoted", span=None, support=support)
    span = max((span for span in found if span), key=lambda span: span[1] - span[0])
    return _citation(number, passage, status="quoted", span=span, support=support)


def _citation(
    number: int, source: Passage, *, status: Status, span: tuple[int, int] | None, support: float
) -> Citation:
    if span is None:
        return Citation(source=number, status=status, document_id=source.document_id, support=support)
    start, end = source.place(*span)
    return Citation(
        source=number,
        status=status,
        document_id=source.document_id,
        quote=source.text[span[0] : span[1]],
        start_index=start,
        end_index=end,
        support=support,
    )


def find_quote(quote: str, text: str) -> tuple[int, int] | None:
    """Return (start, end) of the quoted words in `text`, or None.

    White space, kinds of quotation marks and case may differ, punctuation at the quote's end too. An ellipsis stands
    for left-out words within 300 characters.
    """
    return _PlainText(text).find(quote)


class _PlainText:
    """A text with one space for each white space, plain quotation marks and small letters, and the way back."""

    def __init__(self, text: str) -> None:
        tokens = list(re.finditer(r"\S+", text))
        self._text = " ".join(_plain(token[0]) for token in tokens)
        self._original = [token.start() for token in tokens]
        self._starts: list[int] = []
        start = 0
        for token in tokens:
            self._starts.append(start)
            start += len(token[0]) + 1

    def find(self, quote: str) -> tuple[int, int] | None:
        """Return (start, end) of the quote in the original text, or None. The time grows as the text's length."""
        parts = [part.strip(" \t\n.,;:!?") for part in _ELLIPSIS.split(quote)]
        plain = [" ".join(_plain(token) for token in part.split()) for part in parts if words(part)]
        found = self._chain(plain) if plain else None
        return None if found is None else (self._place(found[0]), self._place(found[1] - 1) + 1)

    def _chain(self, parts: Sequence[str]) -> tuple[int, int] | None:
        """Return (start, end) of the parts one behind the other, in the plain text.

        For each part, all places are kept that the parts before it can reach. In a text of repetitions there can be so
        many that the time would grow as the square, so that only a number of steps that grows as the text is taken.
        """
        text, steps = self._text, 100_000 + 5 * len(self._text)
        reached: list[tuple[int, int, int]] = [(0, len(text), -1)]  # where the next may begin: first, last; the start
        for number, part in enumerate(parts):
            places: list[tuple[int, int, int]] = []
            at = 0
            for first, last, origin in reached:
                at = max(at, first)  # where places overlap, each is looked at once
                steps -= max(0, last + 1 - at)
                while steps > 0 and (at := text.find(part, at, last + len(part))) >= 0:
                    steps -= len(part) + 1
                    end = at + len(part)
                    begins = number > 0 or not (at and _LETTER.match(text[at - 1]))
                    ends = number + 1 < len(parts) or not (end < len(text) and _LETTER.match(text[end]))
                    if begins and ends:
                        start = at if origin < 0 else origin
                        if number + 1 == len(parts):
                            return start, end
                        places.append((end, end + _MAX_LEFT_OUT, start))
                    at += 1
                at = max(at, last + 1)
            reached = places
        return None

    def _place(self, at: int) -> int:
        """Return where a character of the plain text stands in the original."""
        token = bisect_right(self._starts, at) - 1
        return self._original[token] + at - self._starts[token]


def _plain(token: str) -> str:
    """Return the token in small letters with plain quotation marks, at its length."""
    low = token.lower()
    if len(low) != len(token):
        low = "".join(letter.lower() if len(letter.lower()) == 1 else letter for letter in token)
    return low.translate(_QUOTE_MARKS)


def _share(wanted: frozenset[str], held: frozenset[str]) -> float:
    return len(wanted & held) / len(wanted) if wanted else 0.0


def _nearest_sentence(said: frozenset[str], source: _Source) -> tuple[int, int] | None:
    return max(source.sentences, key=lambda sentence: _share(said, sentence[1]), default=(None, None))[0]
