"""Split an answer into statements, and check their citations against the sources."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, TypeAlias

from embedpipe.answering.chat import NativeCitation
from embedpipe.answering.marks import Mark, find_marks, prose
from embedpipe.answering.values import UnsupportedValue, ValuesOfText, unsupported_values
from embedpipe.retrieval.context import Passage
from embedpipe.text import SPACED_LETTER, sentence_spans, words
from embedpipe.types import Metadata

Status: TypeAlias = Literal["quoted", "paraphrased", "unsupported", "unsupported_value", "misquoted", "unknown_source"]
State: TypeAlias = Literal["unchanged", "moved", "altered", "deleted"]

MIN_SUPPORT = 0.5
"""The share of a paraphrase's words that its source must contain."""

# A malicious document may control the answer's text, so every pattern here takes linear time: none begins with a
# repetition, and none looks past the character that could begin its next match.
_QUOTATION = re.compile(r"\"([^\"]+)\"|“([^“”]+)”|„([^„“”]+)[“”]|«([^«»]+)»|「([^「」]+)」")
_ELLIPSIS = re.compile(r"\[\s*(?:\.\.\.|…)\s*\]|\.\.\.|…")
_LETTER = re.compile(SPACED_LETTER)
_QUOTE_MARKS = str.maketrans("’‘“”„", '\'\'"""')
_MAX_LEFT_OUT = 300
"""The most characters that an ellipsis may replace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """A mark such as [2] in an answer, and the result of its check.

    Attributes:
        source: The number of the source, from 1.
        status: "quoted": the statement, or its quotation, is in the source word for word.
            "paraphrased": nothing is quoted, and the source has at least half of the statement's words.
            "unsupported": nothing is quoted, and the source has fewer of its words.
            "unsupported_value": it would be one of the first two, but no source of the statement has one of its
            numbers, units, dates, negations or names. See `values`.
            "misquoted": the quotation is not in the source.
            "unknown_source": there is no source with this number.
        document_id: The source's document.
        quote: The text of the source at this place. The document has it word for word (only white space between two
            chunks may be of another kind).
        start_index: The start of the quotation, or else of the sentence that is closest to the statement, in the
            original document. For cleaned text, that of the chunk. None if nothing was found.
        end_index: The end of the same place.
        support: The share of the statement's words that the source has, from 0 to 1.
        metadata: The metadata of the chunk in which the quotation begins, such as its page, slide, or sheet and row. If
            nothing was found, those of the source.
        values: The values of the statement that no source of the statement has, each with the nearest of this source.
    """

    source: int
    status: Status
    document_id: str | None = None
    quote: str | None = None
    start_index: int | None = None
    end_index: int | None = None
    support: float = 0.0
    metadata: Metadata = field(default_factory=dict)
    values: tuple[UnsupportedValue, ...] = ()

    @property
    def valid(self) -> bool:
        return self.status in ("quoted", "paraphrased")


@dataclass(frozen=True, slots=True, kw_only=True)
class CitationState:
    """What became of a citation.

    Attributes:
        source: The number of the source in the answer, from 1.
        document_id: The document.
        quote: The text that was cited.
        state: "unchanged": it stands where it stood. "moved": it stands elsewhere in the document. "altered": it does
            not stand in the document any more. "deleted": the document is gone.
        start_index: Where it stands now, or what took its place. None if nothing did.
        end_index: Where this ends.
        text: What stands there now. None if nothing took its place.
    """

    source: int
    document_id: str
    quote: str
    state: State
    start_index: int | None = None
    end_index: int | None = None
    text: str | None = None

    @property
    def holds(self) -> bool:
        """Return whether the document still says what was cited."""
        return self.state in ("unchanged", "moved")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A sentence of an answer, without its citation marks. `answer[start:end]` is the sentence with them."""

    text: str
    start: int
    end: int
    citations: tuple[Citation, ...] = ()


