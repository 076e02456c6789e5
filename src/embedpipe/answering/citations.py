"""From an answer's text to statements whose citations are checked against the sources they name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from embedpipe.retrieval.context import Passage
from embedpipe.text.sentences import sentence_spans
from embedpipe.text.words import SPACED_LETTER, words

Status: TypeAlias = Literal["quoted", "paraphrased", "unsupported", "misquoted", "unknown_source"]

MIN_SUPPORT = 0.5
"""The share of a paraphrase's words that its source must hold."""

_CODE = re.compile(r"```[\s\S]*?```|`[^`\n]*`")
_MARK = re.compile(
    r"\s*\[\s*(?:sources?\s*)?(\d{1,4}(?:\s*(?:,|;|-|–|and)\s*(?:sources?\s*)?\d{1,4})*)\s*\](?!\()", re.IGNORECASE
)
_NUMBERS = re.compile(r"(\d+)(?:\s*[-–]\s*(\d+))?")
_QUOTATION = re.compile(r"\"([^\"]+)\"|“([^”]+)”|„([^“”]+)[“”]|«([^»]+)»|「([^」]+)」")
_ELLIPSIS = re.compile(r"\s*(?:\[\s*)?(?:\.\.\.|…)(?:\s*\])?\s*")
_QUOTE_CHARACTERS = {"'": "['’‘]", "’": "['’‘]", '"': '["“”„]', "“": '["“”„]', "”": '["“”„]'}


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
    return [
        Statement(text=text, start=start, end=end, citations=tuple(check(text, number, sources) for number in numbers))
        for text, start, end, numbers in _cited_sentences(answer)
    ]


def _cited_sentences(answer: str) -> Iterator[tuple[str, int, int, list[int]]]:
    without_code = _CODE.sub(_blank, answer)
    marks = list(_MARK.finditer(without_code))
    blanked = list(answer)
    for mark in marks:
        blanked[mark.start() : mark.end()] = _blank(mark)
    prose = "".join(blanked)
    spans = sentence_spans(prose)
    owners = [_owner(mark, spans, answer) for mark in marks]
    for position, (start, end) in enumerate(spans):
        own = [mark for mark, owner in zip(marks, owners, strict=True) if owner == position]
        numbers = [number for mark in own for number in _numbers(mark[1])]
        whole = (min([start, *(m.start(1) - 1 for m in own)]), max([end, *(m.end() for m in own)]))
        text = re.sub(r"\s+([.,;:!?])", r"\1", " ".join(prose[start:end].split()))
        yield text, *whole, list(dict.fromkeys(numbers))


def _blank(match: re.Match[str]) -> str:
    return " " * len(match.group())


def _owner(mark: re.Match[str], spans: Sequence[tuple[int, int]], answer: str) -> int | None:
    """The position of the sentence that the mark stands in, or else the one before it on its line, or the next."""
    at = mark.start(1)
    before = [i for i, (start, _) in enumerate(spans) if start <= at]
    if before and (at < spans[before[-1]][1] or "\n" not in answer[spans[before[-1]][1] : at]):
        return before[-1]
    after = len(before)
    return after if after < len(spans) else (before[-1] if before else None)


def _numbers(mark: str) -> Iterator[int]:
    for match in _NUMBERS.finditer(mark):
        first, last = int(match[1]), int(match[2] or match[1])
        yield from range(first, last + 1) if last - first < 20 else (first, last)


def check(statement: str, number: int, sources: Sequence[Passage]) -> Citation:
    """What a citation of source `number` after `statement` is worth."""
    if not 1 <= number <= len(sources):
        return Citation(source=number, status="unknown_source")
    source = sources[number - 1]
    support = _share_of_words(statement, source.text)
    quotations = [text for groups in _QUOTATION.findall(statement) for text in groups if words(text)]
    verbatim = find_quote(statement, source.text)
    found = [verbatim] if verbatim else [find_quote(text, source.text) for text in quotations]
    if not found:
        status: Status = "paraphrased" if support >= MIN_SUPPORT else "unsupported"
        span = _nearest_sentence(statement, source.text) if status == "paraphrased" else None
        return _citation(number, source, status=status, span=span, support=support)
    if None in found:
        return _citation(number, source, status="misquoted", span=None, support=support)
    span = max((span for span in found if span), key=lambda span: span[1] - span[0])
    return _citation(number, source, status="quoted", span=span, support=support)


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
    """(start, end) of the quoted words in `text`, else None.

    White space, kinds of quotation marks and case may differ, punctuation at the quote's end too; an ellipsis stands
    for left-out words within 300 characters.
    """
    parts = [part.strip(" \t\n.,;:!?") for part in _ELLIPSIS.split(quote)]
    patterns = [r"\s+".join(_token(token) for token in part.split()) for part in parts if words(part)]
    if not patterns:
        return None
    pattern = r"[\s\S]{0,300}?".join(patterns)
    match = re.search(rf"(?<!{SPACED_LETTER}){pattern}(?!{SPACED_LETTER})", text, re.IGNORECASE)
    return match.span() if match else None


def _token(token: str) -> str:
    return "".join(_QUOTE_CHARACTERS.get(character, re.escape(character)) for character in token)


def _share_of_words(statement: str, text: str) -> float:
    wanted = set(words(statement))
    return len(wanted & set(words(text))) / len(wanted) if wanted else 0.0


def _nearest_sentence(statement: str, text: str) -> tuple[int, int] | None:
    spans = sentence_spans(text)
    return max(spans, key=lambda span: _share_of_words(statement, text[span[0] : span[1]]), default=None)
