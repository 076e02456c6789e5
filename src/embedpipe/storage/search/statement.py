"""The one statement of a search: dense, lexical, or both and fused.

A hybrid search could be two queries that the client fuses. It is one statement for three reasons. Both legs see the
same snapshot of the tables. Every candidate gets both scores, whichever leg brought it, which fusion by scores needs.
And it is one round trip. It reads top to bottom:

    near            the nearest chunks by vector, ranked           `dense.candidates`
    found           the best chunks by BM25, ranked                `bm25.candidates`
    pool            the keys of both, each once
    both            each key with similarity, BM25 score and both ranks; a missing rank is NULL
    standards       mean and spread of both scores, and the weight of the dense leg: one row
    fused, best     the fused score; the k best, with all that tie with the last
    SELECT          the chunks of these k, which alone read the wide table

A search that may go by the vector index says in each row whether the index brought `too_few`, see `execution`. For that
a row comes also where no chunk does: `SELECT ... FROM (SELECT) AS always LEFT JOIN (chunks JOIN ...)`.

`both` is materialised: what the fusion takes over all of it (a mean, a greatest) would else compute distances twice.
Counts such as k stand in the text (`bound_count`), so that the planner estimates with them and keeps one plan. Ties at
the last place are broken by chunk id, which takes all that tie: see `cut` in the columns, and `execution`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sqlalchemy import (
    CTE,
    ColumnElement,
    FromClause,
    LargeBinary,
    ScalarSelect,
    Select,
    and_,
    case,
    false,
    func,
    null,
    or_,
    select,
    true,
    union,
)

from embedpipe.storage.filters import Filter, where
from embedpipe.storage.lexical import bm25
from embedpipe.storage.search import dense
from embedpipe.storage.search.fusion import (
    RECENCY_COLUMNS,
    boosted,
    bound,
    fused,
    ranked,
    with_ages,
    with_neighbor_scores,
)
from embedpipe.storage.search.lookup import chunk_columns
from embedpipe.storage.search.options import FusionMethod
from embedpipe.storage.tables import Collection, lexical_tables
from embedpipe.storage.types import bound_count
from embedpipe.types import SearchMode

Rows: TypeAlias = "Select[*tuple[Any, ...]]"


@dataclass(frozen=True, slots=True)
class Shape:
    """The parts of a search that change its SQL.

    Searches of equal shape share one statement and differ only in bound values.

    Attributes:
        counts: How many rows each step takes, by the name of its `bound_count`.
        ties: Bring all that tie with the last candidate.
        has_constraint: The query has required phrases, or exclusions.
        has_phrases: The query has phrases that are not required.
        has_neighbors: The neighbors of a chunk in its document add to its score.
        has_recency: New chunks gain.
        filter_sql: The condition's SQL, of which only the values may differ.
        condition: The condition itself, with its values. None again once the statement is built.
    """

    collection: Collection
    mode: SearchMode
    method: FusionMethod
    counts: tuple[tuple[str, int], ...]
    has_vector: bool
    has_threshold: bool
    with_vectors: bool
    exact: bool
    ties: bool
    has_constraint: bool
    has_phrases: bool
    has_neighbors: bool
    has_recency: bool
    filter_sql: str
    condition: Filter | None = field(compare=False, repr=False)

    @property
    def by_index(self) -> bool:
        """Whether the planner may take the vector index, which can bring too few."""
        return self.mode != "lexical" and not self.exact


def statement(shape: Shape) -> Rows:
    """Build the statement of a search of that shape. Its values are bound when it is run."""
    builders = {"dense": _dense, "lexical": _lexical, "hybrid": _hybrid}
    return builders[shape.mode](shape).limit(bound_count("k"))


def _dense(shape: Shape) -> Rows:
    """Build the chunks nearest to the bound `vector`, with their similarity."""
    leg = dense.candidates(shape.collection, _restriction(shape), exact=shape.exact, ties=shape.ties)
    if shape.ties:
        near = select(leg, false().label("cut")).cte("near")
    else:  # one more than k came: if it is as near as the k-th, others may be
        k = bound_count("k")
        shared = and_(leg.c.distance == func.max(leg.c.distance).over(), func.count().over() > k)
        near = select(leg, shared.label("cut")).order_by(leg.c.distance).limit(k).cte("near")
    scores = {"similarity": 1 - near.c.distance, "cut": near.c.cut}
    rows = _chunk_rows(near, scores, shape, too_few=_too_few(shape, near, of=near))
    return rows.order_by(near.c.distance, shape.collection.chunks.c.id)


def _lexical(shape: Shape) -> Rows:
    """Build the chunks that match the bound words best, and their similarity where a `vector` is bound too."""
    collection = shape.collection
    found = bm25.candidates(collection, shape.condition, constrained=shape.has_constraint, ties=shape.ties)
    scores = {
        "lexical_score": found.c.score,
        "similarity": dense.similarity(collection) if shape.has_vector else null(),
        "cut": found.c.cut,
    }
    rows = _chunk_rows(found, scores, shape, distances=shape.has_vector)
    return rows.order_by(found.c.score.desc(), collection.chunks.c.id)


def _hybrid(shape: Shape) -> Rows:
    """Build both legs' candidates, each with both scores, by their fused score."""
    both, near, cut = _both_scores(shape)
    names = ("similarity", "lexical_score", "dense_rank", "lexical_rank", "dense_weight", "score", "due")
    every = fused(both, shape.collection, shape.method).subquery("fused")
    if shape.has_phrases:
        every = boosted(every, shape.collection)
    best = select(every).order_by(every.c.score.desc()).fetch(bound_count("k"), with_ties=True)
    if shape.has_threshold:
        best = best.where(every.c.similarity >= bound("threshold"))
    results = best.subquery("best")
    scores = {**{name: results.c[name] for name in names}, "cut": cut}
    if shape.has_phrases:
        scores["phrase_boost"] = results.c.phrase_boost
    if shape.has_neighbors:
        scores["neighbor_boost"] = results.c.neighbor_boost
    if shape.has_recency:
        scores |= {name: results.c[name] for name in RECENCY_COLUMNS}
    rows = _chunk_rows(results, scores, shape, too_few=_too_few(shape, near, of=both))
    return rows.order_by(results.c.score.desc(), shape.collection.chunks.c.id)


