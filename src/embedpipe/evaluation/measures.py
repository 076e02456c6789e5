"""Score rankings by recall, precision, nDCG, MRR and MAP, and chunks by the gold excerpts they cover."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from embedpipe._optional import require
from embedpipe.errors import ConfigurationError
from embedpipe.evaluation.datasets import Excerpt
from embedpipe.types import SearchResult

DEFAULT_MEASURES = ("nDCG@10", "R@5", "R@10", "P@5", "RR@10", "AP@10")
"""The names are those of ir-measures: R is recall, P precision, RR reciprocal rank (mean: MRR), AP's mean is MAP."""


def ranking(results: Iterable[SearchResult]) -> list[str]:
    """Return the document ids, best first. A document's rank is that of its best chunk."""
    return list(dict.fromkeys(result.document_id or result.id for result in results))


def spans(results: Iterable[SearchResult]) -> list[Excerpt]:
    """Return the results' places in their documents."""
    return [Excerpt(r.document_id or r.id, r.chunk.start_index, r.chunk.end_index) for r in results]


def measure(
    relevant: Mapping[str, Mapping[str, int]],
    rankings: Mapping[str, Sequence[str]],
    measures: Sequence[str] = DEFAULT_MEASURES,
) -> dict[str, dict[str, float]]:
    """Score rankings with ir-measures, which runs trec_eval.

    Args:
        relevant: `relevant[query_id][document_id]` is a grade.
        rankings: The document ids found for each query, best first.
        measures: The measures, as ir-measures names them.

    Returns:
        {measure: {query_id: value}} for each judged query. A query without a ranking counts 0.

    Raises:
        ConfigurationError: If ir-measures does not know a measure.
        MissingExtraError: If the extra `evaluate` is not installed.
    """
    library = require("ir_measures", extra="evaluate")
    wanted = {name: _parsed(library, name) for name in measures}
    judged = {query_id: dict(grades) for query_id, grades in relevant.items()}
    # trec_eval sorts by score, so the negative rank is the score.
    run = {
        query_id: {document_id: float(-place) for place, document_id in enumerate(rankings.get(query_id, ()))}
        for query_id in judged
    }
    values = {name: dict.fromkeys(judged, 0.0) for name in measures}
    names = {parsed: name for name, parsed in wanted.items()}
    for item in library.iter_calc(list(wanted.values()), judged, run):
        values[names[item.measure]][item.query_id] = float(item.value)
    return values


def _parsed(library: object, name: str) -> object:
    try:
        return library.parse_measure(name)  # type: ignore[attr-defined]
    except (NameError, ValueError, SyntaxError) as error:
        raise ConfigurationError(
            f"ir-measures has no measure {name!r}. Examples: {', '.join(DEFAULT_MEASURES)}."
        ) from error


class ExcerptScores(NamedTuple):
    """Shares of characters, from 0 to 1."""

    recall: float
    precision: float
    iou: float


def excerpt_scores(gold: Sequence[Excerpt], retrieved: Sequence[Excerpt]) -> ExcerptScores:
    """Measure how well retrieved chunks cover the gold excerpts, as in Chroma's "Evaluating Chunking Strategies".

    H is the number of gold characters that retrieved chunks cover. Recall is H / gold. Precision is H / retrieved,
    where overlapping chunks count twice. IoU is H / (retrieved + gold not covered).

    Args:
        gold: The excerpts that answer the question.
        retrieved: The places of the retrieved chunks.
    """
    wanted = _characters(gold)
    hit = len(wanted & _characters(retrieved))
    length = sum(chunk.end - chunk.start for chunk in retrieved)
    if not wanted or not length:
        return ExcerptScores(0.0, 0.0, 0.0)
    return ExcerptScores(hit / len(wanted), hit / length, hit / (length + len(wanted) - hit))


def _characters(excerpts: Iterable[Excerpt]) -> set[tuple[str, int]]:
    return {(excerpt.document_id, place) for excerpt in excerpts for place in range(excerpt.start, excerpt.end)}
