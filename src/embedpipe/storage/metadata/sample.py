"""The metadata of all chunks of a small collection, and of some chunks of a large one.

What is read is bounded, whatever the collection's size. The order of writing of a large collection is divided into
equal parts, and of each a run of chunks is read, from a place that looks random and is the same each time.
TABLESAMPLE would read the pages of all tenants to find the chunks of one. The index on the key, which begins with the
tenant, leads to this tenant's chunks alone.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import BigInteger, Connection, Select, Text, cast, func, select, true

from embedpipe.storage.tables import Collection

MOST_CHUNKS = 10_000
_PLACES = 1_000
"""Chunks of one document often have the same metadata, so many short runs tell more than few long ones."""

_MOST_BYTES = 32_000_000


class MetadataSample(NamedTuple):
    """How many chunks there are, and the metadata of those read, as JSON texts."""

    chunks: int
    metadata: list[str]


def sample(connection: Connection, collection: Collection) -> MetadataSample:
    """Read the metadata of all chunks, or of at most 10,000 chunks and 32 MB of metadata."""
    chunks = connection.scalar(select(func.count()).select_from(collection.chunks)) or 0
    rows = _every(collection) if chunks <= MOST_CHUNKS else _spread(collection)
    read = rows.subquery("read")
    size = func.octet_length(read.c.metadata)
    # In the order of a hash, so that metadata over the limit leave out chunks of every age.
    before = func.sum(size).over(order_by=(func.hashint8(read.c.key), read.c.key)).label("bytes")
    sized = select(read.c.key, read.c.metadata, before).subquery("sized")
    kept = select(sized.c.metadata).where(sized.c.bytes <= _MOST_BYTES).order_by(sized.c.key)
    return MetadataSample(chunks, list(connection.scalars(kept)))


def _every(collection: Collection) -> Select[int, str]:
    chunks = collection.chunks
    return select(chunks.c.key, cast(chunks.c.metadata, Text).label("metadata")).limit(MOST_CHUNKS)


def _spread(collection: Collection) -> Select[int, str]:
    """Build a run of chunks for each part. Runs that overlap, after a gap of deleted chunks, count once."""
    chunks = collection.chunks
    ends = select(func.min(chunks.c.key).label("low"), func.max(chunks.c.key).label("high")).cte("ends")
    numbers = func.generate_series(0, _PLACES - 1).table_valued("number", name="numbers").render_derived()
    width = (ends.c.high - ends.c.low) // _PLACES + 1
    # Not at the beginning of each part: metadata that repeat with the same period would all look alike.
    within = func.mod(func.abs(cast(func.hashint4(numbers.c.number), BigInteger)), width)
    place = ends.c.low + width * numbers.c.number + within
    places = select(place.label("place")).select_from(ends.join(numbers, true())).subquery("places")
    run = (
        select(chunks.c.key, cast(chunks.c.metadata, Text).label("metadata"))
        .where(chunks.c.key >= places.c.place)
        .order_by(chunks.c.key)
        .limit(MOST_CHUNKS // _PLACES)
        .lateral("run")
    )
    return select(run.c.key, run.c.metadata).select_from(places.join(run, true())).distinct()
