"""LlamaIndex's vector store queries as searches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from llama_index.core.vector_stores.types import VectorStoreQuery, VectorStoreQueryMode, VectorStoreQueryResult

from embedpipe.errors import InputError
from embedpipe.llama_index._nodes import OBJECT_KINDS, to_node
from embedpipe.llama_index.filters import to_condition
from embedpipe.retrieval.diversity import diversified
from embedpipe.storage import MAX_K, Fusion
from embedpipe.storage.filters import Among, And, Filter, OfPayload
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


_MODES_TAKEN = f"Use one of: {', '.join(mode.value for mode in _MODES)}."


def asked(query: VectorStoreQuery, options: dict[str, Any]) -> tuple[VectorStoreQuery, int]:
    """Return the query with what the options say of maximal marginal relevance, and how many nodes it chooses from.

    The options are a retriever's `vector_store_kwargs`. A mode may be given by its name.

    Raises:
        InputError: For an unknown mode, for other options, for those of another mode, and for both
            `mmr_prefetch_factor` and `mmr_prefetch_k`.
    """
    try:
        query = replace(query, mode=VectorStoreQueryMode(query.mode))
    except ValueError:
        raise InputError(f"The query mode {query.mode!r:.100} is not known. {_MODES_TAKEN}") from None
    for name in ("similarity_top_k", "sparse_top_k", "hybrid_top_k"):
        if (count := getattr(query, name)) is not None:
            check_count(name, count)
    query = replace(query, node_ids=id_list("node_ids", query.node_ids), doc_ids=id_list("doc_ids", query.doc_ids))
    known = _MMR_OPTIONS if query.mode is VectorStoreQueryMode.MMR else set()
    if unknown := sorted(options.keys() - known):
        raise InputError(f"Unknown options {unknown}: mode mmr takes {', '.join(sorted(_MMR_OPTIONS))}, others none.")
    if {"mmr_prefetch_factor", "mmr_prefetch_k"} <= options.keys():
        raise InputError("mmr_prefetch_factor and mmr_prefetch_k say the same: give one of them.")
    factor = options.get("mmr_prefetch_factor", _MMR_PREFETCH_FACTOR)
    if type(factor) not in (int, float) or not 0 < factor <= MAX_K:
        raise InputError(f"mmr_prefetch_factor must be a positive number; got {factor!r:.100}.")
    candidates = options.get("mmr_prefetch_k", int(query.similarity_top_k * factor))
    check_count("mmr_prefetch_k", candidates)
    threshold = options.get("mmr_threshold", query.mmr_threshold)
    return replace(query, mmr_threshold=threshold), max(candidates, query.similarity_top_k)


def search_arguments(query: VectorStoreQuery, *, mmr_candidates: int) -> dict[str, Any]:
    """The arguments of the store's `search`. Raises `InputError` for a mode or filter that cannot be served."""
    mode = _MODES.get(query.mode)
    if mode is None:
        raise InputError(f"The query mode {query.mode.value!r} is not supported. {_MODES_TAKEN}")
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
        return query.similarity_top_k if query.sparse_top_k is None else query.sparse_top_k
    if mode == "hybrid":
        return query.similarity_top_k if query.hybrid_top_k is None else query.hybrid_top_k
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


def others_named(node_ids: Sequence[str]) -> Filter:
    """Return the filter for the named nodes that a `VectorStoreIndex` does not keep in its own books."""
    return Among("id", tuple(node_ids)) & ~OfPayload("class_name", OBJECT_KINDS)


def objects_named(node_ids: Sequence[str]) -> Filter:
    """Return the filter for the named nodes that a `VectorStoreIndex` keeps in its own books."""
    return Among("id", tuple(node_ids)) & OfPayload("class_name", OBJECT_KINDS)


def check_count(name: str, value: object) -> None:
    """Raise `InputError` unless the value is a whole number from 1 on."""
    if type(value) is not int or value < 1:
        raise InputError(f"{name} must be a whole number from 1 on; got {value!r:.100}.")


def id_list(name: str, ids: Sequence[str] | None) -> list[str] | None:
    """Return the ids as a list, None as None. Raise `InputError` for one text, which would be taken for its letters."""
    if isinstance(ids, str):
        raise InputError(f"{name} must be a list of ids; got one str. Put it into a list.")
    return None if ids is None else list(ids)


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
