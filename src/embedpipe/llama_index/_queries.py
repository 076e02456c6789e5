"""LlamaIndex's vector store queries as searches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llama_index.core.vector_stores.types import VectorStoreQuery, VectorStoreQueryMode, VectorStoreQueryResult

from embedpipe.errors import InputError
from embedpipe.llama_index._nodes import to_node
from embedpipe.llama_index.filters import to_condition
from embedpipe.retrieval.diversity import diversified
from embedpipe.storage.filters import Among, And, Filter
from embedpipe.storage.search import Fusion
from embedpipe.types import SearchMode, SearchResult

_MMR_PREFETCH_FACTOR = 4
_MMR_OPTIONS = {"mmr_threshold", "mmr_prefetch_factor", "mmr_prefetch_k"}

_MODES: dict[VectorStoreQueryMode, SearchMode] = {
    VectorStoreQueryMode.DEFAULT: "dense",
    VectorStoreQueryMode.MMR: "dense",
    VectorStoreQueryMode.SPARSE: "lexical",
    VectorStoreQueryMode.TEXT_SEARCH: "lexical",
    VectorStoreQueryMode.HYBRID: "hybrid",
    VectorStoreQueryMode.SEMANTIC_HYBRID: "hybrid",
}


def asked(query: VectorStoreQuery, options: dict[str, Any]) -> tuple[VectorStoreQuery, int]:
    """The query with what the options say of maximal marginal relevance, and how many nodes it chooses from.

    The options are a retriever's `vector_store_kwargs`. Raises `InputError` for others, for those of another mode, and
    for both `mmr_prefetch_factor` and `mmr_prefetch_k`.
    """
    known = _MMR_OPTIONS if query.mode is VectorStoreQueryMode.MMR else set()
    if unknown := sorted(options.keys() - known):
        raise InputError(f"Unknown options {unknown}: mode mmr takes {', '.join(sorted(_MMR_OPTIONS))}, others none.")
    if {"mmr_prefetch_factor", "mmr_prefetch_k"} <= options.keys():
        raise InputError("mmr_prefetch_factor and mmr_prefetch_k say the same: give one of them.")
    factor = options.get("mmr_prefetch_factor", _MMR_PREFETCH_FACTOR)
    candidates = options.get("mmr_prefetch_k", int(query.similarity_top_k * factor))
    threshold = options.get("mmr_threshold", query.mmr_threshold)
    return replace(query, mmr_threshold=threshold), max(candidates, query.similarity_top_k)


def search_arguments(query: VectorStoreQuery, *, mmr_candidates: int) -> dict[str, Any]:
    """The arguments of the store's `search`. Raises `InputError` for a mode or filter that cannot be served."""
    mode = _MODES.get(query.mode)
    if mode is None:
        known = ", ".join(known.value for known in _MODES)
        raise InputError(f"The query mode {query.mode.value!r} is not supported. Expected one of: {known}.")
    return {
        "vector": query.query_embedding if mode != "lexical" else None,
        "text": query.query_str,
        "mode": mode,
        "k": mmr_candidates if query.mode is VectorStoreQueryMode.MMR else _k(query, mode),
        "filter": restriction(query),
        "with_vectors": query.mode is VectorStoreQueryMode.MMR,
        **_fusion(query, mode),
    }


def _k(query: VectorStoreQuery, mode: SearchMode) -> int:
    if mode == "lexical":
        return query.sparse_top_k or query.similarity_top_k
    if mode == "hybrid":
        return query.hybrid_top_k or query.similarity_top_k
    return query.similarity_top_k


def _fusion(query: VectorStoreQuery, mode: SearchMode) -> dict[str, Any]:
    """What the query says of the two legs of a hybrid search, where it says anything."""
    if mode != "hybrid":
        return {}
    settings: dict[str, Any] = {}
    if query.alpha is not None:
        settings["dense_weight"] = query.alpha
    if query.sparse_top_k is not None:
        settings["candidates"] = max(query.sparse_top_k, query.similarity_top_k)
    return {"fusion": Fusion(**settings)} if settings else {}


def restriction(query: VectorStoreQuery) -> Filter | None:
    """What the query's filters, node ids and document ids ask for together; an empty list asks for nothing."""
    parts: list[Filter] = []
    condition = to_condition(query.filters)
    if condition is not None:
        parts.append(condition)
    if query.node_ids:
        parts.append(Among("id", tuple(query.node_ids)))
    if query.doc_ids:
        parts.append(Among("document_id", tuple(query.doc_ids)))
    return And(tuple(parts)) if parts else None


def to_result(query: VectorStoreQuery, results: list[SearchResult]) -> VectorStoreQueryResult:
    """Nodes, scores (higher is better) and ids, best first."""
    if query.mode is VectorStoreQueryMode.MMR:
        threshold = 0.5 if query.mmr_threshold is None else query.mmr_threshold
        results = diversified(results, k=query.similarity_top_k, lambda_mult=threshold)
    return VectorStoreQueryResult(
        nodes=[to_node(result.chunk) for result in results],
        similarities=[result.score for result in results],
        ids=[result.id for result in results],
    )