def checked_statements(
    answer: str, sources: Sequence[Passage], native: Sequence[NativeCitation] = ()
) -> list[Statement]:
    """Split an answer into sentences and check the citations of each.

    A citation belongs to the sentence that contains it or that it directly follows.

    Args:
        answer: The answer, with citations in any form that `embedpipe.answering.marks` knows, such as [1] or [2, 3].
        sources: The sources in the order of their numbers, which count from 1.
        native: The citations that the model made by itself. They say what their marks in the answer point to.

    Returns:
        The sentences in order. A sentence without a citation has no `citations`.
    """
    checked = [_Source(source) for source in sources]
    return [
        Statement(
            text=text,
            start=start,
            end=end,
            citations=_with_checked_values(
                text,
                [
                    citation
                    for number in numbers
                    for citation in _checked(text, number, checked, [each for each in native if start <= each.at < end])
                ],
                checked,
            ),
        )
        for text, start, end, numbers in _cited_sentences(answer, len(sources))
    ]


class _Source:
    """A passage with its words and sentences, which all citations of it are checked against."""

    def __init__(self, passage: Passage) -> None:
        self.passage = passage

    @cached_property
    def words(self) -> frozenset[str]:
        return frozenset(words(self.passage.text))

    @cached_property
    def plain(self) -> _PlainText:
        return _PlainText(self.passage.text)

    @cached_property
    def values(self) -> ValuesOfText:
        chunks = [result.chunk for result in self.passage.results]
        headers = dict.fromkeys(
            [*(chunk.header or "" for chunk in chunks), str(self.passage.metadata.get("title", ""))]
        )
        return ValuesOfText(self.passage.text, also="\n".join(headers))

    @cached_property
    def sentences(self) -> list[tuple[tuple[int, int], frozenset[str]]]:
        text = self.passage.text
        return [(span, frozenset(words(text[slice(*span)]))) for span in sentence_spans(text)]


def _cited_sentences(answer: str, sources: int) -> Iterator[tuple[str, int, int, list[int]]]:
    marks = find_marks(answer, sources=sources)
    blanked = list(prose(answer))
    behind = 0
    for mark in marks:
        start = mark.start
        while start > behind and answer[start - 1].isspace():
            start -= 1
        behind = mark.end
        blanked[start:behind] = " " * (behind - start)
    text = "".join(blanked)
    spans = sentence_spans(text)
    owned = _owned(marks, spans, answer)
    for position, (start, end) in enumerate(spans):
        own = owned[position]
        numbers = [number for mark in own for number in mark.numbers]
        whole = (min([start, *(mark.start for mark in own)]), max([end, *(mark.end for mark in own)]))
        statement = re.sub(r"\s+([.,;:!?])", r"\1", " ".join(text[start:end].split()))
        yield statement, *whole, list(dict.fromkeys(numbers))


def _owned(marks: Sequence[Mark], spans: Sequence[tuple[int, int]], answer: str) -> defaultdict[int, list[Mark]]:
    """Return the marks of each sentence, by its position.

    A mark belongs to the sentence that contains it, or else to the one before it on its line, or to the next.
    """
    starts = [start for start, _ in spans]
    breaks = [match.start() for match in re.finditer("\n", answer)]
    owned: defaultdict[int, list[Mark]] = defaultdict(list)
    for mark in marks:
        at = mark.start + 1
        after = bisect_right(starts, at)
        on_line = after > 0 and bisect_right(breaks, at) == bisect_right(breaks, min(spans[after - 1][1], at) - 1)
        owned[after if after < len(spans) and not on_line else after - 1].append(mark)
    return owned


def _checked(
    statement: str, number: int, sources: Sequence[_Source], native: Sequence[NativeCitation]
) -> Iterator[Citation]:
    """Check the citations of source `number` after `statement`: those that the model made by itself, or the mark."""
    own = dict.fromkeys(each._replace(at=0) for each in native if each.source == number)
    checked = _check(statement, number, sources)
    if not own or not 1 <= number <= len(sources):
        yield checked
        return
    passage = sources[number - 1].passage
    for each in own:
        span = _native_place(each, sources[number - 1])
        if span is None:
            yield _citation(number, passage, status="misquoted", span=None, support=checked.support)
        elif checked.status == "quoted":  # the words that the statement quotes say more
            yield checked
        else:
            yield _citation(number, passage, status=checked.status, span=span, support=checked.support)


def _native_place(native: NativeCitation, source: _Source) -> tuple[int, int] | None:
    """Return where the cited text stands in the source, which need not be where the model says. None if nowhere."""
    text, cited, first = source.passage.text, native.text.strip(), max(native.start, 0)
    if not cited:
        return None
    said = text[first : max(native.end, 0)]
    start = first + said.find(cited) if said.strip() == cited else text.find(cited)
    return (start, start + len(cited)) if start >= 0 else source.plain.find(cited)


