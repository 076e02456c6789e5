"""Callables, LangChain compressors and LlamaIndex postprocessors as rerankers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from embedpipe._optional import require
from embedpipe._providers import component_errors
from embedpipe.errors import RerankError
from embedpipe.reranking.ordering import numbers, reordered
from embedpipe.types import SearchResult

_POSITION = "_embedpipe_position"


class CallableReranker:
    """Scores by a callable (query, texts) -> one score for each text, where higher is better."""

    def __init__(self, score: Callable[[str, list[str]], Sequence[float]]) -> None:
        self._score = score
        self._name = getattr(score, "__name__", type(score).__name__)

    def rerank(self, query: str, results: Sequence[SearchResult]) -> list[SearchResult]:
        with component_errors(self._name, self._score, RerankError):
            scores = self._score(query, [result.chunk.embedded_text for result in results])
        return reordered(results, scores, by=self._name)


class CompressorReranker:
    """Orders by a LangChain `BaseDocumentCompressor`, which may also drop results.

    A score is the document's `relevance_score` if the compressor sets one on all documents, else 1 / its place. If the
    compressor shortened a text, the result still has the text as it was stored.
    """

    def __init__(self, compressor: Any) -> None:
        self._compressor = compressor

    def rerank(self, query: str, results: Sequence[SearchResult]) -> list[SearchResult]:
        documents = require("langchain_core.documents", extra="langchain")
        texts = [
            documents.Document(
                page_content=result.chunk.embedded_text, metadata={**result.metadata, _POSITION: position}
            )
            for position, result in enumerate(results)
        ]
        name = type(self._compressor).__name__
        with component_errors(name, self._compressor, RerankError):
            kept = self._compressor.compress_documents(texts, query)
            positions = [document.metadata[_POSITION] for document in kept]
            scores = [document.metadata.get("relevance_score") for document in kept]
        return _ranked(results, positions, scores, by=name)


class PostprocessorReranker:
    """Orders by a LlamaIndex `BaseNodePostprocessor`, which may also drop results.

    A score is the node's if the postprocessor's order is that of its scores, else 1 / its place.
    """

    def __init__(self, postprocessor: Any) -> None:
        self._postprocessor = postprocessor

    def rerank(self, query: str, results: Sequence[SearchResult]) -> list[SearchResult]:
        schema = require("llama_index.core.schema", extra="llama-index")
        nodes = [
            schema.NodeWithScore(
                node=schema.TextNode(
                    id_=str(position), text=result.chunk.embedded_text, metadata=dict(result.metadata)
                ),
                score=result.score,
            )
            for position, result in enumerate(results)
        ]
        name = type(self._postprocessor).__name__
        with component_errors(name, self._postprocessor, RerankError):
            kept = self._postprocessor.postprocess_nodes(nodes, query_str=query)
            positions = [int(item.node.node_id) for item in kept]
        return _ranked(results, positions, [item.score for item in kept], by=name)


def _ranked(
    results: Sequence[SearchResult], positions: Sequence[int], scores: Sequence[float | None], *, by: str
) -> list[SearchResult]:
    """Return the results at `positions`, in that order, with the given scores if they fit it, else 1 / place."""
    if not all(type(position) is int and 0 <= position < len(results) for position in positions):
        raise RerankError(f"{by} returned a result that it was not given.")
    if len(set(positions)) != len(positions):
        raise RerankError(f"{by} returned a result twice.")
    given = [score for score in scores if score is not None]
    values = numbers(given, expected=len(given), by=by)
    if len(values) < len(positions) or values != sorted(values, reverse=True):
        values = [1 / place for place in range(1, len(positions) + 1)]
    return reordered([results[position] for position in positions], values, by=by)
