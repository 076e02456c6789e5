"""One search, one statement: what is nearest, what matches, and the two fused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, TypeAlias

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    Dialect,
    Float,
    Integer,
    LargeBinary,
    Subquery,
    and_,
    bindparam,
    cast,
    false,
    func,
    literal_column,
    null,
    or_,
    select,
    union,
)

from embedpipe.errors import ConfigurationError, InputError
from embedpipe.storage.database import aside
from embedpipe.storage.filters import Filter, parts_of, where
from embedpipe.storage.lexical import bm25, parse_query, unquoted
from embedpipe.storage.tables import Collection, lexical_tables, once
from embedpipe.storage.types import Precision, bound_count, bound_vector, ordered, unpack_vector
from embedpipe.storage.write import statements
from embedpipe.types import Chunk, SearchMode, SearchResult, Vectors

FusionMethod: TypeAlias = Literal["scores", "ranks"]

_ALL_MATCHES = 10_000
_LONG_TEXT, _FEW_PARTS = 10_000, 20
"""Beyond these a statement takes more than some milliseconds to prepare."""
_LONG_SQL = 10_000
"""The statements of longer filters are not remembered: they are large, and hardly come twice."""
_DENSE_WEIGHTS: dict[FusionMethod, float] = {"scores": 0.7, "ranks": 0.5}
_BOUND_LATER = ("vector", "threshold", "dense_weight", "rrf_k", "words", "constraint")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fusion:
    """How a hybrid search makes one score of two.

    `scores`: each leg's scores brought to [0, 1], from the least that they can be (-1 for the cosine, 0 for BM25) to
    the greatest among the candidates, then their mean weighted by `dense_weight` (Bruch, Gai, Ingber, TOIS 2023).
    `ranks`: reciprocal rank fusion, sum of weight / (rrf_k + rank) (Cormack, Clarke, Buettcher, SIGIR 2009).
    `dense_weight` None means 0.7 for scores and 0.5 for ranks; the other leg has the rest. `candidates` is how many
    chunks each leg brings at least.
    """

    method: FusionMethod = "scores"
    dense_weight: float | None = None
    rrf_k: int = 60
    candidates: int = 100

    def __post_init__(self) -> None:
        if self.method not in ("scores", "ranks"):
            raise ConfigurationError(f"Fusion method expected 'scores' or 'ranks', got {self.method!r}.")
        weight = self.dense_weight
        if weight is not None and (type(weight) not in (int, float) or not 0 <= weight <= 1):
            raise ConfigurationError(f"dense_weight must be a number from 0 to 1, or None; got {weight!r}.")
        for name in ("rrf_k", "candidates"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ConfigurationError(f"{name} must be a whole number from 1 on; got {value!r}.")

    @property
    def weight(self) -> float:
        """Of the dense leg, from 0 to 1."""
        return _DENSE_WEIGHTS[self.method] if self.dense_weight is None else self.dense_weight


def as_fusion(value: object) -> Fusion:
    """Return the fusion that a caller names: a `Fusion`, its method alone, or None for the usual one.

    Raises:
        InputError: If it is anything else.
    """
    if isinstance(value, Fusion):
        return value
    if value is None:
        return Fusion()
    if isinstance(value, str) and value in _DENSE_WEIGHTS:
        return Fusion(method=value)
    raise InputError(f"fusion={value!r:.100} is not known. Pass a Fusion, 'scores' or 'ranks'.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is asked for, checked: `vector` for dense and hybrid, `text` for lexical and hybrid."""

    mode: SearchMode
    k: int
    vector: Vectors | None = None
    text: str | None = None
    condition: Filter | None = None
    threshold: float | None = None
    with_vectors: bool = False
    fusion: Fusion = Fusion()
    exact: bool = False


