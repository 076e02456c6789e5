"""Score chunks against a query's words by BM25, exactly, in one statement together with filter and ranking.

The formula, after Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009):

    score(chunk) = sum over the query's terms t of  idf(t) * tf * (k1 + 1) / (tf + K)
    K            = k1 * (1 - b + b * length / average length)
    idf(t)       = ln(1 + (N - n + 0.5) / (n + 0.5))

with tf the occurrences of t in the chunk, n the chunks that hold t, and N all chunks. The idf is that of Lucene, which
is never negative.

How a row of the index makes a score. For a term that occurs once, tf * (k1 + 1) / (tf + K) is (k1 + 1) / (1 + K). The
index holds each term's weight relative to that, w = tf * (1 + K) / (tf + K), as one sparse vector for each chunk. So

    score(chunk) = (sum over t of idf(t) * w(t)) * (k1 + 1) / (1 + K)

is one inner product of pgvector, times a factor that needs only the chunk's length. N, n and the average length in that
factor are those of the moment of the query. Only the average length within w is that of the time of writing.

Why the statement has two rounds. A common word is in most chunks, and to score them all would take as long as a pass
over the table. But a term never adds more than idf(t) * (k1 + 1), the limit for tf to infinity. So the first round
scores the chunks that hold one of the heaviest terms. These are rare, and the GIN index finds them. The worst of the
best chunks so far is a threshold. A chunk without any of these terms can reach it only with certain combinations of
the other terms, and the second round scores the chunks with such a combination. Nothing is lost. This is MaxScore
(Turtle and Flood, "Query Evaluation: Strategies and Optimizations", 1995), with conditions for the GIN index in place
of cursors over posting lists.

Why so many CTEs are MATERIALIZED. Each holds the one row, or the few rows, that many places of the statement read. So
it is computed once, and not inlined where it is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pgvector.sqlalchemy import SPARSEVEC
from sqlalchemy import (
    CTE,
    BindParameter,
    ColumnElement,
    Float,
    Function,
    Integer,
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
from sqlalchemy.dialects.postgresql import ARRAY

from embedpipe.storage.filters import Filter, where
from embedpipe.storage.lexical.languages import languages
from embedpipe.storage.lexical.terms import (
    MOST_TERMS,
    bucket_of,
    in_place,
    language_of,
    lexemes,
    query_occurrences,
    term_array,
    tsvector,
    weighing,
)
from embedpipe.storage.tables import CHUNKS, DIMENSIONS, LENGTHS, Collection, LexicalTables, lexical_tables, once
from embedpipe.storage.types import bound_count

_FIRST_CHUNKS = 600
"""The first round takes the heaviest terms as long as they are in no more chunks together, plus ten for each result."""

_MANY_TERMS = 64
"""For a query of more terms, the second round looks for no pairs of them, which would be too many."""

_FEW_CHUNKS = 2000
"""If a condition leaves no more chunks than this, all of them are scored."""

_ROUNDING = 1 - 1e-5
"""Lowers the threshold of the second round a little, since pgvector adds up in single precision."""


_MOST_PHRASES = 10
"""The phrases of a query that count, if they are not required: each is looked for in the text of many chunks."""

TIED = 64
"""How many rows more than wanted are kept of each round, since several may tie with the last one.

