"""Answer without a language model: quote the sentences of the sources that answer the question."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from embedpipe._checks import Bounds, check_fields
from embedpipe.answering.citations import Citation, Statement
from embedpipe.answering.questions import AnswerKind, asked_for
from embedpipe.answering.values import ValuesOfText, in_another_language
from embedpipe.retrieval.context import Passage
from embedpipe.text import SPACED_LETTER, sentence_spans, words

_MIN_WORDS = 3
_STEM = 6
_SPACED = re.compile(SPACED_LETTER)
_WHOLE = re.compile(r"[.!?…。！？।؟][\"'”’»)\]」』]*$")
_HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(\S[^\n]*)", re.MULTILINE)

# What else counts, relative to the share of the question's words that a sentence holds. The ratios are those of a
# conditional logit over the sentences of one half of SQuAD's articles, rounded.
_BEFORE = 0.4
"""The words that only the sentence before holds. It names what "it" or "they" stand for."""

_SIMILARITY = 1.0
"""The similarity of question and source."""

_RANK = 0.12
"""The logarithm of the source's rank, which also speaks for searches by words and for rerankers."""

_KINDS: Final[dict[AnswerKind, float]] = {"number": 0.3, "date": 0.3, "name": 0.15}
"""A value of the kind that the question asks for, if the question does not have it. Most sentences have some name."""


_USUAL_Z = 4.3
"""The standardised similarity at which meaning says nothing for or against an answer.

Halfway between the medians of questions that the sources answer, 5.7, and of those on other topics, 3.0 (SQuAD).
"""

_PER_Z, _MOST_BY_MEANING = 0.1, 0.15
"""How much of the words one unit of it replaces or adds to what is demanded, and how much at most.

The limit costs little: .21 instead of .17 of the questions on other topics are answered. Without it, a model that does
not know the language would refuse what the words show to be there.
"""


class Cosines(Protocol):
    """Mean and spread (standard deviation) of the cosines between chunks of a collection."""

    @property
    def mean(self) -> float: ...

    @property
    def spread(self) -> float: ...


