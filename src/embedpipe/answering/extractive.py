"""Answer without a language model: quote the sentences of the sources that fit the question."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from embedpipe._checks import check_fields
from embedpipe.answering.citations import Citation, Statement
from embedpipe.retrieval.context import Passage
from embedpipe.text import sentence_spans, words

_SIMILARITY_WEIGHT = 2.0
_MIN_WORDS = 3
_STEM = 6
_WHOLE = re.compile(r"[.!?…。！？।؟][\"'”’»)\]」』]*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractiveAnswerer:
    """Quotes up to `max_sentences` sentences, best first. Their citations are correct by construction.

    A sentence's score is its share of the question's words plus twice its source's dense similarity. Words are
    compared by their first six letters. Rare words weigh more, and so do longer ones, since short words are mostly
    grammar. On SQuAD this finds the answer more often than the similarity of question and sentence
    (`benchmarks/extractive_answers.py`), and it needs no embedding.
    """

    max_sentences: int = 3

    def __post_init__(self) -> None:
        check_fields(self)

    def statements(self, question: str, sources: Sequence[Passage]) -> list[Statement]:
        """Return the best sentences of the sources, each with its citation.

        Args:
            question: The question.
            sources: The sources in the order of their numbers.

        Returns:
            The sentences, best first. Empty if no sentence has three words. Offsets are those in `answer_text`.
        """
        candidates = _candidates(sources)
        shares = _weighted_shares(question, [_text(sources, candidate) for candidate in candidates])
        order = sorted(
            range(len(candidates)),
            key=lambda i: -(shares[i] + _SIMILARITY_WEIGHT * _similarity(sources[candidates[i][0]])),
        )
        chosen: list[Statement] = []
        start = 0
        for position in order:
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


def answer_text(statements: Sequence[Statement]) -> str:
    """Join the statements and their citation marks into one text."""
    return " ".join(
        " ".join([statement.text, *(f"[{citation.source}]" for citation in statement.citations)])
        for statement in statements
    )


def _candidates(sources: Sequence[Passage]) -> list[tuple[int, int, int]]:
    """Return (position of the source, start, end within its text) of each sentence. None spans a gap.

    Headings and lines of code do not end like sentences. They only count if there are no sentences.
    """
    spans = [
        (position, left + start, left + end)
        for position, source in enumerate(sources)
        for left, right in source.stretches
        for start, end in sentence_spans(source.text[left:right])
        if len(words(source.text[left + start : left + end])) >= _MIN_WORDS
    ]
    return [span for span in spans if _WHOLE.search(_text(sources, span))] or spans


def _text(sources: Sequence[Passage], candidate: tuple[int, int, int]) -> str:
    position, start, end = candidate
    return sources[position].text[start:end]


def _weighted_shares(question: str, texts: Sequence[str]) -> list[float]:
    held = [_stems(text) for text in texts]
    frequency = Counter(stem for bag in held for stem in bag)
    # BM25's inverse document frequency over the candidate sentences, times the length of the stem.
    weights = {
        stem: math.log(1 + len(texts) / (0.5 + frequency[stem])) * len(stem)
        for stem in _stems(question)
        if stem in frequency
    }
    total = sum(weights.values()) or 1.0
    return [sum(weight for stem, weight in weights.items() if stem in bag) / total for bag in held]


def _stems(text: str) -> set[str]:
    return {word[:_STEM] for word in words(text)}


def _similarity(source: Passage) -> float:
    return max((result.similarity or 0.0) for result in source.results)


def _citation(sources: Sequence[Passage], candidate: tuple[int, int, int]) -> Citation:
    position, start, end = candidate
    source = sources[position]
    place = source.place(start, end)
    return Citation(
        source=position + 1,
        status="quoted",
        document_id=source.document_id,
        quote=source.text[start:end],
        start_index=place[0],
        end_index=place[1],
        support=1.0,
        metadata=source.metadata_at(start),
    )
