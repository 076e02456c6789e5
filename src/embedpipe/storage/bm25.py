"""Scores chunks against a query's words by BM25, exactly, in one statement with filter and ranking.

score = sum over the query's terms of  idf * tf * (k1 + 1) / (tf + K),  idf = ln(1 + (N - n + 0.5) / (n + 0.5))

after Robertson and Zaragoza 2009, with the idf of Lucene, which is never negative. Chunks that hold a rare term are
scored first; those that hold only common ones are looked at where their terms could still lift them among the best
(MaxScore: Turtle and Flood 1995), so that nothing is lost.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from pgvector.sqlalchemy import SPARSEVEC
from sqlalchemy import (
    CTE,
    BindParameter,
    ColumnElement,
    Float,
    Integer,
    ScalarSelect,
    Select,
    Subquery,
    Text,
    and_,
    bindparam,
    case,
    cast,
    exists,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    true,
    union,
    union_all,
)

from embedpipe.storage.filters import Filter, where
from embedpipe.storage.lexical_schema import (
    CHUNKS,
    DIMENSIONS,
    K1,
    LENGTHS,
    B,
    LexicalTables,
    bucket_of,
    language_of,
    occurrences,
    segmented,
    tables,
    tsvector,
)
from embedpipe.storage.schema import Collection

MAX_TERMS = 16_000
"""What a sparsevec holds: of a longer query the terms that weigh most count."""

_FIRST_CHUNKS = 3000
_FIRST_SHARE = 0.5
"""The first round takes terms while they hold few chunks together, or while those left could make half a full score."""

_ROUNDING = 1 - 1e-5
"""pgvector adds up in single precision."""


def candidates(collection: Collection, condition: Filter | None) -> Subquery:
    """Keys and scores of the chunks that score best, at most the bound `lexical_candidates`, ties by key.

    To be bound, too: `WebQuery.values`. A chunk is there if it has any of the words and meets constraint and condition.
    """
    of, ranked, asked = tables(collection), _ranked(collection), _asked(collection)
    limit = bindparam("lexical_candidates", type_=Integer())
    restrictions = [_meets(collection)]
    if condition is not None:
        chunks = collection.chunks
        restrictions.append(of.index.c.key.in_(select(chunks.c.key).where(where(condition, chunks.c.metadata))))
    first = _best(collection, [of.index.c.terms.overlap(_scalar(asked.c.first)), *restrictions], limit)
    early = first.cte("lexical_first").prefix_with("MATERIALIZED")
    worst = case((func.count() == limit, func.min(early.c.score)), else_=0.0)
    threshold = select(worst.label("score")).select_from(early).cte("lexical_threshold").prefix_with("MATERIALIZED")
    missing = (
        select(func.array_agg(ranked.c.term).label("terms"))
        .select_from(ranked.join(asked, true()).join(threshold, true()))
        .where(ranked.c.term != func.all(asked.c.first), ranked.c.reach >= threshold.c.score * _ROUNDING)
        .cte("lexical_missing")
        .prefix_with("MATERIALIZED")
    )
    some = select(missing.c.terms.is_not(None)).scalar_subquery()
    late = _best(collection, [some, of.index.c.terms.overlap(_scalar(missing.c.terms)), *restrictions], limit)
    second = late.subquery("second")
    both = union(select(early.c.key, early.c.score), select(second.c.key, second.c.score)).subquery("both")
    best = select(both.c.key, both.c.score).order_by(both.c.score.desc(), both.c.key).limit(limit)
    return best.subquery("lexical")


def scores(collection: Collection, keys: Select[Any]) -> Subquery:
    """Keys and scores of the chunks with these keys, zero where none of the bound `words` occurs."""
    of = tables(collection)
    score = func.coalesce(_score(collection), 0.0).label("score")
    return select(of.index.c.key, score).where(of.index.c.key.in_(keys)).subquery("lexical_scores")


def constrained_keys(collection: Collection) -> Select[tuple[int]]:
    """Keys of the chunks that meet the bound `constraint`, whatever words they have."""
    return select(tables(collection).index.c.key).where(_meets(collection))


def _score(collection: Collection) -> ColumnElement[float]:
    """Weights are stored relative to one occurrence, which alone makes (k1 + 1) / (1 + K)."""
    columns, asked = tables(collection).index.c, _asked(collection)
    product = -columns.weights.op("<#>", return_type=Float())(_scalar(asked.c.vector))
    k: ColumnElement[float] = literal(K1 * (1 - B), Float()) + columns.length * _scalar(asked.c.slope)
    return product * literal(K1 + 1, Float()) / (1 + k)


def _best(collection: Collection, restrictions: list[ColumnElement[bool]], limit: ColumnElement[int]) -> Select[Any]:
    columns, score = tables(collection).index.c, _score(collection).label("score")
    return select(columns.key, score).where(*restrictions).order_by(score.desc(), columns.key).limit(limit)


def _meets(collection: Collection) -> ColumnElement[bool]:
    """Whether a chunk meets the constraint: by its terms, and by its text only where these leave it open."""
    terms, chunks, asked = tables(collection).index.c.terms, collection.chunks, _constraint(collection)
    key = tables(collection).index.c.key
    reads = tsvector(collection, chunks.c.content).op("@@")(_scalar(asked.c.constraint))
    in_text = exists().where(chunks.c.key == key, reads)
    obvious = and_(_scalar(asked.c.single), not_(terms.overlap(_scalar(asked.c.excluded))))
    return or_(_scalar(asked.c.idle), and_(terms.contains(_scalar(asked.c.required)), or_(obvious, in_text)))


@lru_cache(maxsize=256)
def _constraint(collection: Collection) -> CTE:
    """One row: the constraint, whether it asks for nothing, whether for no two words in sequence, and its terms."""
    text: BindParameter[str] = bindparam("constraint", type_=Text())
    required: BindParameter[str] = bindparam("required", "", type_=Text())
    excluded: BindParameter[str] = bindparam("excluded", "", type_=Text())
    query = func.websearch_to_tsquery(language_of(collection), segmented(text))
    rows = select(
        query.label("constraint"),
        (func.coalesce(func.numnode(query), 0) == 0).label("idle"),
        func.coalesce(func.translate(cast(query, Text), "<|", "") == cast(query, Text), true()).label("single"),
        _terms(collection, required).label("required"),
        _terms(collection, excluded).label("excluded"),
    )
    return rows.cte("lexical_constraint").prefix_with("MATERIALIZED")


def _terms(collection: Collection, text: ColumnElement[str]) -> ColumnElement[Any]:
    found = occurrences(collection, text).subquery()
    none: ColumnElement[Any] = literal_column("'{}'::integer[]")
    return func.coalesce(select(func.array_agg(found.c.term)).scalar_subquery(), none)


@lru_cache(maxsize=256)
def _asked(collection: Collection) -> CTE:
    """One row: the query's weights as a vector, the terms of the first round, and what K grows by with the length."""
    ranked = _ranked(collection)
    entries = func.string_agg(func.concat(ranked.c.term, ":", ranked.c.weight), ",")
    vector = cast(func.concat("{", entries, literal_column(f"'}}/{DIMENSIONS}'")), SPARSEVEC(DIMENSIONS))
    early = or_(ranked.c.place == 1, ranked.c.chunks <= _FIRST_CHUNKS, ranked.c.reach > ranked.c.whole * _FIRST_SHARE)
    average = func.min(ranked.c.length) / func.min(ranked.c.total)
    rows = select(
        vector.label("vector"),
        func.array_agg(ranked.c.term).filter(early).label("first"),
        (literal(K1 * B, Float()) / func.greatest(average, 1.0)).label("slope"),
    )
    return rows.cte("lexical_asked").prefix_with("MATERIALIZED")