def _with_checked_values(text: str, citations: Sequence[Citation], sources: Sequence[_Source]) -> tuple[Citation, ...]:
    """Return a statement's citations, those that are valid with the values that none of its sources has."""
    if not any(citation.valid for citation in citations):
        return tuple(citations)
    statement = ValuesOfText(text)
    unsupported = {
        number: {
            (value.start, value.kind): value for value in unsupported_values(statement, sources[number - 1].values)
        }
        for number in {citation.source for citation in citations if citation.status != "unknown_source"}
    }
    nowhere = sorted(set.intersection(*(set(values) for values in unsupported.values())))
    return tuple(
        _with_values(citation, [unsupported[citation.source][key] for key in nowhere], sources[citation.source - 1])
        if nowhere and citation.valid
        else citation
        for citation in citations
    )


def _with_values(citation: Citation, values: Sequence[UnsupportedValue], source: _Source) -> Citation:
    """Return the citation with its unsupported values, the nearest of the source by their places in the document."""
    placed = []
    for value in values:
        if value.nearest_start is None or value.nearest_end is None:
            placed.append(value)
        else:
            start, end = source.passage.place(value.nearest_start, value.nearest_end)
            placed.append(replace(value, nearest_start=start, nearest_end=end))
    return replace(citation, status="unsupported_value", values=tuple(placed))


def _check(statement: str, number: int, sources: Sequence[_Source]) -> Citation:
    """Check a citation of source `number` after `statement`."""
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
        return Citation(
            source=number,
            status=status,
            document_id=source.document_id,
            support=support,
            metadata=source.metadata,
        )
    start, end = source.place(*span)
    return Citation(
        source=number,
        status=status,
        document_id=source.document_id,
        quote=source.text[span[0] : span[1]],
        start_index=start,
        end_index=end,
        support=support,
        metadata=source.metadata_at(span[0]),
    )


def find_quote(quote: str, text: str) -> tuple[int, int] | None:
    """Return (start, end) of the quoted words in `text`, or None.

    White space, case, the kind of quotation marks and punctuation at the end may differ. An ellipsis stands for up to
    300 characters.
    """
    return _PlainText(text).find(quote)


class _PlainText:
    """A text with single spaces, plain quotation marks and lower case, which maps places back to the original."""

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
        """Return (start, end) of the quote in the original text, or None. Takes linear time."""
        parts = [part.strip(" \t\n.,;:!?") for part in _ELLIPSIS.split(quote)]
        plain = [" ".join(_plain(token) for token in part.split()) for part in parts if words(part)]
        found = self._chain(plain) if plain else None
        return None if found is None else (self._place(found[0]), self._place(found[1] - 1) + 1)

    def _chain(self, parts: Sequence[str]) -> tuple[int, int] | None:
        """Return (start, end) of the parts in sequence, in the plain text.

        For each part, all places are kept that the parts before it can reach. A repetitive text can have so many that
        the time would be quadratic, so the number of steps is limited to a multiple of the text's length.
        """
        text, steps = self._text, 100_000 + 5 * len(self._text)
        # Where the next part may begin (first, last), and the start of the chain.
        reached: list[tuple[int, int, int]] = [(0, len(text), -1)]
        for number, part in enumerate(parts):
            places: list[tuple[int, int, int]] = []
            at = 0
            for first, last, origin in reached:
                at = max(at, first)  # overlapping ranges are searched once
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
        """Return the place in the original of a character of the plain text."""
        token = bisect_right(self._starts, at) - 1
        return self._original[token] + at - self._starts[token]


def _plain(token: str) -> str:
    """Return the token in lower case with plain quotation marks. Its length stays the same."""
    low = token.lower()
    if len(low) != len(token):
        low = "".join(letter.lower() if len(letter.lower()) == 1 else letter for letter in token)
    return low.translate(_QUOTE_MARKS)


def _share(wanted: frozenset[str], held: frozenset[str]) -> float:
    return len(wanted & held) / len(wanted) if wanted else 0.0


def _nearest_sentence(said: frozenset[str], source: _Source) -> tuple[int, int] | None:
    return max(source.sentences, key=lambda sentence: _share(said, sentence[1]), default=(None, None))[0]
