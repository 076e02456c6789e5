"""The reranker "lexical": word overlap beside dense similarity. It needs no model and takes microseconds."""

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

    Words are case-folded, whatever the script. A result without a similarity counts with a similarity of 0.

    Raises:
        ConfigurationError: If a weight is below 0, or both are 0.
    """

    similarity_weight: float = 0.7
    overlap_weight: float = 0.3

    def __post_init__(self) -> None:
        weights = (self.similarity_weight, self.overlap_weight)
        if min(weights) < 0 or sum(weights) == 0:
            raise ConfigurationError(f"The weights {weights} do not fit. Pass weights of 0 or more, and not both 0.")

    def rerank(self, query: str, results: Sequence[SearchResult]) -> list[SearchResult]:
        """Return the results, best first, each with its `rerank_score`."""
        wanted = set(words(query))
        return reordered(results, [self._score(wanted, result) for result in results], by="LexicalReranker")

    def _score(self, wanted: set[str], result: SearchResult) -> float:
        overlap = len(wanted.intersection(words(result.text))) / len(wanted) if wanted else 0.0
        return self.similarity_weight * (result.similarity or 0.0) + self.overlap_weight * overlap
