"""Convert LlamaIndex's vector store queries to searches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from llama_index.core.vector_stores.types import VectorStoreQuery, VectorStoreQueryMode, VectorStoreQueryResult

from embedpipe._checks import checked_count, checked_texts, shown
from embedpipe.errors import InputError
from embedpipe.llama_index._nodes import OBJECT_KINDS, to_node
from embedpipe.llama_index.filters import to_condition
from embedpipe.retrieval.diversity import diversified
from embedpipe.storage import MAX_K, Fusion
from embedpipe.storage.filters import Among, And, Filter, OfPayload
from embedpipe.storage.metadata import MetadataDescription, coerced
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


def checked_query(query: VectorStoreQuery, options: dict[str, Any]) -> tuple[VectorStoreQuery, int]:
    """Check a query and its options. Return it, and how many nodes maximal marginal relevance chooses from.

    The options are a retriever's `vector_store_kwargs`. A mode may also be given by name.

    Raises:
        InputError: If the mode or an option is unknown, if an option is of another mode, or if both
            `mmr_prefetch_factor` and `mmr_prefetch_k` are given.
    """
    try:
        query = replace(query, mode=VectorStoreQueryMode(query.mode))
    except ValueError:
        raise InputError(f"The query mode {shown(query.mode)} is not known. {_MODES_TAKEN}") from None
    checked_count("similarity_top_k", query.similarity_top_k)
    for name in ("sparse_top_k", "hybrid_top_k"):
        if (count := getattr(query, name)) is not None:
            checked_count(name, count)
    query = replace(query, node_ids=id_list("node_ids", query.node_ids), doc_ids=id_list("doc_ids", query.doc_ids))
    known = _MMR_OPTIONS if query.mode is VectorStoreQueryMode.MMR else set()
    if unknown := sorted(options.keys() - known):
        raise InputError(
            f"Unknown options {unknown}. Mode mmr takes {', '.join(sorted(_MMR_OPTIONS))}. Other modes take none."
        )
    if {"mmr_prefetch_factor", "mmr_prefetch_k"} <= options.keys():
        raise InputError("mmr_prefetch_factor and mmr_prefetch_k exclude each other. Pass one of them.")
    factor = options.get("mmr_prefetch_factor", _MMR_PREFETCH_FACTOR)
    if type(factor) not in (int, float) or not 0 < factor <= MAX_K:
        raise InputError(f"mmr_prefetch_factor is {shown(factor)}. Pass a positive number, at most {MAX_K}.")
    candidates = options.get("mmr_prefetch_k", int(query.similarity_top_k * factor))
    checked_count("mmr_prefetch_k", candidates)
    threshold = options.get("mmr_threshold", query.mmr_threshold)
    return replace(query, mmr_threshold=threshold), max(candidates, query.similarity_top_k)


def search_arguments(
    query: VectorStoreQuery, *, mmr_candidates: int, description: MetadataDescription | None = None
) -> dict[str, Any]:
    """Return the arguments for the store's `search`, with filters fitted to the description.

    Raises:
        InputError: For an unsupported mode or filter.
    """
    mode = _MODES.get(query.mode)
    if mode is None:
        raise InputError(f"The query mode {query.mode.value!r} is not supported. {_MODES_TAKEN}")
    return {
        "vector": query.query_embedding if mode != "lexical" else None,
        "text": query.query_str,
        "mode": mode,
        "k": mmr_candidates if query.mode is VectorStoreQueryMode.MMR else _k(query, mode),
        "filter": restriction(query, description),
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
    """Return the settings of hybrid search that the query states."""
    if mode != "hybrid":
        return {}
    settings: dict[str, Any] = {}
    if query.alpha is not None:
        settings["dense_weight"] = query.alpha
    if query.sparse_top_k is not None:
        settings["candidates"] = max(query.sparse_top_k, query.similarity_top_k)
    return {"fusion": Fusion(**settings)} if settings else {}


def nodes_named(node_ids: Sequence[str], *, objects: bool) -> Filter:
    """Return the filter for those of the nodes that a `VectorStoreIndex` also keeps in its own index structure.

    With `objects` False, it is the filter for the others.
    """
    kept = OfPayload("class_name", OBJECT_KINDS)
    return Among("id", tuple(node_ids)) & (kept if objects else ~kept)


def id_list(name: str, ids: Sequence[str] | None) -> list[str] | None:
    """Return the ids as a list, None as None. Raise `InputError` for a string, which would be split into letters."""
    if isinstance(ids, str):
        raise InputError(f"{name} is one str. Pass a list of ids.")
    return None if ids is None else list(checked_texts(name, ids))


def restriction(query: VectorStoreQuery, description: MetadataDescription | None) -> Filter | None:
    """Return the filter for the query's filters, node ids and document ids together. Empty lists do not restrict."""
    parts: list[Filter] = []
    condition = to_condition(query.filters)
    if description is not None:
        condition = coerced(condition, description)
    if condition is not None:
        parts.append(condition)
    if query.node_ids:
        parts.append(Among("id", tuple(query.node_ids)))
    if query.doc_ids:
        parts.append(Among("document_id", tuple(query.doc_ids)))
    return And(tuple(parts)) if parts else None


def to_result(query: VectorStoreQuery, results: list[SearchResult]) -> VectorStoreQueryResult:
    """Return nodes, scores (higher is better) and ids, best first."""
    if query.mode is VectorStoreQueryMode.MMR:
        threshold = 0.5 if query.mmr_threshold is None else query.mmr_threshold
        results = diversified(results, k=query.similarity_top_k, lambda_mult=threshold)
    return VectorStoreQueryResult(
        nodes=[to_node(result.chunk) for result in results],
        similarities=[result.score for result in results],
        ids=[result.id for result in results],
    )
