"""What is near a stored chunk: by its vector the most similar chunks, by its place the neighbors in its document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import BigInteger, Connection, and_, cast, func, select

from embedpipe.errors import InputError
from embedpipe.storage.search.execution import search
from embedpipe.storage.search.lookup import chunk_columns, chunk_of, vectors
from embedpipe.storage.search.options import Search
from embedpipe.storage.tables import Collection
from embedpipe.storage.types import text_array
from embedpipe.types import Chunk, Parent, SearchResult


def similar(connection: Connection, collection: Collection, chunk_id: str, options: Search) -> list[SearchResult]:
    """Return the chunks most similar to a stored one, without itself, for which `options` has one `extra`.

    Raises `InputError` if it is not stored.
    """
    found = vectors(connection, collection, [chunk_id], None)
    if not found.ids:
        raise InputError(f"Collection {collection.name!r} has no chunk with the id {chunk_id!r:.200}.")
    results = search(connection, collection, options.with_vector(found.vectors[0])).results
    others = [result for result in results if result.id != chunk_id][: options.k]
    return [replace(result, dense_rank=place) for place, result in enumerate(others, 1)]


def neighbors(
    connection: Connection, collection: Collection, ids: Sequence[str], window: int, parent: Parent | None
) -> dict[str, list[Chunk]]:
    """Return {id: its neighbors in its document, in the order of their places}, for those of the ids that have any.

    Those of the same `parent`; without one the `window` before and the `window` after.
    """
    centre, chunks = collection.chunks.alias("centre"), collection.chunks
    near = [chunks.c.document_id == centre.c.document_id, chunks.c.id != centre.c.id]
    if parent is None:
        place = cast(centre.c.chunk_index, BigInteger)  # a sum of two integers may be none
        near.append(chunks.c.chunk_index.between(place - window, place + window))
    elif parent == "section":
        near.append(chunks.c.metadata["heading_path"].is_not_distinct_from(centre.c.metadata["heading_path"]))
    rows = select(centre.c.id.label("centre_id"), *chunk_columns(collection)).join_from(centre, chunks, and_(*near))
    rows = rows.where(centre.c.id == func.any(text_array(ids)))
    found: dict[str, list[Chunk]] = {}
    for row in connection.execute(rows.order_by(centre.c.id, chunks.c.chunk_index, chunks.c.id)):
        found.setdefault(row.centre_id, []).append(chunk_of(row))
    return found
