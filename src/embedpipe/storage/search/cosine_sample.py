"""The sample of cosines between a collection's chunks, by which hybrid searches standardise theirs.

A cosine of .8 is a near duplicate for one model, and what any two texts have for another. So the catalogue keeps mean
and spread of the cosine between 200 chunks, for each model of a collection. The 200 are chosen by a hash of their ids,
so that the same chunks give the same numbers, wherever they lie.

`refresh_statistics()` and `reembed()` sample. A hybrid search reports when a sample is due, and the store then samples
in a transaction of its own. In a collection of tenants nobody samples, since nobody sees the chunks of all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import (
    ColumnElement,
    Connection,
    LargeBinary,
    Table,
    and_,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
    update,
)

from embedpipe.storage.database import locks
from embedpipe.storage.tables import Catalogue, Collection, quoted
from embedpipe.storage.types import unpack_vector

SAMPLED = 200
LEAST_CHUNKS = 100
"""In a smaller collection the candidates are most of the chunks, and the sample would follow each single one."""

GROWTH = 2
"""A sample is due when there are so many times the chunks of when it was taken."""

_MAX_MS = 2000
_BRIEFLY = text(
    "SELECT set_config('statement_timeout', CASE WHEN setting::int BETWEEN 1 AND :most THEN setting ELSE :most ::text"
    " END, true) FROM pg_settings WHERE name = 'statement_timeout'"
)
_MAY_WRITE = text(
    "SELECT current_setting('transaction_read_only') = 'off' AND has_column_privilege(:table, 'cosine_mean', 'UPDATE')"
)


@dataclass(frozen=True, slots=True)
class CosineSample:
    """Mean and spread (standard deviation) of the cosines between chunks, when there were so many chunks."""

    mean: float
    spread: float
    chunks: int


def stored(connection: Connection, collection: Collection) -> CosineSample | None:
    """Return the stored sample, None without one."""
    versions = Catalogue(collection.schema).embedding_versions
    row = connection.execute(
        select(versions.c.cosine_mean, versions.c.cosine_spread, versions.c.cosine_chunks).where(
            row_of(versions, collection)
        )
    ).one_or_none()
    return None if row is None or row.cosine_mean is None else CosineSample(*row)


def is_due(collection: Collection, *, sampled: ColumnElement[Any], chunks: ColumnElement[Any]) -> ColumnElement[bool]:
    """Build whether to sample now.

    Args:
        collection: Whose sample.
        sampled: How many chunks there were when the sample was taken. NULL without one.
        chunks: How many there are. NULL if that is not known.
    """
    if collection.tenants:
        return false()
    grown = or_(sampled.is_(None), chunks >= literal(GROWTH) * sampled)
    return func.coalesce(and_(chunks >= literal(LEAST_CHUNKS), grown), false())


def refresh(connection: Connection, collection: Collection) -> bool:
    """Sample the cosines and store mean and spread.

    Do nothing in a collection of tenants or without a lexical index, on a server that takes no writes, and for a role
    that may not write the sample.

    Returns:
        True if they were stored.
    """
    locks.lift_time_limit(connection)
    return _refresh(connection, collection)


def refresh_briefly(connection: Connection, collection: Collection) -> bool:
    """Do as `refresh`, for a search that waits for it: at most two seconds for each statement."""
    connection.execute(_BRIEFLY, {"most": _MAX_MS})
    return _refresh(connection, collection)


def _refresh(connection: Connection, collection: Collection) -> bool:
    versions = Catalogue(collection.schema).embedding_versions
    if collection.tenants or not collection.lexical:
        return False
    if not connection.scalar(_MAY_WRITE, {"table": quoted(connection, versions)}):
        return False
    here = row_of(versions, collection)
    mine = select(versions.c.number).where(here).with_for_update(skip_locked=True, key_share=True)
    if connection.scalar(mine) is None:  # another one is sampling, or the version is gone
        return False
    chunks = connection.scalar(select(func.count()).select_from(collection.chunks)) or 0
    values: dict[str, Any] = dict.fromkeys(("cosine_mean", "cosine_spread", "cosine_chunks"))
    if chunks >= LEAST_CHUNKS and len(cosines := _cosines(connection, collection)):
        # Rounded, since the last digits depend on the processor.
        mean, spread = round(float(cosines.mean()), 6), round(float(cosines.std()), 6)
        values = {"cosine_mean": mean, "cosine_spread": spread, "cosine_chunks": chunks}
    connection.execute(update(versions).where(here).values(values))
    return True


def row_of(versions: Table, collection: Collection) -> ColumnElement[bool]:
    """Build the condition on the row of the catalogue's table `versions` that has the sample."""
    return and_(versions.c.collection == collection.number, versions.c.number == collection.embedding_version)


def _cosines(connection: Connection, collection: Collection) -> Any:
    """Return the cosines between each two of the sampled chunks."""
    chunks, vectors = collection.chunks, collection.vectors
    # The ids alone, which their index has: the whole rows of a large collection would take seconds to read.
    hashed = func.hashtextextended(chunks.c.id, literal_column("0"))
    ids = select(chunks.c.id).order_by(hashed, chunks.c.id).limit(SAMPLED).subquery("sampled")
    send = func.vector_send if collection.precision == "float32" else func.halfvec_send
    rows = (
        select(send(vectors.c.embedding, type_=LargeBinary()))
        .join_from(ids, chunks, chunks.c.id == ids.c.id)
        .join(vectors, vectors.c.key == chunks.c.key)
        .order_by(hashed, chunks.c.id)
    )
    packed = connection.scalars(rows).all()
    if not packed:
        return np.empty(0)
    matrix = np.array([unpack_vector(each, collection.precision) for each in packed], dtype=np.float64)
    matrix /= np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-30)
    return (matrix @ matrix.T)[np.triu_indices(len(matrix), 1)]