@dataclass(frozen=True, slots=True)
class _Shape:
    """What of a search changes its statement: searches of one shape differ in bound values only.

    `filter_sql` stands for the condition, of which only the values may differ. The condition itself is in `built_for`
    for as long as the statement is built.
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
    filter_sql: str
    built_for: list[Filter | None] = field(compare=False, repr=False)

    @property
    def condition(self) -> Filter | None:
        [condition] = self.built_for
        return condition


def search(connection: Connection, collection: Collection, wanted: Search) -> list[SearchResult]:
    """At most k results, best first, ties by id.

    Where the vector index brings fewer than k, the exact scan answers: an index search under a filter can end early.
    Where no chunk holds the phrases of a hybrid search, their words count like others: questions quote titles.
    """
    results = _run(connection, collection, wanted, exact=wanted.exact)
    if len(results) < wanted.k and wanted.mode != "lexical" and not wanted.exact:
        results = _run(connection, collection, wanted, exact=True)
    if not results and wanted.mode == "hybrid" and wanted.text is not None:
        plain = unquoted(wanted.text)
        return results if plain == wanted.text else search(connection, collection, replace(wanted, text=plain))
    return results


def _run(connection: Connection, collection: Collection, wanted: Search, *, exact: bool) -> list[SearchResult]:
    """The results, whichever way the candidates were come by.

    The nearest are asked for with one more, which shows whether the last place is shared. Only then are all that share
    it asked for, since for these a scan has to sort every row.
    """
    rows, cut = _rows(connection, collection, wanted, exact=exact, ties=False)
    if cut:
        rows, _ = _rows(connection, collection, wanted, exact=exact, ties=True)
    return [_result(row, place, wanted, collection.precision) for place, row in enumerate(rows, 1)]


def _rows(
    connection: Connection, collection: Collection, wanted: Search, *, exact: bool, ties: bool
) -> tuple[Sequence[Any], bool]:
    """At most k rows, and whether others are as near as the last candidate and were left out."""
    takes_long = len(wanted.text or "") > _LONG_TEXT or _parts(wanted.condition) > _FEW_PARTS
    prepare = partial(_prepared, collection, wanted, connection.dialect, exact=exact, ties=ties)
    sql, values = aside(connection, prepare) if takes_long else prepare()
    rows = connection.exec_driver_sql(sql, values).all()
    return rows, bool(rows) and rows[-1].cut


def _prepared(
    collection: Collection, wanted: Search, dialect: Dialect, *, exact: bool, ties: bool
) -> tuple[str, dict[str, Any]]:
    """The statement's text and its values."""
    condition = None
    if wanted.condition is not None:
        condition = where(wanted.condition, collection.chunks.c.metadata).compile(dialect=dialect)
    shape = _Shape(
        collection=collection,
        mode=wanted.mode,
        method=wanted.fusion.method,
        counts=_counts(wanted, collection, ties=ties),
        has_vector=wanted.vector is not None,
        has_threshold=wanted.threshold is not None,
        with_vectors=wanted.with_vectors,
        exact=exact,
        ties=ties,
        has_constraint=wanted.mode != "dense" and parse_query(wanted.text or "").constraint is not None,
        filter_sql="" if condition is None else str(condition),
        built_for=[wanted.condition],
    )
    compiled = _compile if len(shape.filter_sql) > _LONG_SQL else _compiled
    sql, constants = compiled(shape, dialect)
    shape.built_for.clear()  # the shape is remembered, and with it nobody's values
    filtered = {} if condition is None else condition.params
    return sql, {**constants, **_values(wanted, collection), **filtered}


def _parts(condition: Filter | None) -> int:
    """How many comparisons there are in the condition."""
    found, level = 0, [] if condition is None else [condition]
    while level:
        found += len(level)
        level = [part for each in level for part in parts_of(each)]
    return found


def _compile(shape: _Shape, dialect: Dialect) -> tuple[str, dict[str, Any]]:
    """The statement's text and its constants, without the filter's values."""
    builders = {"dense": dense, "lexical": words, "hybrid": hybrid}
    statement = builders[shape.mode](shape).limit(bound_count("k"))
    expanded = statement.compile(dialect=dialect).construct_expanded_state(
        dict.fromkeys(_BOUND_LATER) | dict(shape.counts)
    )
    constants = {name: value for name, value in expanded.parameters.items() if not name.startswith("filter_")}
    return expanded.statement, constants


@once
def _compiled(shape: _Shape, dialect: Dialect) -> tuple[str, dict[str, Any]]:
    """As `_compile`, remembered: building a statement anew would take longer than most searches."""
    return _compile(shape, dialect)


def _values(wanted: Search, collection: Collection) -> dict[str, Any]:
    values: dict[str, Any] = {
        "threshold": wanted.threshold,
        "dense_weight": wanted.fusion.weight,
        "rrf_k": wanted.fusion.rrf_k,
    }
    if wanted.vector is not None:
        values["vector"] = bound_vector(wanted.vector, collection.precision)
    if wanted.mode != "dense" and wanted.text is not None:
        values |= parse_query(wanted.text).values
    return values


