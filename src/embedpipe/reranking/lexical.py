"""Word overlap beside dense similarity: needs no model and takes microseconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from embedpipe.errors import ConfigurationError
from embedpipe.reranking.ordering import reordered
from embedpipe.text import words
from embedpipe.types import SearchResult


@dataclass(frozen=True, slots=True, kw_only=True)
class LexicalReranker:
    """Scores `similarity_weight` * dense similarity + `overlap_weight` * share of the query's words in the text.

    Words are case-folded, whatever the script. A result without a similarity counts as 0 there.
    """

    similarity_weight: float = 0.7
    overlap_weight: float = 0.3

    def __post_init__(self) -> None:
        weights = (self.similarity_weight, self.overlap_weight)
        if min(weights) < 0 or sum(weights) == 0:
            raise ConfigurationError(f"weights must be 0 or more, and not both 0; got {weights}.")

    def rerank(self, query: str, results: Sequence[SearchResult]) -> list[SearchResult]:
        wanted = set(words(query))
        return reordered(results, [self._score(wanted, result) for result in results], by="LexicalReranker")

    def _score(self, wanted: set[str], result: SearchResult) -> float:
        overlap = len(wanted.intersection(words(result.text))) / len(wanted) if wanted else 0.0
        return self.similarity_weight * (result.similarity or 0.0) + self.overlap_weight * overlap
