"""What stands near a stored chunk: its own vector, the chunks most like it, and those around it in its document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import BindParameter, Connection, LargeBinary, and_, bindparam, func, select

from embedpipe.errors import InputError
from embedpipe.storage.filters import Filter, where
from embedpipe.storage.search.hybrid import Search, search
from embedpipe.storage.tables import Collection
from embedpipe.storage.types import TextArray, unpack_vector
from embedpipe.storage.write import chunk_of, statements
from embedpipe.types import Chunk, Parent, SearchResult, Vectors


class StoredVectors(NamedTuple):
    """Chunk ids, and their vectors (n, d) float32 in the same order."""

    ids: list[str]
    vectors: Vectors


def vectors(
    connection: Connection, collection: Collection, ids: Sequence[str] | None, condition: Filter | None
) -> StoredVectors:
    """The vectors of the chunks that meet every restriction given, in the order of document and place."""
    chunks, stored = collection.chunks, collection.vectors
    send = func.vector_send if collection.precision == "float32" else func.halfvec_send
    rows = select(chunks.c.id, send(stored.c.embedding, type_=LargeBinary())).join_from(
        chunks, stored, stored.c.key == chunks.c.key
    )
    if ids is not None:
        rows = rows.where(chunks.c.id == func.any(_array(ids)))
    if condition is not None:
        rows = rows.where(where(condition, chunks.c.metadata))
    found = connection.execute(rows.order_by(chunks.c.document_id, chunks.c.chunk_index, chunks.c.id)).all()
    unpacked = [unpack_vector(packed, collection.precision) for _, packed in found]
    array = (
        np.stack([row for row in unpacked if row is not None]) if found else np.empty((0, collection.model.dimensions))
    )
    return StoredVectors([row[0] for row in found], array.astype(np.float32, copy=False))


def similar(connection: Connection, collection: Collection, chunk_id: str, wanted: Search) -> list[SearchResult]:
    """The chunks most like a stored one, without itself. Raises `InputError` where it is not stored."""
    found = vectors(connection, collection, [chunk_id], None)
    if not found.ids:
        raise InputError(f"Collection {collection.name!r} has no chunk with the id {chunk_id!r:.200}.")
    results = search(connection, collection, replace(wanted, k=wanted.k + 1, vector=found.vectors[0]))
    others = [result for result in results if result.id != chunk_id][: wanted.k]
    return [replace(result, dense_rank=place) for place, result in enumerate(others, 1)]


def around(
    connection: Connection, collection: Collection, ids: Sequence[str], *, window: int, parent: Parent | None
) -> dict[str, list[Chunk]]:
    """{id: the chunks around it in its document, in the order of their places}, for those of the ids that have any.

    Those of the same `parent`; without one the `window` before and the `window` after.
    """
    centre, chunks = collection.chunks.alias("centre"), collection.chunks
    near = [chunks.c.document_id == centre.c.document_id, chunks.c.id != centre.c.id]
    if parent is None:
        near.append(chunks.c.chunk_index.between(centre.c.chunk_index - window, centre.c.chunk_index + window))
    elif parent == "section":
        near.append(chunks.c.metadata["heading_path"].is_not_distinct_from(centre.c.metadata["heading_path"]))
    rows = select(centre.c.id.label("centre_id"), *statements.chunk_columns(collection)).join_from(
        centre, chunks, and_(*near)
    )
    rows = rows.where(centre.c.id == func.any(_array(ids))).order_by(centre.c.id, chunks.c.chunk_index, chunks.c.id)
    found: dict[str, list[Chunk]] = {}
    for row in connection.execute(rows):
        found.setdefault(row.centre_id, []).append(chunk_of(row))
    return found


def _array(values: Sequence[str]) -> BindParameter[Any]:
    return bindparam(None, TextArray(values), unique=True)
