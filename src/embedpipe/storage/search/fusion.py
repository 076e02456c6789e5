"""Fusion: one score of the dense and the lexical one, computed in SQL over both legs' candidates."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Float,
    Integer,
    Select,
    Subquery,
    Text,
    bindparam,
    case,
    cast,
    extract,
    false,
    func,
    literal,
    literal_column,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by

from embedpipe.storage.lexical import bm25
from embedpipe.storage.search import cosine_sample, dense
from embedpipe.storage.search.options import FusionMethod
from embedpipe.storage.tables import Catalogue, Collection, SchemaFunction, lexical_tables

LEAST_WEIGHT, MOST_WEIGHT = 0.4, 0.7
UNKNOWN, KNOWN = 1.5, 3.5
"""The dense leg has the least weight where the best candidate's standardised cosine is 1.5 or less, the most from 3.5.

A chunk that answers the question stands out from what any two chunks of the collection have in common. Where a model
does not know the language, no chunk does: the medians of the best z were -2 to 2.7 over five such languages, and 4.8
and 5.2 where the model knows it.

A wider range, 0.3 to 0.8, is better on FAQ-like questions (by .007 nDCG@10) and worse on SQuAD (by .014), whose
questions repeat rare words of their paragraphs. The mean over fifteen sets is flat between the two.
"""

UNSAMPLED_WEIGHT = 0.5
"""The weight of the dense leg in a collection whose cosines were not sampled."""

LEAST_COSINE_SPREAD, LEAST_BM25_SPREAD = 0.001, 1.0
"""Below these a spread is noise: of float32, and of words that nearly every candidate has."""


RECENCY_COLUMNS = ("recency_boost", "age_days", "undated")

NEIGHBORS = 5
"""How many chunks before a chunk, and how many after it, add to its score (`neighbor_weight`)."""


def ranked(leg: Subquery, by: str, name: str) -> CTE:
    """Number a leg's candidates. Those that tie share a rank, so that it follows from what they hold, not from luck."""
    order = leg.c[by] if by == "distance" else leg.c[by].desc()
    return select(leg, func.rank().over(order_by=order).label("rank")).cte(name)


def with_neighbor_scores(both: CTE, collection: Collection) -> CTE:
    """Add the mean similarity and BM25 score of each candidate's neighbors in its document. NULL if it has none.

    They are read by the index on the document and the place in it, so a long document costs no more than a short one.
    """
    chunks, vectors, words = collection.chunks, collection.vectors, lexical_tables(collection).index
    of_candidate = select(both, chunks.c.document_id, chunks.c.chunk_index)
    placed = of_candidate.join_from(both, chunks, chunks.c.key == both.c.key).cte("placed").prefix_with("MATERIALIZED")
    # Chunks that were given no place all have the same one. Of these, ten count.
    reach = literal(NEIGHBORS)
    keys = (
        select(chunks.c.key)
        .where(chunks.c.document_id == placed.c.document_id, chunks.c.key != placed.c.key)
        .where(chunks.c.chunk_index.between(placed.c.chunk_index - reach, placed.c.chunk_index + reach))
        .order_by(chunks.c.id)
        .limit(2 * NEIGHBORS)
        .correlate(placed)
        .subquery("beside")
    )
    score = func.coalesce(bm25.score(collection), 0.0).label("lexical_score")
    each = (
        select(dense.similarity(collection).label("similarity"), score)
        .join_from(keys, vectors, vectors.c.key == keys.c.key)
        .outerjoin(words, words.c.key == keys.c.key)
        .subquery("neighbor")
    )
    # In the order of their values, as in `_standards`.
    means = [func.avg(aggregate_order_by(column, column)) for column in (each.c.similarity, each.c.lexical_score)]
    named = [mean.label(f"neighbor_{column.name}") for mean, column in zip(means, each.c, strict=True)]
    around = select(*named).select_from(each).lateral("neighbors")
    columns = [placed.c[column.name] for column in both.c]
    rows = select(*columns, *around.c).select_from(placed.join(around, true()))
    return rows.cte("both_and_neighbors").prefix_with("MATERIALIZED")


def with_ages(both: CTE, collection: Collection) -> CTE:
    """Add the age of each candidate in days, by the date under the bound `recency_key`. NULL if it has none.

    The clock is that of the statement. A date in the future has the age 0.
    """
    chunks = collection.chunks
    value = chunks.c.metadata[bindparam("recency_key", type_=Text())]
    date: ColumnElement[float] = SchemaFunction(
        "seconds_of_date", value, packagenames=(collection.schema,), type_=Float()
    )
    age = (extract("epoch", func.statement_timestamp()) - date) / literal_column("86400")
    days = case((date.is_not(None), func.greatest(age, literal_column("0"))))
    rows = select(both, days.label("age_days")).join_from(both, chunks, chunks.c.key == both.c.key)
    return rows.cte("both_and_ages").prefix_with("MATERIALIZED")


