"""The dense candidates: the chunks whose vectors are nearest to the query's, by the vector index or an exact scan."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Float, Subquery, bindparam, func, select

from embedpipe.storage.tables import Collection
from embedpipe.storage.types import bound_count

_SET = "embedpipe_index_settings"


def candidates(
    collection: Collection, restriction: ColumnElement[bool] | None, *, exact: bool, ties: bool = False
) -> Subquery:
    """Build the keys and cosine distances of the chunks nearest to the bound `vector`, at most the bound `candidates`.

    Args:
        collection: Whose vectors.
        restriction: What a chunk must meet.
        exact: Keep the planner from the vector index, which may return too few. The CTE is materialised, and an index
            serves no ORDER BY on what is read from one.
        ties: Bring all that are as near as the last one, too. A scan then sorts every row instead of keeping the best,
            so the caller asks for it only after a tie was seen.
    """
    vectors, chunks = collection.vectors, collection.chunks
    distance = cosine_distance(vectors.c.embedding).label("distance")
    rows = select(vectors.c.key, vectors.c.embedding)
    if restriction is not None:
        rows = rows.join(chunks, chunks.c.key == vectors.c.key).where(restriction)
    if exact:
        every = rows.with_only_columns(vectors.c.key, distance).cte("every").prefix_with("MATERIALIZED")
        nearest = select(every).order_by(every.c.distance)
    elif collection.index.ranks_exactly:
        by_index = rows.with_only_columns(vectors.c.key, distance).order_by(distance.element)
        near = by_index.fetch(bound_count("candidates"), with_ties=ties).subquery("near_by_index")
        # Past ef_search an index scan brings rows only nearly in order (relaxed_order), and the planner takes them for
        # sorted. Adding 0 makes it sort them.
        again = (near.c.distance + 0).label("distance")
        nearest = select(near.c.key, again).order_by(again)
    else:
        # The index holds less than the vectors: it brings the bound `wide` candidates, which the vectors rank again.
        by_index = rows.order_by(_indexed_distance(collection)).fetch(bound_count("wide"), with_ties=ties)
        near = by_index.subquery("near_by_index")
        exactly = cosine_distance(near.c.embedding)
        nearest = select(near.c.key, exactly.label("distance")).order_by(exactly)
    return nearest.fetch(bound_count("candidates"), with_ties=ties).subquery("dense")


def cosine_distance(embedding: ColumnElement[Any]) -> ColumnElement[float]:
    """Build the cosine distance to the bound `vector`, 0 to 2."""
    query = bindparam("vector", type_=embedding.type)
    distance: ColumnElement[float] = embedding.op("<=>", return_type=Float())(query)
    return distance


def similarity(collection: Collection) -> ColumnElement[float]:
    """Build the cosine similarity of a row of the vectors to the bound `vector`, -1 to 1."""
    return 1 - cosine_distance(collection.vectors.c.embedding)


def _indexed_distance(collection: Collection) -> ColumnElement[float]:
    index, embedding = collection.index, collection.vectors.c.embedding
    query = bindparam("vector", type_=embedding.type)
    dimensions, precision = collection.model.dimensions, collection.precision
    return index.distance(
        index.expression(embedding, dimensions=dimensions, precision=precision),
        index.expression(query, dimensions=dimensions, precision=precision),
    )


def tune(connection: Connection, collection: Collection) -> None:
    """Set what a search by the collection's index needs, until the transaction ends.

    In autocommit there is no transaction. It is then set for the session, once, which the connection remembers.
    """
    settings = collection.index.search_settings
    driver: Any = connection.connection.driver_connection
    if not settings or (driver.autocommit and connection.info.get(_SET) == settings):
        return
    connection.execute(
        select(*[func.set_config(name, value, not driver.autocommit) for name, value in settings.items()])
    )
    if driver.autocommit:
        connection.info[_SET] = settings
