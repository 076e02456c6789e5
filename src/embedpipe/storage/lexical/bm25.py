"""Scores chunks against a query's words by BM25, exactly, in one statement with filter and ranking.

score = sum over the query's terms of  idf * tf * (k1 + 1) / (tf + K),  idf = ln(1 + (N - n + 0.5) / (n + 0.5))

after Robertson and Zaragoza 2009, with the idf of Lucene, which is never negative. Chunks that hold a rare term are
scored first; those that hold only common ones are looked at where their terms could still lift them among the best
(MaxScore: Turtle and Flood 1995), so that nothing is lost.
"""

from __future__ import annotations

from typing import Any

from pgvector.sqlalchemy import SPARSEVEC
from sqlalchemy import (
    CTE,
    BindParameter,
    ColumnElement,
    Float,
    ScalarSelect,
    Select,
    Subquery,
    Text,
    and_,
    bindparam,
    cast,
    exists,
    false,
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
from sqlalchemy.dialects import postgresql

from embedpipe.storage.filters import Filter, where
from embedpipe.storage.lexical.terms import (
    CHUNKS,
    LENGTHS,
    bucket_of,
    language_of,
    occurrences,
    segmented,
    tsvector,
    weighing,
)
from embedpipe.storage.tables import DIMENSIONS, Collection, LexicalTables, lexical_tables, once
from embedpipe.storage.types import bound_count

MAX_TERMS = 16_000
"""What a sparsevec holds: of a longer query the terms that weigh most count."""

_FIRST_CHUNKS = 600
"""The first round takes the heaviest terms while together they are in no more chunks, and ten more for each result."""

_MANY_TERMS = 64
"""Of a longer query, pairs of terms are not looked for: they would be too many."""

_FEW_CHUNKS = 2000
"""Where a condition leaves no more, all that it leaves are scored."""

_ROUNDING = 1 - 1e-5
"""pgvector adds up in single precision."""


TIED = 64
"""So many more than are asked for are kept of each round, since several may tie with the last.

A sort that keeps the best few is faster than one that keeps all that tie."""


def candidates(
    collection: Collection, condition: Filter | None, *, constrained: bool = True, ties: bool = False
) -> Subquery:
    """Keys and scores of the chunks that score best, the bound `lexical_candidates` and all that tie with the last.

    To be bound, too: `lexical_kept`, that and `TIED` more, and `WebQuery.values`. A chunk is there if it has any of the
    words and meets constraint and condition; without `constrained` the query must have no constraint. In each row `cut`
    says whether more may tie than were kept; with `ties` all of them are.
    """
    restrictions = [_meets(collection)] if constrained else []
    parts = []
    if condition is not None:
        few = _few(collection, condition)
        is_few = select(func.count() <= _FEW_CHUNKS).select_from(few).scalar_subquery()
        parts.append(_kept(_of_few(collection, few, [is_few, *restrictions]), ties))
        chunks, key = collection.chunks, lexical_tables(collection).index.c.key
        meets = exists().where(chunks.c.key == key, where(condition, chunks.c.metadata))
        restrictions = [not_(is_few), meets, *restrictions]
    first = _kept(_first(collection, restrictions), ties).cte("lexical_first")
    second = _kept(_second(collection, first, restrictions), ties)
    parts += [select(first.c.key, first.c.score), second]
    found = union(*[select(part.subquery()) for part in parts]).subquery("found")
    best = _best(select(found.c.key, found.c.score)).subquery("lexical_best")
    cut = false() if ties else func.count().over() >= bound_count("lexical_kept")
    return select(best, cut.label("cut")).subquery("lexical")


def _first(collection: Collection, restrictions: list[ColumnElement[bool]]) -> Select[Any]:
    """The chunks with one of the heaviest terms."""
    index, asked = lexical_tables(collection).index, _asked(collection)
    rows = select(index.c.key, score(collection).label("score"))
    return rows.where(index.c.terms.overlap(_scalar(asked.c.first)), *restrictions)


def _second(collection: Collection, first: CTE, restrictions: list[ColumnElement[bool]]) -> Select[Any]:
    """Those that the first round left out and that could still be among the best of all."""
    index, needed = lexical_tables(collection).index, _needed(collection, first)
    has_both = and_(index.c.terms.overlap(needed.c.heads), index.c.terms.overlap(needed.c.partners))
    rows = select(index.c.key, score(collection).label("score")).where(has_both, *restrictions)
    found = rows.correlate(needed).lateral("found")
    return select(found.c.key, found.c.score).distinct().select_from(needed.join(found, true()))


def _needed(collection: Collection, first: CTE) -> CTE:
    """Rows of `heads` and `partners`: a chunk left out needs one of each to reach the worst of the first round.

    Its heaviest term must reach that alone, or together with all that are lighter than its second heaviest.
    """
    ranked, asked = _ranked(collection), _asked(collection)
    place = select(first.c.score).order_by(first.c.score.desc()).offset(_limit() - literal_column("1")).limit(1)
    worst = func.coalesce(place.scalar_subquery(), 0.0) * _ROUNDING
    threshold = select(worst.label("score")).cte("lexical_threshold").prefix_with("MATERIALIZED")
    open_ = (
        select(ranked, threshold.c.score)
        .select_from(ranked.join(asked, true()).join(threshold, true()))
        .where(ranked.c.term != func.all(asked.c.first), ranked.c.reach >= threshold.c.score)
        .cte("lexical_open")
        .prefix_with("MATERIALIZED")
    )
    alone = or_(open_.c.bound >= open_.c.score, open_.c.terms > _MANY_TERMS)
    terms = func.array_agg(open_.c.term)
    together = select(terms.label("heads"), terms.label("partners")).where(alone).having(func.count() > 0)
    lighter = open_.alias("lighter")
    reaching = and_(lighter.c.place > open_.c.place, lighter.c.reach >= open_.c.score - open_.c.bound)
    partners = select(func.array_agg(lighter.c.term)).where(reaching).correlate(open_).scalar_subquery()
    pairs = select(postgresql.array([open_.c.term]), partners).where(not_(alone))
    return union_all(together, pairs).cte("lexical_needed").prefix_with("MATERIALIZED")


def _few(collection: Collection, condition: Filter) -> CTE:
    """The keys of the chunks that meet the condition, as long as they are few."""
    chunks = collection.chunks
    rows = select(chunks.c.key).where(where(condition, chunks.c.metadata)).limit(_FEW_CHUNKS + 1)
    return rows.cte("lexical_few").prefix_with("MATERIALIZED")


def _of_few(collection: Collection, few: CTE, restrictions: list[ColumnElement[bool]]) -> Select[Any]:
    index = lexical_tables(collection).index
    rows = select(index.c.key, score(collection).label("score")).join_from(few, index, index.c.key == few.c.key)
    scored = rows.where(*restrictions).subquery("scored")
    return select(scored.c.key, scored.c.score).where(scored.c.score > 0)


def constrained_keys(collection: Collection) -> Select[tuple[int]]:
    """Keys of the chunks that meet the bound `constraint`, whatever words they have."""
    return select(lexical_tables(collection).index.c.key).where(_meets(collection))


def score(collection: Collection) -> ColumnElement[float]:
    """The score of a row of the lexical index; NULL where no chunk has any of the bound `words`.

    Weights are stored relative to one occurrence, which alone makes (k1 + 1) / (1 + K).
    """
    columns, asked = lexical_tables(collection).index.c, _asked(collection)
    product = -columns.weights.op("<#>", return_type=Float())(_scalar(asked.c.vector))
    of = weighing(collection)
    k: ColumnElement[float] = literal(of.k1 * (1 - of.b), Float()) + columns.length * _scalar(asked.c.slope)
    return product * literal(of.k1 + 1, Float()) / (1 + k)


def _kept(rows: Select[Any], ties: bool) -> Select[Any]:
    """The best of the rows, with some or all that tie with the last of them."""
    _, scored = rows.selected_columns
    return _best(rows) if ties else rows.order_by(scored.desc()).limit(bound_count("lexical_kept"))


def _best(rows: Select[Any]) -> Select[Any]:
    """The best of the rows, with all that tie with the last of them."""
    _, scored = rows.selected_columns
    return rows.order_by(scored.desc()).fetch(_limit(), with_ties=True)


def _limit() -> BindParameter[int]:
    return bound_count("lexical_candidates")


def _meets(collection: Collection) -> ColumnElement[bool]:
    """Whether a chunk meets the constraint: by its terms, and by its text only where these leave it open."""
    terms, chunks, asked = lexical_tables(collection).index.c.terms, collection.chunks, _constraint(collection)
    key = lexical_tables(collection).index.c.key
    reads = tsvector(collection, collection.embedded_text).op("@@")(_scalar(asked.c.constraint))
    # No EXISTS: for that, the planner would read the text of every chunk beforehand.
    in_text = select(reads).where(chunks.c.key == key).scalar_subquery()
    obvious = and_(_scalar(asked.c.single), not_(terms.overlap(_scalar(asked.c.excluded))))
    return or_(_scalar(asked.c.idle), and_(terms.contains(_scalar(asked.c.required)), or_(obvious, in_text)))


@once
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


@once
def _asked(collection: Collection) -> CTE:
    """One row: the query's weights as a vector, the terms of the first round, and what K grows by with the length."""
    ranked = _ranked(collection)
    entries = func.string_agg(func.concat(ranked.c.term, ":", ranked.c.weight), ",")
    vector = cast(func.concat("{", entries, literal_column(f"'}}/{DIMENSIONS}'")), SPARSEVEC(DIMENSIONS))
    early = or_(ranked.c.place == 1, ranked.c.chunks <= _FIRST_CHUNKS + 10 * _limit())
    average, of = func.min(ranked.c.length) / func.min(ranked.c.total), weighing(collection)
    rows = select(
        vector.label("vector"),
        func.array_agg(ranked.c.term).filter(early).label("first"),
        (literal(of.k1 * of.b, Float()) / func.greatest(average, 1.0, type_=Float())).label("slope"),
    )
    return rows.cte("lexical_asked").prefix_with("MATERIALIZED")


@once
def _ranked(collection: Collection) -> CTE:
    """The query's terms that occur, heaviest first, with what they and all lighter ones could add to a score."""
    of = lexical_tables(collection)
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
    peak = literal(weighing(collection).k1 + 1, Float())
    rows = select(
        weighed.c.term,
        weighed.c.weight,
        func.row_number().over(order_by=order).label("place"),
        func.sum(weighed.c.chunks).over(order_by=order, rows=(None, 0)).label("chunks"),
        (func.sum(weighed.c.weight).over(order_by=order, rows=(0, None)) * peak).label("reach"),
        (weighed.c.weight * peak).label("bound"),
        func.count().over().label("terms"),
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