A sort that keeps the best few is faster than one that keeps all that tie (`FETCH ... WITH TIES`).
"""


def candidates(
    collection: Collection, condition: Filter | None, *, constrained: bool = True, ties: bool = False
) -> Subquery:
    """Return keys and scores of the best chunks, with all that tie with the last of them.

    A chunk is among them only if it has any of the query's words and meets its constraint and the condition. The
    caller binds `lexical_candidates`, the number of chunks, `lexical_kept`, that number plus `TIED`, and the values of
    the parsed query.

    Args:
        collection: A collection with a lexical index.
        condition: A filter on the metadata.
        constrained: False if the query has neither phrases nor exclusions, which makes a shorter statement.
        ties: True to keep all rows that tie, however many. False to keep `TIED` of them.

    Returns:
        A subquery of `key`, `score` and `cut`. `cut` is the same in each row: true if more rows may tie than were kept.
    """
    restrictions = [_meets_constraint(collection)] if constrained else []
    parts = []
    if condition is not None:
        few = _matching_keys(collection, condition)
        is_few = select(func.count() <= _FEW_CHUNKS).select_from(few).scalar_subquery()
        # If few chunks meet the condition, the rounds would look at many that do not. All that meet it are then scored,
        # and the rounds return nothing. The data decide that, not the planner's estimate.
        parts.append(_kept(_scores_of(collection, few, [is_few, *restrictions]), ties))
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
    """Select the chunks with one of the heaviest terms, with their scores."""
    index, asked = lexical_tables(collection).index, _query(collection)
    rows = select(index.c.key, score(collection).label("score"))
    return rows.where(index.c.terms.overlap(_scalar(asked.c.first)), *restrictions)


def _second(collection: Collection, first: CTE, restrictions: list[ColumnElement[bool]]) -> Select[Any]:
    """Select the chunks that the first round left out and that could still be among the best, with their scores."""
    index, needed = lexical_tables(collection).index, _second_round_terms(collection, first)
    has_both = and_(index.c.terms.overlap(needed.c.heads), index.c.terms.overlap(needed.c.partners))
    rows = select(index.c.key, score(collection).label("score")).where(has_both, *restrictions)
    found = rows.correlate(needed).lateral("found")
    return select(found.c.key, found.c.score).distinct().select_from(needed.join(found, true()))


def _second_round_terms(collection: Collection, first: CTE) -> CTE:
    """Return rows of `heads` and `partners`. A chunk of the second round has one term of each, of the same row.

    Let h be the heaviest term of a chunk, p its second heaviest, and T the threshold. The chunk can reach T only if
    bound(h) >= T, where p does not matter, or if bound(h) + reach(p) >= T. There bound(h) is the most that h can add,
    and reach(p) the most that p and all lighter terms can add together. So each h that cannot reach T alone makes a row
    with the p that complete it. All others make one row together, and so do the terms of a query that has very many.
    """
    ranked, asked = _query_terms(collection), _query(collection)
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
    return union_all(together, pairs).cte("lexical_second_round").prefix_with("MATERIALIZED")


def _matching_keys(collection: Collection, condition: Filter) -> CTE:
    """Return the keys of the chunks that meet the condition, and of no more than one too many to be few."""
    chunks = collection.chunks
    rows = select(chunks.c.key).where(where(condition, chunks.c.metadata)).limit(_FEW_CHUNKS + 1)
    return rows.cte("lexical_few").prefix_with("MATERIALIZED")


def _scores_of(collection: Collection, few: CTE, restrictions: list[ColumnElement[bool]]) -> Select[Any]:
    """Select the scores of these chunks, if they have any of the words."""
    index = lexical_tables(collection).index
    rows = select(index.c.key, score(collection).label("score")).join_from(few, index, index.c.key == few.c.key)
    scored = rows.where(*restrictions).subquery("scored")
    return select(scored.c.key, scored.c.score).where(scored.c.score > 0)


def constrained_keys(collection: Collection) -> Select[tuple[int]]:
    """Select the keys of the chunks that meet the bound `constraint`, whatever words they have."""
    return select(lexical_tables(collection).index.c.key).where(_meets_constraint(collection))


def score(collection: Collection) -> ColumnElement[float]:
    """Return the BM25 score of a row of the lexical index. NULL if no chunk has any of the bound `words`."""
    columns, asked = lexical_tables(collection).index.c, _query(collection)
    product = -columns.weights.op("<#>", return_type=Float())(_scalar(asked.c.vector))  # <#> is negative
    of = weighing(collection)
    # K = k1 * (1 - b) + length * (k1 * b / average length), the last factor computed once for the statement.
    k: ColumnElement[float] = literal(of.k1 * (1 - of.b), Float()) + columns.length * _scalar(asked.c.slope)
    return product * literal(of.k1 + 1, Float()) / (1 + k)


def chunk_count(collection: Collection) -> ScalarSelect[Any]:
    """Return how many chunks are indexed. NULL if no chunk has any of the bound `words`."""
    return select(func.max(_query_terms(collection).c.total)).scalar_subquery()


def _kept(rows: Select[Any], ties: bool) -> Select[Any]:
    """Keep the best rows, with some or all that tie with the last of them."""
    _, scored = rows.selected_columns
    return _best(rows) if ties else rows.order_by(scored.desc()).limit(bound_count("lexical_kept"))


def _best(rows: Select[Any]) -> Select[Any]:
    """Keep the best rows, with all that tie with the last of them."""
    _, scored = rows.selected_columns
    return rows.order_by(scored.desc()).fetch(_limit(), with_ties=True)


def _limit() -> BindParameter[int]:
    return bound_count("lexical_candidates")


def _meets_constraint(collection: Collection) -> ColumnElement[bool]:
    """Return whether a chunk meets the constraint, by its terms, and by its text only if these leave it open."""
    index, asked = lexical_tables(collection).index, _constraint(collection)
    if weighing(collection).by_language:
        of = dict(asked.c.items())
        # Of the chunk's own language. A search that began before its language was known meets no constraint.
        of_language = select(func.bool_or(_meets(collection, of))).where(index.c.terms.contains(_marker_of(asked)))
        return func.coalesce(of_language.correlate(index).scalar_subquery(), false())
    return _meets(collection, {name: _scalar(column) for name, column in asked.c.items()})


def _meets(collection: Collection, asked: Mapping[str, ColumnElement[Any]]) -> ColumnElement[bool]:
    """Return whether a chunk meets a constraint, a row of `_constraint`."""
    chunks, index = collection.chunks, lexical_tables(collection).index
    configuration = asked.get("configuration")
    reads = tsvector(collection, collection.embedded_text, configuration).op("@@")(asked["constraint"])
    # A scalar subquery, not EXISTS: for that, the planner would read the text of every chunk beforehand.
    in_text = select(reads).where(chunks.c.key == index.c.key).correlate_except(chunks).scalar_subquery()
    terms = index.c.terms
    obvious = and_(asked["single"], not_(terms.overlap(asked["excluded"])))
    return or_(asked["idle"], and_(terms.contains(asked["required"]), or_(obvious, in_text)))


def _marker_of(languages: CTE) -> ColumnElement[Any]:
    """Return the marker of a language as an array, which the chunks of the language contain."""
    return postgresql.array([languages.c.marker], type_=Integer())


def phrase_candidates(collection: Collection, restriction: ColumnElement[bool] | None) -> Select[Any]:
    """Select the keys of chunks that may hold a bound phrase: for each, the best that have all its words.

    A phrase of common words would else go unnoticed in a large collection, since other chunks have these words more
    often. The caller binds `lexical_candidates`, the number of chunks for each phrase.
    """
    index, chunks, phrases = lexical_tables(collection).index, collection.chunks, _phrases(collection)
    rows = select(index.c.key, score(collection).label("score")).where(index.c.terms.contains(phrases.c.terms))
    if restriction is not None:
        rows = rows.join(chunks, chunks.c.key == index.c.key).where(restriction)
    likely = _best(rows.correlate(phrases)).lateral("likely")
    return select(likely.c.key).select_from(phrases.join(likely, true()))


def phrases_held(collection: Collection, key: ColumnElement[Any]) -> ColumnElement[float]:
    """Return the share of the bound phrases that a chunk holds, 0 to 1. Words such as "the" count only as places."""
    index, chunks, phrases = lexical_tables(collection).index, collection.chunks, _phrases(collection)
    configuration = phrases.c.get("configuration")
    reads = tsvector(collection, collection.embedded_text, configuration).op("@@")(phrases.c.query)
    # A subquery, for the reason given in `_meets_constraint`. It names the key of the index, though `key` is the same:
    # the planner would else read the text before it compares the terms.
    in_text = select(reads).where(chunks.c.key == index.c.key).correlate_except(chunks).scalar_subquery()
    # 0, not NULL, for a chunk without words. A query whose phrases have none such counts as held by no chunk.
    held = (
        select(func.count())
        .select_from(phrases.join(index, index.c.terms.contains(phrases.c.terms)))
        .where(index.c.key == key, in_text)
        .scalar_subquery()
    )
    number = func.count(phrases.c.place.distinct()) if "place" in phrases.c else func.count()
    total = select(number).select_from(phrases).scalar_subquery()
    return func.coalesce(cast(held, Float) / func.nullif(total, 0), 0.0, type_=Float())


@once
def _phrases(collection: Collection) -> CTE:
    """Return a row for each bound phrase that has any words: as a tsquery, and its terms.

    In a collection of several languages, return such a row for each of them, with its marker among the terms: only
    chunks of that language have them all.
    """
    bound: BindParameter[Any] = bindparam("phrases", type_=ARRAY(Text))
    unnested = func.unnest(bound, type_=Text())
    if weighing(collection).by_language:
        return _phrases_by_language(collection, unnested)
    texts = unnested.table_valued("text", name="quoted").render_derived()
    query = func.phraseto_tsquery(language_of(collection), in_place(collection, texts.c.text))
    rows = select(query.label("query"), _terms(collection, texts.c.text).label("terms"))
    rows = rows.select_from(texts).where(func.numnode(query) > 0).limit(literal_column(str(_MOST_PHRASES)))
    return rows.cte("lexical_phrases").prefix_with("MATERIALIZED")


def _phrases_by_language(collection: Collection, unnested: Function[Any]) -> CTE:
    of = languages(collection)
    texts = unnested.table_valued("text", with_ordinality="place", name="quoted").render_derived()
    query = func.phraseto_tsquery(of.c.configuration, in_place(collection, texts.c.text))
    terms = _terms(collection, texts.c.text, of).op("||")(of.c.marker)
    rows = select(of.c.configuration, texts.c.place, query.label("query"), terms.label("terms"))
    few = texts.c.place <= literal_column(str(_MOST_PHRASES))
    rows = rows.select_from(of.join(texts, true())).where(func.numnode(query) > 0, few)
    return rows.cte("lexical_phrases").prefix_with("MATERIALIZED")


@once
def _constraint(collection: Collection) -> CTE:
    """Return one row, or one for each language: the constraint as a tsquery, and what is known before any text is read.

    `idle` is true if it asks for nothing, `single` if it has neither a phrase of several words nor alternatives, so
    that the terms alone can decide. `required` and `excluded` are terms that a chunk must have and must not have.
    """
    text: BindParameter[str] = bindparam("constraint", type_=Text())
    required: BindParameter[str] = bindparam("required", "", type_=Text())
    excluded: BindParameter[str] = bindparam("excluded", "", type_=Text())
    of = languages(collection) if weighing(collection).by_language else None
    configuration = language_of(collection) if of is None else of.c.configuration
    query = func.websearch_to_tsquery(configuration, in_place(collection, text))
    rows = select(
        query.label("constraint"),
        (func.coalesce(func.numnode(query), 0) == 0).label("idle"),
        func.coalesce(func.translate(cast(query, Text), "<|", "") == cast(query, Text), true()).label("single"),
        _terms(collection, required, of).label("required"),
        _terms(collection, excluded, of).label("excluded"),
    )
    if of is not None:
        rows = rows.add_columns(of.c.configuration, of.c.marker).select_from(of)
    return rows.cte("lexical_constraint").prefix_with("MATERIALIZED")


def _terms(collection: Collection, text: ColumnElement[str], languages: CTE | None = None) -> ColumnElement[Any]:
    """Return the terms of a constraint's words as an array, empty if it has none."""
    if languages is None:
        found = lexemes(tsvector(collection, text)).subquery()
        terms = select(func.array_agg(found.c.term)).scalar_subquery()
    else:
        terms = term_array(tsvector(collection, text, languages.c.configuration), languages)
    return func.coalesce(terms, literal_column("'{}'::integer[]"))