def _both_scores(shape: Shape) -> tuple[CTE, CTE, ColumnElement[bool]]:
    """Build both legs' candidates with their ranks and both scores, whichever leg brought them.

    Returns:
        The candidates, the nearest alone, and whether others are as near as the last of the nearest and were left out.
    """
    collection = shape.collection
    leg = dense.candidates(collection, _restriction(shape), exact=shape.exact, ties=shape.ties)
    near = ranked(leg, "distance", "near")
    leg = bm25.candidates(collection, shape.condition, constrained=shape.has_constraint, ties=shape.ties)
    found = ranked(leg, "score", "found")
    cut: ColumnElement[bool] = false()
    if not shape.ties:
        one_more, last = near, bound_count("candidates")
        near = select(one_more).where(one_more.c.rank < last).cte("nearest")
        shared = select(and_(func.count() == last, func.max(one_more.c.rank) < last)).select_from(one_more)
        cut = or_(shared.scalar_subquery(), func.coalesce(select(func.bool_or(found.c.cut)).scalar_subquery(), false()))
    legs = [select(near.c.key), select(found.c.key)]
    if shape.has_phrases:
        legs.append(bm25.phrase_candidates(collection, _restriction(shape)))
    pool = union(*legs).cte("pool")
    vectors, words = collection.vectors, lexical_tables(collection).index
    rows = (
        select(
            pool.c.key,
            dense.similarity(collection).label("similarity"),
            func.coalesce(bm25.score(collection), 0.0).label("lexical_score"),  # NULL where it has none of the words
            near.c.rank.label("dense_rank"),
            found.c.rank.label("lexical_rank"),
        )
        .join_from(pool, vectors, vectors.c.key == pool.c.key)
        .outerjoin(words, words.c.key == pool.c.key)
        .outerjoin(near, near.c.key == pool.c.key)
        .outerjoin(found, found.c.key == pool.c.key)
    )
    both = rows.cte("both").prefix_with("MATERIALIZED")
    if shape.has_neighbors:
        both = with_neighbor_scores(both, collection)
    if shape.has_recency:
        both = with_ages(both, collection)
    return both, near, cut


def _too_few(shape: Shape, near: CTE, *, of: CTE) -> ColumnElement[bool] | None:
    """Build whether the vector index brought too few; None where the search does not go by the index.

    It did where there are fewer than k candidates, before a threshold cuts any, and more chunks than it brought. These
    are counted only up to k, and only if there are fewer candidates than k: a CASE runs a subquery when it is needed.

    Args:
        shape: Of the search.
        near: What the index brought.
        of: All candidates.
    """
    if not shape.by_index:
        return None
    vectors, chunks, k = shape.collection.vectors, shape.collection.chunks, bound_count("k")
    stored, restriction = select(vectors.c.key), _restriction(shape)
    if restriction is not None:
        stored = stored.join(chunks, chunks.c.key == vectors.c.key).where(restriction)
    missed = _count(near) < _count(stored.limit(k).subquery("stored"))
    return case((_count(of) < k, missed), else_=false())


def _count(rows: FromClause) -> ScalarSelect[int]:
    return select(func.count()).select_from(rows).scalar_subquery()


def _restriction(shape: Shape) -> ColumnElement[bool] | None:
    """Build what the nearest chunks must meet: the condition, and the phrases and exclusions of a hybrid query."""
    chunks = shape.collection.chunks
    parts = [] if shape.condition is None else [where(shape.condition, chunks.c.metadata)]
    if shape.has_constraint:
        parts.append(chunks.c.key.in_(bm25.constrained_keys(shape.collection)))
    return and_(*parts) if parts else None


def _chunk_rows(
    hits: FromClause,
    scores: Mapping[str, ColumnElement[Any]],
    shape: Shape,
    *,
    distances: bool = False,
    too_few: ColumnElement[bool] | None = None,
) -> Rows:
    """Build the chunks of the hits with their scores, and with their vectors where these are asked for.

    With `too_few`, it comes with each, or in one row without a chunk.
    """
    collection = shape.collection
    chunks, vectors = collection.chunks, collection.vectors
    found: FromClause = chunks.join(hits, chunks.c.key == hits.c.key)
    if distances or shape.with_vectors:
        found = found.join(vectors, vectors.c.key == hits.c.key)
    columns = [*chunk_columns(collection), *[column.label(name) for name, column in scores.items()]]
    if too_few is not None:
        columns.append(too_few.label("too_few"))
    if shape.with_vectors:
        send = func.vector_send if collection.precision == "float32" else func.halfvec_send
        columns.append(send(vectors.c.embedding, type_=LargeBinary()).label("packed"))
    near_enough = scores["similarity"] >= bound("threshold") if shape.has_threshold else true()
    if too_few is None:
        rows = select(*columns).select_from(found).where(near_enough)
    else:
        rows = select(*columns).select_from(select().subquery("always").outerjoin(found, near_enough))
    # Both name the chunks before all else, so that they are locked first, see `locks`: this CTE in the statement as it
    # is sent, the FROM above once it is prepared. Nobody reads the CTE, and the planner leaves it out.
    return rows.add_cte(select(chunks.c.key).where(false()).cte("chunks_first"))