class _Candidate(NamedTuple):
    """A sentence: its source's position, its place within the source's text, and the stems in and around it."""

    source: int
    start: int
    end: int
    stems: set[str]
    before: set[str]
    after: set[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractiveAnswerer:
    """Quotes the sentence that answers best, and others nearly as good. Their citations are correct by construction.

    A sentence's score is its share of the question's words. Words are compared by their first six letters. Rare words
    weigh more, and so do longer ones, since short words are mostly grammar. The source's similarity and rank add to
    it, and so does a value of the kind that the question asks for, such as a date for "when". It needs no embedding.
    `benchmarks/extractive_answers.py` measures it.

    Args:
        max_sentences: The most sentences to quote.
        margin: How far below the best score a further sentence may be. 0 quotes one sentence, 10 `max_sentences`.
        least_share: The share of the question's words, weighted by their squared length, that the best sentence must
            hold together with the sentences beside it. Otherwise nothing is quoted, since the sources are likely to
            hold nothing on the question. 0 always quotes. Where the collection's cosines are known, up to 0.15 less or
            more is demanded, by how far the source's similarity stands out from them. A question in another language
            than that of the source is not judged.

    Raises:
        ConfigurationError: If a field is of another type, or out of its range.
    """

    max_sentences: int = 3
    margin: float = 0.1
    least_share: float = 0.4

    def __post_init__(self) -> None:
        check_fields(self, {"margin": Bounds(0), "least_share": Bounds(0, 1)})

    def statements(self, question: str, sources: Sequence[Passage], cosines: Cosines | None = None) -> list[Statement]:
        """Return the best sentences of the sources, each with its citation.

        Args:
            question: The question.
            sources: The sources in the order of their numbers.
            cosines: Those of the collection, if they are known.

        Returns:
            The sentences, best first. Empty if the sources hold too little of the question, or if no sentence has three
            words. Offsets are those in `answer_text`.
        """
        kind, topic = asked_for(question)
        asked = _stems(topic)
        candidates = _candidates(sources)
        if not candidates:
            return []
        scores = self._scores(question, kind, asked, candidates, sources)
        order = sorted(range(len(candidates)), key=lambda i: -scores[i])
        best = candidates[order[0]]
        if self._is_beside_the_question(question, asked, best, sources, cosines):
            return []
        chosen: list[Statement] = []
        start = 0
        for position in order:
            if scores[position] < scores[order[0]] - self.margin:
                break
            text = " ".join(_text(sources, candidates[position]).split())
            if any(text == statement.text for statement in chosen):
                continue
            citation = _citation(sources, candidates[position])
            end = start + len(f"{text} [{citation.source}]")
            chosen.append(Statement(text=text, start=start, end=end, citations=(citation,)))
            start = end + 1
            if len(chosen) == self.max_sentences:
                break
        return chosen

    def _is_beside_the_question(
        self,
        question: str,
        asked: set[str],
        best: _Candidate,
        sources: Sequence[Passage],
        cosines: Cosines | None,
    ) -> bool:
        if self.least_share == 0:
            return False
        least = self.least_share - _shown_by_meaning(sources[best.source], cosines)
        return _held_share(
            asked, best, _headings(sources[best.source], best.start)
        ) < least and not in_another_language(question, sources[best.source].text)

    def _scores(
        self,
        question: str,
        kind: AnswerKind | None,
        asked: set[str],
        candidates: Sequence[_Candidate],
        sources: Sequence[Passage],
    ) -> list[float]:
        weights = _weights(asked, candidates)
        of_source = [_SIMILARITY * _similarity(source) - _RANK * math.log(_rank(source, sources)) for source in sources]
        scores = [_share(weights, each) + of_source[each.source] for each in candidates]
        if kind is None:
            return scores
        in_question = ValuesOfText(question)
        # Finding values takes longer than all else. A sentence below this would not be quoted even with one.
        least = max(scores) - self.margin - _KINDS[kind]
        for position, candidate in enumerate(candidates):
            if scores[position] >= least and _has(kind, _text(sources, candidate), in_question):
                scores[position] += _KINDS[kind]
        return scores


def answer_text(statements: Sequence[Statement]) -> str:
    """Join the statements and their citation marks into one text."""
    return " ".join(
        " ".join([statement.text, *(f"[{citation.source}]" for citation in statement.citations)])
        for statement in statements
    )


def _candidates(sources: Sequence[Passage]) -> list[_Candidate]:
    """Return the sentences of three words and more. None spans a gap.

    Headings and lines of code do not end like sentences. They only count if there are no sentences.
    """
    found: list[_Candidate] = []
    for position, source in enumerate(sources):
        for left, right in source.stretches:
            spans = [(left + start, left + end) for start, end in sentence_spans(source.text[left:right])]
            stems = [set[str](), *(_stems(source.text[start:end]) for start, end in spans), set[str]()]
            found.extend(
                _Candidate(position, start, end, stems[i], stems[i - 1], stems[i + 1])
                for i, (start, end) in enumerate(spans, 1)
                if len(words(source.text[start:end])) >= _MIN_WORDS
            )
    return [each for each in found if _WHOLE.search(_text(sources, each))] or found


def _text(sources: Sequence[Passage], candidate: _Candidate) -> str:
    return sources[candidate.source].text[candidate.start : candidate.end]


def _stems(text: str) -> set[str]:
    return {word[:_STEM] for word in words(text)}


def _weights(asked: set[str], candidates: Sequence[_Candidate]) -> dict[str, float]:
    """Return the weights of the question's stems that occur: they add to 1."""
    frequency = Counter(stem for each in candidates for stem in each.stems & asked)
    # BM25's inverse document frequency over the candidate sentences, times the length of the stem.
    weights = {stem: math.log(1 + len(candidates) / (0.5 + count)) * len(stem) for stem, count in frequency.items()}
    total = sum(weights.values())
    return {stem: weight / total for stem, weight in weights.items()}


def _share(weights: dict[str, float], candidate: _Candidate) -> float:
    held = sum(weight for stem, weight in weights.items() if stem in candidate.stems)
    before = sum(weight for stem, weight in weights.items() if stem in candidate.before - candidate.stems)
    return held + _BEFORE * before


def _held_share(asked: set[str], candidate: _Candidate, headings: set[str]) -> float:
    """Return the share of the stems in the sentence, those beside it and its headings, 1 if there are no stems.

    They are weighted by their squared length, since what the question asks about are its long words. Their rarity among
    the sentences found would not help: the topic is not rare there.
    """
    wanted = _parts(asked)
    total = sum(len(part) ** 2 for part in wanted)
    held = sum(
        len(part) ** 2 for part in wanted & _parts(candidate.stems | candidate.before | candidate.after | headings)
    )
    return held / total if total else 1.0


def _headings(source: Passage, start: int) -> set[str]:
    """Return the stems of the headings above a place: those of its chunk, and Markdown's in the text."""
    named = source.metadata_at(start).get("heading_path")
    path = dict(enumerate(map(str, named), -len(named))) if isinstance(named, list) else {}
    for heading in _HEADING.finditer(source.text, 0, start):
        level = len(heading[1])
        path = {above: title for above, title in path.items() if above < level} | {level: heading[2]}
    return _stems(" ".join(path.values()))


def _parts(stems: set[str]) -> set[str]:
    """Divide the pairs of characters of scripts without spaces, most of which lie across two words."""
    return {part for stem in stems for part in ((stem,) if _SPACED.match(stem) else stem)}


def _shown_by_meaning(source: Passage, cosines: Cosines | None) -> float:
    """Return how much less of the question's words a source needs because of its similarity, negative for more."""
    if cosines is None or cosines.spread <= 0 or all(result.similarity is None for result in source.results):
        return 0.0
    z = (_similarity(source) - cosines.mean) / cosines.spread
    return max(-_MOST_BY_MEANING, min(_MOST_BY_MEANING, _PER_Z * (z - _USUAL_Z)))


def _rank(source: Passage, sources: Sequence[Passage]) -> int:
    return 1 + sum(other.score > source.score for other in sources)


def _similarity(source: Passage) -> float:
    return max((result.similarity or 0.0) for result in source.results)


def _has(kind: AnswerKind, text: str, in_question: ValuesOfText) -> bool:
    """Return whether the text has a value of the kind that the question does not have."""
    values = ValuesOfText(text)
    if kind == "name":
        said = {token.form[:_STEM] for token in in_question.tokens}
        return any(name.strong and not any(form[:_STEM] in said for form in name.forms) for name in values.names)
    new = [each for each in values.quantities if not each.readings & in_question.numbers]
    if kind == "number":
        return any(not each.is_year and not each.is_weak for each in new)
    said_parts = in_question.numbers
    return any(each.is_year for each in new) or any(
        not all(float(part) in said_parts for part in reading if part is not None)
        for date in values.dates
        for reading in date.readings
    )


def _citation(sources: Sequence[Passage], candidate: _Candidate) -> Citation:
    source = sources[candidate.source]
    place = source.place(candidate.start, candidate.end)
    return Citation(
        source=candidate.source + 1,
        status="quoted",
        document_id=source.document_id,
        quote=source.text[candidate.start : candidate.end],
        start_index=place[0],
        end_index=place[1],
        support=1.0,
        metadata=source.metadata_at(candidate.start),
    )