def fused(both: CTE, collection: Collection, method: FusionMethod) -> Select[Any]:
    """Select the candidates with the weight w of the dense leg, the fused score, and whether a sample is due.

    The bound `dense_weight` is w. For zscores it may be NULL, and w then follows from the query.

    zscores   (1 + z / (1 + |z|)) / 2  of  z = w * (similarity - mean) / spread + (1 - w) * bm25 / spread of bm25
              and `neighbor_weight` times the z of the neighbors' mean similarity and bm25, if both have been added
              and what `_recency` adds to z, if the age has been added. To the other scores it is added as they are.
    scores    w * (similarity + 1) / (greatest similarity + 1) + (1 - w) * bm25 / greatest bm25
    ranks     w / (rrf_k + dense rank) + (1 - w) / (rrf_k + lexical rank), 0 for a leg that does not have the chunk
    """
    if method == "zscores":
        return _by_zscores(both, collection)
    columns = both.c
    if method == "scores":
        # From the least that a score can be, not the least found: the worst candidate is not worth nothing.
        dense_part = _unit_range(columns.similarity, least=-1)
        lexical_part = _unit_range(columns.lexical_score, least=0)
    else:
        dense_part, lexical_part = _reciprocal(columns.dense_rank), _reciprocal(columns.lexical_rank)
    weight = bound("dense_weight")
    score = _weighted_mean(weight, dense_part, lexical_part)
    rows = select(both, weight.label("dense_weight"), score.label("score"), false().label("due"))
    if "age_days" not in columns:
        return rows
    each = rows.subquery("fused_alone").c
    boost = _recency(each.score, each.age_days)
    named = [each[name] for name in (*columns.keys(), "dense_weight", "due")]
    return select(*named, (each.score + boost).label("score"), boost.label("recency_boost"), _undated(each.age_days))


def _by_zscores(both: CTE, collection: Collection) -> Select[Any]:
    standards = _standards(both, collection)
    of = standards.c
    dense_part = (both.c.similarity - of.cosine_mean) / of.cosine_spread
    lexical_part = both.c.lexical_score / of.bm25_spread
    weight = func.coalesce(bound("dense_weight"), of.dense_weight, type_=Float())
    mean = _weighted_mean(weight, dense_part, lexical_part)
    has_neighbors = "neighbor_similarity" in both.c
    rows = select(both, weight.label("dense_weight"), mean.label("z"), of.due).join_from(both, standards, true())
    if has_neighbors:
        dense_part = (both.c.neighbor_similarity - of.cosine_mean) / of.cosine_spread
        around = _weighted_mean(weight, dense_part, both.c.neighbor_lexical_score / of.bm25_spread)
        # A chunk without neighbors has those of an arbitrary chunk, whose z is 0.
        added = bound("neighbor_weight") * func.coalesce(around, 0.0)
        rows = rows.add_columns((mean + added).label("z_with_neighbors"))
    each = rows.subquery("standardised").c
    columns: list[ColumnElement[Any]] = [each[name] for name in (*both.c.keys(), "dense_weight", "due")]
    z, score = each.z, _unit_score(each.z)
    if has_neighbors:
        alone, z, score = score, each.z_with_neighbors, _unit_score(each.z_with_neighbors)
        columns.append((score - alone).label("neighbor_boost"))
    if "age_days" in both.c:
        alone, score = score, _unit_score(z + _recency(z, each.age_days))
        columns += [(score - alone).label("recency_boost"), _undated(each.age_days)]
    return select(*columns, score.label("score"))


def _recency(score: ColumnElement[float], age_days: ColumnElement[float]) -> ColumnElement[float]:
    """Build what a chunk gains by its age: weight * 0.5 ** (age / half life) * (greatest - least score), 0 without one.

    If all scores are equal, their range counts as 1. Else the newer of two equal chunks would not come first.
    """
    span = func.max(score).over() - func.min(score).over()
    # PostgreSQL raises an error where a product, or exp(), would be too small for a number other than 0.
    decay = func.exp(-func.least(age_days / bound("half_life") * literal_column("ln(2.0)"), literal_column("100.0")))
    gained = bound("recency_weight") * decay * func.coalesce(func.nullif(span, literal_column("0")), 1.0)
    # least() of NULL and a number is the number.
    return cast(case((age_days.is_not(None), gained), else_=0.0), Float)


def _undated(age_days: ColumnElement[float]) -> ColumnElement[int]:
    """Build how many candidates have no date."""
    return func.count().filter(age_days.is_(None)).over().label("undated")