@once
def _query(collection: Collection) -> CTE:
    """Return one row: the query's weights as a vector, the terms of the first round, and the slope of K by length."""
    ranked = _query_terms(collection)
    entries = func.string_agg(func.concat(ranked.c.term, ":", ranked.c.weight), ",")
    vector = cast(func.concat("{", entries, literal_column(f"'}}/{DIMENSIONS}'")), SPARSEVEC(DIMENSIONS))
    early = or_(ranked.c.place == 1, ranked.c.chunks <= _FIRST_CHUNKS + 10 * _limit())
    average, of = func.min(ranked.c.length) / func.min(ranked.c.total), weighing(collection)
    rows = select(
        vector.label("vector"),
        func.array_agg(ranked.c.term).filter(early).label("first"),
        (literal(of.k1 * of.b, Float()) / func.greatest(average, 1.0, type_=Float())).label("slope"),
    )
    return rows.cte("lexical_query").prefix_with("MATERIALIZED")


@once
def _query_terms(collection: Collection) -> CTE:
    """Return the query's terms that occur in the collection, one row each, with their bounds.

    `weight` is idf times the occurrences in the query, and `place` the rank by weight. `bound` is the most that the
    term can add to a score, and `reach` the most that it and all lighter terms can. `chunks` adds up n of the term and
    of all heavier ones, which is the most chunks that a first round with these terms would score.
    """
    of = lexical_tables(collection)
    words = (
        query_occurrences(collection, bindparam("words", type_=Text())).cte("lexical_words").prefix_with("MATERIALIZED")
    )
    counts = _frequencies(of, words)
    total = _frequency(counts, CHUNKS)
    # A word is as rare as it is in its language. No fewer chunks than hold it, since hashes may collide.
    of_language = func.greatest(words.c.chunks, counts.c.chunks) if "chunks" in words.c else total
    idf = func.ln(1 + (of_language - counts.c.chunks + 0.5) / (counts.c.chunks + 0.5))
    weight = words.c.count * idf
    weighed = (
        select(words.c.term, weight.label("weight"), counts.c.chunks)
        .join_from(words, counts, counts.c.term == words.c.term)
        .where(counts.c.chunks > 0)
        .order_by(weight.desc(), words.c.term)
        .limit(MOST_TERMS)  # of a longer query, those that weigh most
        .subquery("weighed")
    )
    order = [weighed.c.weight.desc(), weighed.c.term]
    peak = literal(weighing(collection).k1 + 1, Float())  # of tf * (k1 + 1) / (tf + K), for tf to infinity
    rows = select(
        weighed.c.term,
        weighed.c.weight,
        func.row_number().over(order_by=order).label("place"),
        func.sum(weighed.c.chunks).over(order_by=order, rows=(None, 0)).label("chunks"),
        (func.sum(weighed.c.weight).over(order_by=order, rows=(0, None)) * peak).label("reach"),
        (weighed.c.weight * peak).label("bound"),
        func.count().over().label("terms"),
        _frequency(counts, LENGTHS).label("length"),
        total.label("total"),
    )
    return rows.cte("lexical_query_terms").prefix_with("MATERIALIZED")