def _counts(wanted: Search, collection: Collection, *, ties: bool) -> tuple[tuple[str, int], ...]:
    """How many rows each step of the statement takes."""
    candidates = max(wanted.fusion.candidates, wanted.k) if wanted.mode == "hybrid" else wanted.k
    cut_later = wanted.mode == "lexical" and wanted.threshold is not None
    matches = _ALL_MATCHES if cut_later else candidates
    one_more = 0 if ties else 1
    return (
        ("k", wanted.k),
        ("candidates", candidates + one_more),
        ("wide", collection.index.oversampled(candidates)),
        ("lexical_candidates", matches),
        ("lexical_kept", matches + bm25.TIED),
    )


def dense(shape: _Shape) -> statements.Rows:
    """The chunks nearest to the bound `vector`, with their similarity."""
    near = statements.dense_candidates(shape.collection, _restriction(shape), exact=shape.exact, ties=shape.ties)
    cut: ColumnElement[bool] = false()
    if not shape.ties:  # one more than k came
        k = bound_count("k")
        shared = and_(near.c.distance == func.max(near.c.distance).over(), func.count().over() > k)
        near = select(near, shared.label("cut")).order_by(near.c.distance).limit(k).subquery("nearest")
        cut = near.c.cut
    scores = {"similarity": 1 - near.c.distance, "cut": cut}
    return _results(near, scores, shape).order_by(near.c.distance, shape.collection.chunks.c.id)


def words(shape: _Shape) -> statements.Rows:
    """The chunks that match the bound words best, with lexical score, and similarity where a `vector` is bound too."""
    collection = shape.collection
    found = bm25.candidates(collection, shape.condition, constrained=shape.has_constraint, ties=shape.ties)
    scores = {
        "lexical_score": found.c.score,
        "similarity": _similarity(collection) if shape.has_vector else null(),
        "cut": found.c.cut,
    }
    statement = _results(found, scores, shape, distances=shape.has_vector)
    return statement.order_by(found.c.score.desc(), collection.chunks.c.id)


def hybrid(shape: _Shape) -> statements.Rows:
    """Both legs' candidates, each with both scores, by their fused score."""
    both, cut = _both_scores(shape)
    names = ("similarity", "lexical_score", "dense_rank", "lexical_rank")
    fused = select(both.c.key, *[both.c[name] for name in names], _fused(both, shape.method).label("score"))
    every = fused.subquery("fused")
    best = select(every).order_by(every.c.score.desc()).fetch(bound_count("k"), with_ties=True)
    if shape.has_threshold:
        best = best.where(every.c.similarity >= _bound("threshold"))
    results = best.subquery("best")  # the chunks are read for these alone
    scores = {**{name: results.c[name] for name in (*names, "score")}, "cut": cut}
    return _results(results, scores, shape).order_by(results.c.score.desc(), shape.collection.chunks.c.id)


def _both_scores(shape: _Shape) -> tuple[CTE, ColumnElement[bool]]:
    """Keys of both legs' candidates with their ranks, and both scores of each, whichever leg brought it.

    And whether others are as near as the last of the nearest, and were left out.
    """
    collection = shape.collection
    leg = statements.dense_candidates(collection, _restriction(shape), exact=shape.exact, ties=shape.ties)
    near = _ranked(leg, "distance", "near")
    leg = bm25.candidates(collection, shape.condition, constrained=shape.has_constraint, ties=shape.ties)
    found = _ranked(leg, "score", "found")
    cut: ColumnElement[bool] = false()
    if not shape.ties:
        one_more, last = near, bound_count("candidates")
        near = select(one_more).where(one_more.c.rank < last).cte("nearest")
        shared = select(and_(func.count() == last, func.max(one_more.c.rank) < last)).select_from(one_more)
        cut = or_(shared.scalar_subquery(), func.coalesce(select(func.bool_or(found.c.cut)).scalar_subquery(), false()))
    pool = union(select(near.c.key), select(found.c.key)).cte("pool")
    vectors, words = collection.vectors, lexical_tables(collection).index
    rows = (
        select(
            pool.c.key,
            _similarity(collection).label("similarity"),
            func.coalesce(bm25.score(collection), 0.0).label("lexical_score"),
            near.c.rank.label("dense_rank"),
            found.c.rank.label("lexical_rank"),
        )
        .join_from(pool, vectors, vectors.c.key == pool.c.key)
        .outerjoin(words, words.c.key == pool.c.key)
        .outerjoin(near, near.c.key == pool.c.key)
        .outerjoin(found, found.c.key == pool.c.key)
    )
    return rows.cte("both").prefix_with("MATERIALIZED"), cut


