"""Texts of statements, compiled once for all searches of one shape: to build one takes longer than most searches."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BindParameter, Dialect
from sqlalchemy.sql import visitors

from embedpipe.storage.filters import Filter, parts_of, where
from embedpipe.storage.lexical import bm25
from embedpipe.storage.search.options import Search
from embedpipe.storage.search.statement import Rows, Shape, statement
from embedpipe.storage.tables import Collection, once

_ALL_MATCHES = 10_000
_LONG_TEXT, _FEW_PARTS = 10_000, 20
"""Beyond these a statement takes more than some milliseconds to prepare."""
_LONG_SQL = 10_000
"""The statements of longer filters are not remembered: they are large, and hardly come twice."""
_BOUND_LATER = (
    "vector",
    "threshold",
    "dense_weight",
    "rrf_k",
    "phrase_boost",
    "neighbor_weight",
    "recency_key",
    "recency_weight",
    "half_life",
    "words",
    "constraint",
    "required",
    "excluded",
    "phrases",
)


def takes_long(options: Search) -> bool:
    """Return whether the statement may take long to prepare, which an event loop should not wait for."""
    return len(options.text or "") > _LONG_TEXT or (options.filter is not None and _parts(options.filter) > _FEW_PARTS)


def prepared(
    collection: Collection, options: Search, dialect: Dialect, exact: bool, ties: bool
) -> tuple[str, dict[str, Any]]:
    """Return the text of a search's statement, and the values of its filter.

    Args:
        collection: What is searched.
        options: The options of the search.
        dialect: The connection's dialect.
        exact: Compare with every vector.
        ties: Bring all that tie with the last candidate.
    """
    condition = None
    if options.filter is not None:
        condition = where(options.filter, collection.chunks.c.metadata).compile(dialect=dialect)
    shape = Shape(
        collection=collection,
        mode=options.mode,
        method=options.fusion.method,
        counts=_counts(options, collection, ties=ties),
        has_vector=options.vector is not None,
        has_threshold=options.threshold is not None,
        with_vectors=options.with_vectors,
        exact=exact,
        ties=ties,
        has_constraint=options.query is not None and options.query.constraint is not None,
        has_phrases=options.has_phrases,
        has_neighbors=options.has_neighbors,
        has_recency=options.has_recency,
        filter_sql="" if condition is None else str(condition),
        condition=options.filter,
    )
    sql = (_compile if len(shape.filter_sql) > _LONG_SQL else _compiled)(shape, dialect)
    object.__setattr__(shape, "condition", None)  # the shape is remembered, and with it nobody's values
    return sql, {} if condition is None else dict(condition.params)


def _compile(shape: Shape, dialect: Dialect) -> str:
    # Numbers and texts of our own stand in the text. Bound, they would be forty parameters of a hybrid search, which
    # the driver would look for in the text, convert and send each time: a third of the client's work.
    built: Rows = visitors.replacement_traverse(statement(shape), {}, _constant)  # type: ignore[assignment]  # as it came
    expanded = built.compile(dialect=dialect).construct_expanded_state(dict.fromkeys(_BOUND_LATER) | dict(shape.counts))
    return expanded.statement


def _constant(element: Any, **_: Any) -> BindParameter[Any] | None:
    """Return a parameter whose value is our own as one that stands in the text; None leaves the element as it is."""
    if isinstance(element, BindParameter) and element.unique:
        return element.render_literal_execute()
    return None


_compiled = once(_compile)


def _parts(condition: Filter) -> int:
    """Return how many comparisons there are in the condition."""
    found, level = 0, [condition]
    while level:
        found += len(level)
        level = [part for each in level for part in parts_of(each)]
    return found


def _counts(options: Search, collection: Collection, *, ties: bool) -> tuple[tuple[str, int], ...]:
    """Return how many rows each step of the statement takes, by the name of the `bound_count`."""
    k = options.fetched
    candidates = max(options.fusion.candidates, k) if options.mode == "hybrid" else k
    cut_later = options.mode == "lexical" and options.threshold is not None
    matches = _ALL_MATCHES if cut_later else candidates
    one_more = 0 if ties else 1
    return (
        ("k", k),
        ("candidates", candidates + one_more),
        ("wide", collection.index.oversampled(candidates)),
        ("lexical_candidates", matches),
        ("lexical_kept", matches + bm25.TIED),
    )
