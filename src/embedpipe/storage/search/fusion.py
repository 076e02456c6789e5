"""Fusion: one score of the dense and the lexical one, computed in SQL over both legs' candidates."""

from __future__ import annotations

from sqlalchemy import CTE, ColumnElement, Float, Integer, Subquery, bindparam, cast, func, literal_column, select

from embedpipe.storage.lexical import bm25
from embedpipe.storage.search.options import FusionMethod
from embedpipe.storage.tables import Collection


def ranked(leg: Subquery, by: str, name: str) -> CTE:
    """Number a leg's candidates. Those that tie share a rank, so that it follows from what they hold, not from luck."""
    order = leg.c[by] if by == "distance" else leg.c[by].desc()
    return select(leg, func.rank().over(order_by=order).label("rank")).cte(name)


def fused_score(candidates: CTE, method: FusionMethod) -> ColumnElement[float]:
    """Build the fused score of the candidates, with the bound `dense_weight` w and, for ranks, the bound `rrf_k`.

    scores    w * (similarity + 1) / (greatest similarity + 1) + (1 - w) * bm25 / greatest bm25
    ranks     w / (rrf_k + dense rank) + (1 - w) / (rrf_k + lexical rank), 0 for a leg that does not have the chunk
    """
    if method == "ranks":
        dense_part, lexical_part = _reciprocal(candidates.c.dense_rank), _reciprocal(candidates.c.lexical_rank)
    else:
        # From the least that a score can be, not the least found: the worst candidate is not worth nothing.
        dense_part = _unit_range(candidates.c.similarity, least=-1)
        lexical_part = _unit_range(candidates.c.lexical_score, least=0)
    # The weighted mean of both, written so that two scores of 1 give exactly 1.
    return cast(lexical_part + bound("dense_weight") * (dense_part - lexical_part), Float)


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


def _reciprocal(rank: ColumnElement[int]) -> ColumnElement[float]:
    return func.coalesce(1 / (bound("rrf_k") + rank), 0)


def _unit_range(score: ColumnElement[float], *, least: int) -> ColumnElement[float]:
    """Bring the score from [least, greatest of the candidates] to [0, 1]; 0 where none has more than the least."""
    bottom = literal_column(str(least), Integer)
    return func.coalesce((score - bottom) / func.nullif(func.max(score).over() - bottom, 0, type_=Float()), 0.0)