def _unit_score(z: ColumnElement[Any]) -> ColumnElement[float]:
    """Bring z to a range from 0 to 1, in the same order. A logistic function would make the largest equal."""
    return cast(0.5 + 0.5 * z / (1 + func.abs(z, type_=Float())), Float)


def _weighted_mean(
    weight: ColumnElement[float], dense_part: ColumnElement[Any], lexical_part: ColumnElement[Any]
) -> ColumnElement[float]:
    """Build the weighted mean of both, written so that two scores of 1 give exactly 1."""
    return cast(lexical_part + weight * (dense_part - lexical_part), Float)


def _standards(both: CTE, collection: Collection) -> CTE:
    """Build one row: the cosine's mean and spread, BM25's spread, the query's weight of the dense leg, and `due`.

    The cosine's are those between chunks of the collection, as `cosine_sample` stores them. The candidates alone, all
    of them near the query, would not say how much a cosine is worth. They have to do where nothing is stored. BM25's
    spread is that of the candidates. It needs no mean: any two chunks have the cosine `mean` in common, but any chunk
    has none of the query's words, and a score of 0.

    Sums are in the order of their values. In another order they differ in the last digit, and so would the scores of
    a collection that was built anew.
    """
    similarity, bm25_score = both.c.similarity, both.c.lexical_score
    versions = Catalogue(collection.schema).embedding_versions
    here = cosine_sample.row_of(versions, collection)
    stored = [func.min(versions.c[name]) for name in ("cosine_mean", "cosine_spread", "cosine_chunks")]
    stored_mean, stored_spread, stored_chunks = stored
    measured = (
        select(
            func.coalesce(stored_mean, func.avg(aggregate_order_by(similarity, similarity)), type_=Float()).label(
                "cosine_mean"
            ),
            func.greatest(
                func.coalesce(stored_spread, _spread(similarity)), literal(LEAST_COSINE_SPREAD), type_=Float()
            ).label("cosine_spread"),
            func.greatest(_spread(bm25_score), literal(LEAST_BM25_SPREAD), type_=Float()).label("bm25_spread"),
            func.max(similarity, type_=Float()).label("nearest"),
            stored_mean.is_not(None).label("sampled"),
            stored_chunks.label("chunks"),
        )
        .select_from(both.outerjoin(versions, here))
        .subquery("measured")
    )
    of = measured.c
    nearest = (of.nearest - of.cosine_mean) / of.cosine_spread
    known = func.greatest(
        func.least((nearest - UNKNOWN) / (KNOWN - UNKNOWN), literal(1.0)), literal(0.0), type_=Float()
    )
    by_query = LEAST_WEIGHT + round(MOST_WEIGHT - LEAST_WEIGHT, 3) * known
    columns = [of[name] for name in ("cosine_mean", "cosine_spread", "bm25_spread")]
    weight = case((of.sampled, by_query), else_=literal(UNSAMPLED_WEIGHT))
    due = cosine_sample.is_due(collection, sampled=of.chunks, chunks=bm25.chunk_count(collection))
    rows = select(*columns, weight.label("dense_weight"), due.label("due"))
    return rows.cte("standards").prefix_with("MATERIALIZED")


def boosted(fused: Subquery, collection: Collection) -> Subquery:
    """Add to the scores of chunks that hold quoted phrases, with the bound `phrase_boost` b, and say how much.

    score + b * share of the phrases that the chunk holds * (greatest score - least score of the candidates)

    The range makes it mean the same for every method and model. At b = 1 every chunk that holds all phrases comes
    before all that hold none.
    """
    span = func.max(fused.c.score).over() - func.min(fused.c.score).over()
    added = cast(bound("phrase_boost") * bm25.phrases_held(collection, fused.c.key) * span, Float)
    rows = select(fused, added.label("phrase_boost")).subquery("with_boost")
    columns = [column for column in rows.c if column.name != "score"]
    return select(*columns, (rows.c.score + rows.c.phrase_boost).label("score")).subquery("boosted")


def bound(name: str) -> ColumnElement[float]:
    """Bind a float when the statement is run."""
    return bindparam(name, type_=Float())


def _spread(score: ColumnElement[float]) -> ColumnElement[float]:
    return func.stddev_pop(aggregate_order_by(score, score), type_=Float())


def _reciprocal(rank: ColumnElement[int]) -> ColumnElement[float]:
    return func.coalesce(1 / (bound("rrf_k") + rank), 0)


def _unit_range(score: ColumnElement[float], *, least: int) -> ColumnElement[float]:
    """Bring the score from [least, greatest of the candidates] to [0, 1]; 0 where none has more than the least."""
    bottom = literal_column(str(least), Integer)
    return func.coalesce((score - bottom) / func.nullif(func.max(score).over() - bottom, 0, type_=Float()), 0.0)