def _frequencies(of: LexicalTables, words: CTE) -> CTE:
    """Return how many chunks hold each term, and the two totals: the folded numbers plus the deltas since."""
    totals = func.unnest(literal_column(f"ARRAY[{CHUNKS}, {LENGTHS}]")).table_valued("term").render_derived("totals")
    terms = union_all(select(words.c.term), select(totals.c.term)).cte("lexical_terms").prefix_with("MATERIALIZED")
    folded = select(of.terms.c.term, of.terms.c.chunks).join_from(terms, of.terms, of.terms.c.term == terms.c.term)
    here = of.deltas.c.chunks[func.array_position(of.deltas.c.terms, terms.c.term)]
    # OFFSET 0 keeps the lateral query apart. Joined, the planner would read all deltas for a few terms.
    of_term = select(here.label("chunks")).where(of.deltas.c.bucket == bucket_of(terms.c.term)).offset(0)
    recent = of_term.correlate(terms).lateral("recent")
    since = select(terms.c.term, recent.c.chunks).select_from(terms.join(recent, true()))
    rows = union_all(folded, since).subquery("parts")
    sums = select(rows.c.term, cast(func.sum(rows.c.chunks), Float).label("chunks")).group_by(rows.c.term)
    return sums.cte("lexical_counts").prefix_with("MATERIALIZED")


def _frequency(counts: CTE, term: int) -> ScalarSelect[Any]:
    """Return the number of one term or total."""
    return select(counts.c.chunks).where(counts.c.term == literal_column(str(term))).scalar_subquery()


def _scalar(value: ColumnElement[Any]) -> ScalarSelect[Any]:
    return select(value).scalar_subquery()
