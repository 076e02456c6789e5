"""Check later whether the places that an answer cites still hold what they held then.

A place is found again by its text, and of several places by what stands around it. Altered text is found by the
sentences beside it: those of the passage that the answer read are compared with those of the document (`difflib`), and
what stands between the same neighbors is what took its place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import SequenceMatcher
from functools import cached_property
from io import StringIO
from itertools import islice
from typing import Any, Protocol

from embedpipe.answering.citations import Citation, CitationState, State
from embedpipe.answering.response import RAGResponse
from embedpipe.retrieval.context import Passage
from embedpipe.text import clean_text, sentence_spans, words
from embedpipe.types import Chunk

_MOST_PLACES = 1000
_AROUND = 300
"""How many characters around a place tell it from others with the same text."""

_MORE = 2
"""How many sentences more than were cited may stand in their place and all count as what stands there now."""

_SIMILAR, _SIMILAR_ELSEWHERE = 0.3, 0.5
"""The share of words (Dice) that a sentence has in common with the cited text, to count as what became of it: among
those in its place, and anywhere in the document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CitedPlace:
    """A place that an answer cites, as it was then.

    Attributes:
        source: The number of the source, from 1.
        document_id: The document.
        quote: The text at the place.
        start_index: Where it began in the document. For cleaned text, where its chunk did.
        end_index: Where it ended.
        passage: The text of the source, which holds the quote.
        passage_start: Where this began in the document.
    """

    source: int
    document_id: str
    quote: str
    start_index: int
    end_index: int
    passage: str
    passage_start: int

    @property
    def within(self) -> int:
        """Return where the quote begins in the passage."""
        at = self.start_index - self.passage_start
        return at if self.passage.startswith(self.quote, at) else max(self.passage.find(self.quote), 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AffectedAnswer:
    """A kept answer that leans on a change.

    Attributes:
        id: The id under which it was kept.
        created_at: When it was kept.
        question: Its question.
        answer: Its text.
        citations: Its citations of the changed documents that are altered or deleted.
    """

    id: str
    created_at: datetime
    question: str
    answer: str
    citations: Sequence[CitationState]


class _KeptAnswer(Protocol):
    """An answer as the database keeps it."""

    @property
    def id(self) -> str: ...
    @property
    def created_at(self) -> datetime: ...
    @property
    def question(self) -> str: ...
    @property
    def answer(self) -> str: ...
    @property
    def citations(self) -> Sequence[Mapping[str, Any]]: ...


def places_of(answer: RAGResponse | Sequence[Mapping[str, Any]]) -> list[CitedPlace]:
    """Return the places that an answer cites, in order, or those that were kept of one as JSON.

    A citation without a place in a document has none.
    """
    if not isinstance(answer, RAGResponse):
        return [CitedPlace(**record) for record in answer]
    places = [_place(citation, answer.sources) for citation in answer.citations]
    return [place for place in places if place is not None]


def affected_answers(
    answers: Sequence[_KeptAnswer], document_ids: Sequence[str], texts: Mapping[str, str]
) -> list[AffectedAnswer]:
    """Return the answers of which a citation of one of these documents does not hold any more.

    Args:
        answers: The answers that may be affected.
        document_ids: The documents that were changed or deleted.
        texts: The present text of each of them that is still there, by its id.
    """
    changed, found = set(document_ids), list[AffectedAnswer]()
    for answer in answers:
        places = [place for place in places_of(answer.citations) if place.document_id in changed]
        lost = [state for state in verified(places, texts) if not state.holds]
        if lost:
            found.append(
                AffectedAnswer(
                    id=answer.id,
                    created_at=answer.created_at,
                    question=answer.question,
                    answer=answer.answer,
                    citations=lost,
                )
            )
    return found


def texts_of_chunks(chunks: Sequence[Chunk]) -> dict[str, str]:
    """Return the text of each document as far as its chunks hold it, for documents that were stored as chunks alone.

    Blanks stand where no chunk is, so that offsets are those of the document.
    """
    texts: dict[str, StringIO] = {}
    for chunk in sorted(chunks, key=lambda chunk: chunk.start_index):
        text = texts.setdefault(str(chunk.document_id), StringIO())
        text.write(" " * (chunk.start_index - text.tell()) + chunk.text[max(text.tell() - chunk.start_index, 0) :])
    return {document_id: text.getvalue() for document_id, text in texts.items()}


def verified(places: Sequence[CitedPlace], texts: Mapping[str, str]) -> list[CitationState]:
    """Return what became of each place, in order.

    Args:
        places: The places that an answer cites.
        texts: The present text of each document that is still there, by its id.
    """
    documents = {name: _Document(text) for name, text in texts.items()}
    return [_state(place, documents.get(place.document_id)) for place in places]


class _Document:
    """A document's text, with its sentences once they are needed."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def spans(self) -> list[tuple[int, int]]:
        return sentence_spans(self.text)

    @cached_property
    def sentences(self) -> list[str]:
        return [self.text[start:end] for start, end in self.spans]

    @cached_property
    def bags(self) -> list[set[str]]:
        return [set(words(sentence)) for sentence in self.sentences]


def _state(place: CitedPlace, document: _Document | None) -> CitationState:
    state: State = "deleted"
    found: tuple[int, int] | None = None
    if document is not None:
        state, found = _found(place, document)
    start, end = (None, None) if found is None else found
    return CitationState(
        source=place.source,
        document_id=place.document_id,
        quote=place.quote,
        state=state,
        start_index=start,
        end_index=end,
        text=None if document is None or found is None else document.text[start:end],
    )


def _found(place: CitedPlace, document: _Document) -> tuple[State, tuple[int, int] | None]:
    """Return what became of a place in a document that is there, and where it or its successor stands."""
    stands = document.text[place.start_index : place.end_index]
    if stands == place.quote or (stands and _plain(place.quote) in _plain(stands)):
        return "unchanged", (place.start_index, place.end_index)
    if moved := _places(place.quote, document.text):
        return "moved", _likeliest(place, document.text, moved)
    return "altered", _successor(place, document)


def _place(citation: Citation, sources: Sequence[Passage]) -> CitedPlace | None:
    start, end, quote = citation.start_index, citation.end_index, citation.quote
    if citation.document_id is None or quote is None or start is None or end is None:
        return None
    return CitedPlace(
        source=citation.source,
        document_id=citation.document_id,
        quote=quote,
        start_index=start,
        end_index=end,
        passage=sources[citation.source - 1].text,
        passage_start=sources[citation.source - 1].start_index,
    )


def _plain(text: str) -> str:
    """Return a text without what cleaning and the gaps between chunks may have changed."""
    return " ".join(clean_text(text).split())


def _places(quote: str, text: str) -> list[tuple[int, int]]:
    """Return where the quote stands: word for word, or else with other white space."""
    found: list[tuple[int, int]] = []
    start = text.find(quote)
    while start >= 0 and len(found) < _MOST_PLACES:
        found.append((start, start + len(quote)))
        start = text.find(quote, start + 1)
    if found:
        return found
    spaced = r"\s+".join(map(re.escape, quote.split()))
    return [match.span() for match in islice(re.finditer(spaced, text), _MOST_PLACES)] if spaced else []


def _likeliest(place: CitedPlace, text: str, places: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return the place with most of the same text around it, and of several the nearest to the former one."""
    begin = place.within
    before, after = place.passage[:begin][-_AROUND:], place.passage[begin + len(place.quote) :][:_AROUND]

    def likeness(span: tuple[int, int]) -> tuple[int, int]:
        start, end = span
        ahead = _alike(before[::-1], text[max(start - _AROUND, 0) : start][::-1])
        return ahead + _alike(after, text[end : end + _AROUND]), -abs(start - place.start_index)

    return max(places, key=likeness)


def _alike(one: str, other: str) -> int:
    """Return how many characters both begin with."""
    differing = (at for at, (mine, yours) in enumerate(zip(one, other, strict=False)) if mine != yours)
    return next(differing, min(len(one), len(other)))


def _successor(place: CitedPlace, document: _Document) -> tuple[int, int] | None:
    """Return where the text stands that took the place of the cited one. None if nothing did."""
    begin = place.within
    spans = sentence_spans(place.passage)
    cited = [at for at, (start, end) in enumerate(spans) if start < begin + len(place.quote) and end > begin]
    matcher = SequenceMatcher(None, [place.passage[a:b] for a, b in spans], document.sentences, autojunk=False)
    blocks = [block for block in matcher.get_opcodes() if cited and block[1] <= cited[-1] and block[2] > cited[0]]
    there = [at for _, _, _, first, last in blocks for at in range(first, last)]
    anchored = bool(matcher.find_longest_match().size)
    if anchored and there and len(there) <= len(cited) + _MORE:
        return document.spans[there[0]][0], document.spans[there[-1]][1]
    asked = set(words(place.quote))
    for among, least in ((there, _SIMILAR), (range(len(document.spans)), _SIMILAR_ELSEWHERE)):
        best = max(among, key=lambda at: _dice(asked, document.bags[at]), default=None)
        if best is not None and _dice(asked, document.bags[best]) >= least:
            return document.spans[best]
    return None


def _dice(one: set[str], other: set[str]) -> float:
    return 2 * len(one & other) / (len(one) + len(other) or 1)