def _restriction(shape: _Shape) -> ColumnElement[bool] | None:
    """What the nearest chunks must meet: the condition, and the phrases and exclusions of a hybrid query."""
    chunks = shape.collection.chunks
    parts = [] if shape.condition is None else [where(shape.condition, chunks.c.metadata)]
    if shape.has_constraint:
        parts.append(chunks.c.key.in_(bm25.constrained_keys(shape.collection)))
    return and_(*parts) if parts else None


def _ranked(leg: Subquery, by: str, name: str) -> CTE:
    """The leg's candidates, each with its place; those that tie share one, so that it follows from what they hold."""
    order = leg.c[by] if by == "distance" else leg.c[by].desc()
    rank = func.rank().over(order_by=order)
    return select(leg, rank.label("rank")).cte(name)


def _similarity(collection: Collection) -> ColumnElement[float]:
    return 1 - statements.cosine_distance(collection.vectors.c.embedding)


def _fused(both: CTE, method: FusionMethod) -> ColumnElement[float]:
    if method == "ranks":
        dense_part, lexical_part = _reciprocal(both.c.dense_rank), _reciprocal(both.c.lexical_rank)
    else:
        dense_part = _unit_range(both.c.similarity, least=-1)
        lexical_part = _unit_range(both.c.lexical_score, least=0)
    # The weighted mean; written so that two scores of 1 give exactly 1.
    return cast(lexical_part + _bound("dense_weight") * (dense_part - lexical_part), Float)


def _reciprocal(rank: ColumnElement[int]) -> ColumnElement[float]:
    return func.coalesce(1 / (_bound("rrf_k") + rank), 0)


def _bound(name: str) -> ColumnElement[float]:
    return bindparam(name, type_=Float())


def _unit_range(score: ColumnElement[float], *, least: int) -> ColumnElement[float]:
    """The score brought from [least, greatest of the candidates] to [0, 1]; 0 where none has more than the least."""
    bottom = literal_column(str(least), Integer)
    return func.coalesce((score - bottom) / func.nullif(func.max(score).over() - bottom, 0, type_=Float()), 0.0)


def _results(
    hits: Subquery,
    scores: Mapping[str, ColumnElement[Any]],
    shape: _Shape,
    *,
    distances: bool = False,
) -> statements.Rows:
    """The chunks of the hits with their scores, and with their vectors where these are asked for."""
    collection = shape.collection
    chunks, vectors = collection.chunks, collection.vectors
    statement = select(
        *statements.chunk_columns(collection), *[column.label(name) for name, column in scores.items()]
    ).join_from(chunks, hits, chunks.c.key == hits.c.key)
    # Both name the chunks before all else, so that they are locked first, see `locks`: this CTE in the statement as it
    # is sent, the FROM above once it is prepared. Nobody reads the CTE, and the planner leaves it out.
    statement = statement.add_cte(select(chunks.c.key).where(false()).cte("chunks_first"))
    if distances or shape.with_vectors:
        statement = statement.join(vectors, vectors.c.key == hits.c.key)
    if shape.with_vectors:
        send = func.vector_send if collection.precision == "float32" else func.halfvec_send
        statement = statement.add_columns(send(vectors.c.embedding, type_=LargeBinary()).label("packed"))
    if shape.has_threshold:
        statement = statement.where(scores["similarity"] >= _bound("threshold"))
    return statement


def _result(row: Any, place: int, wanted: Search, precision: Precision) -> SearchResult:
    """The result of a row: a chunk's columns, the scores of the mode, and the packed vector where it was asked for."""
    chunk_id, document_id, chunk_index, content, start, end, metadata, payload, header, key_order, *scores = row
    vector = unpack_vector(scores.pop(), precision) if wanted.with_vectors else None
    if key_order is not None:
        metadata, payload = ordered(metadata, key_order, "metadata"), ordered(payload, key_order, "payload")
    chunk = Chunk(content, start, end, chunk_index, metadata, document_id, chunk_id, payload, header)
    if wanted.mode == "dense":
        similarity, _ = scores
        return SearchResult(chunk=chunk, score=similarity, similarity=similarity, dense_rank=place, vector=vector)
    if wanted.mode == "lexical":
        lexical_score, similarity, _ = scores
        return SearchResult(
            chunk=chunk,
            score=lexical_score,
            similarity=similarity,
            lexical_score=lexical_score,
            lexical_rank=place,
            vector=vector,
        )
    similarity, lexical_score, dense_rank, lexical_rank, score, _ = scores
    return SearchResult(
        chunk=chunk,
        score=score,
        similarity=similarity,
        lexical_score=lexical_score,
        dense_rank=dense_rank,
        lexical_rank=lexical_rank,
        vector=vector,
    )