@lru_cache(maxsize=256)
def _ranked(collection: Collection) -> CTE:
    """The query's terms that occur, heaviest first, with what they and all lighter ones could add to a score."""
    of = tables(collection)
    words = occurrences(collection, bindparam("words", type_=Text())).cte("lexical_words").prefix_with("MATERIALIZED")
    counts = _counts(of, words)
    total = _count(counts, CHUNKS)
    weight = words.c.count * func.ln(1 + (total - counts.c.chunks + 0.5) / (counts.c.chunks + 0.5))
    weighed = (
        select(words.c.term, weight.label("weight"), counts.c.chunks)
        .join_from(words, counts, counts.c.term == words.c.term)
        .where(counts.c.chunks > 0)
        .order_by(weight.desc(), words.c.term)
        .limit(MAX_TERMS)
        .subquery("weighed")
    )
    order = [weighed.c.weight.desc(), weighed.c.term]
    peak = literal(K1 + 1, Float())
    rows = select(
        weighed.c.term,
        weighed.c.weight,
        func.row_number().over(order_by=order).label("place"),
        func.sum(weighed.c.chunks).over(order_by=order, rows=(None, 0)).label("chunks"),
        (func.sum(weighed.c.weight).over(order_by=order, rows=(0, None)) * peak).label("reach"),
        (func.sum(weighed.c.weight).over() * peak).label("whole"),
        _count(counts, LENGTHS).label("length"),
        total.label("total"),
    )
    return rows.cte("lexical_ranked").prefix_with("MATERIALIZED")


def _counts(of: LexicalTables, words: CTE) -> CTE:
    """How many chunks hold each of the terms, and the two totals: what is folded and what came since, summed."""
    totals = func.unnest(literal_column(f"ARRAY[{CHUNKS}, {LENGTHS}]")).table_valued("term").render_derived("totals")
    terms = union_all(select(words.c.term), select(totals.c.term)).cte("lexical_terms").prefix_with("MATERIALIZED")
    folded = select(of.terms.c.term, of.terms.c.chunks).join_from(terms, of.terms, of.terms.c.term == terms.c.term)
    here = of.deltas.c.chunks[func.array_position(of.deltas.c.terms, terms.c.term)]
    # An OFFSET keeps the planner from reading all deltas for a few terms.
    of_term = select(here.label("chunks")).where(of.deltas.c.bucket == bucket_of(terms.c.term)).offset(0)
    recent = of_term.correlate(terms).lateral("recent")
    since = select(terms.c.term, recent.c.chunks).select_from(terms.join(recent, true()))
    rows = union_all(folded, since).subquery("parts")
    sums = select(rows.c.term, cast(func.sum(rows.c.chunks), Float).label("chunks")).group_by(rows.c.term)
    return sums.cte("lexical_counts").prefix_with("MATERIALIZED")


def _count(counts: CTE, term: int) -> ScalarSelect[Any]:
    return select(counts.c.chunks).where(counts.c.term == literal_column(str(term))).scalar_subquery()


def _scalar(value: ColumnElement[Any]) -> ScalarSelect[Any]:
    return select(value).scalar_subquery()
