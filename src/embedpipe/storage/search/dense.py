"""The dense candidates: the chunks whose vectors are nearest to the query's, by the vector index or an exact scan."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Float, Subquery, bindparam, func, select

from embedpipe.storage.tables import Collection
from embedpipe.storage.types import bound_count

_PROBES = "embedpipe_probes"


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
            so this is left out where there is nothing to gain.
    """
    vectors, chunks = collection.vectors, collection.chunks
    distance = cosine_distance(vectors.c.embedding).label("distance")
    rows = select(vectors.c.key, vectors.c.embedding)
    if restriction is not None:
        rows = rows.join(chunks, chunks.c.key == vectors.c.key).where(restriction)
    if exact:
        every = rows.with_only_columns(vectors.c.key, distance).cte("every").prefix_with("MATERIALIZED")
        nearest = select(every).order_by(every.c.distance)
    elif collection.index.kind == "full":
        nearest = rows.with_only_columns(vectors.c.key, distance).order_by(distance.element)
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


def set_probes(connection: Connection, collection: Collection) -> None:
    """Have a search look into as many lists as the collection's index wants: until the transaction ends, else for good.

    Only an index of the method `ivfflat` wants that. What a connection in autocommit was told is remembered.
    """
    if collection.index.method != "ivfflat":
        return
    probes = collection.index.probed
    driver: Any = connection.connection.driver_connection
    if driver.autocommit and connection.info.get(_PROBES) == probes:
        return
    connection.execute(select(func.set_config("ivfflat.probes", str(probes), not driver.autocommit)))
    if driver.autocommit:
        connection.info[_PROBES] = probes
