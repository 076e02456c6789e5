"""What a collection holds, for a person who looks around: its documents in pages, and its metadata with its values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Text, case, cast, column, func, literal, select, table, true
from sqlalchemy.dialects.postgresql import JSONB, REGCLASS

from embedpipe.storage.tables import Collection, quoted

_SAMPLE = 5_000
"""How many chunks the values are counted in, so that a look at a large collection costs as much as at this one."""
_KEYS, _VALUES = 100, 50
"""The most keys, and the most values of each."""
_LONGEST = 200
"""The most characters of a value that is listed, and of a title."""


class ListedDocument(NamedTuple):
    """A document in a list: its id, the first characters of its title or file name, and how many chunks it has."""

    id: str
    title: str | None
    chunks: int


class MetadataKey(NamedTuple):
    """A key of the chunks' metadata, and its most frequent values with their counts in a sample of the chunks.

    `is_complete` says whether the sample has no other values.
    """

    name: str
    values: Sequence[tuple[Any, int]]
    is_complete: bool


def list_documents(
    connection: Connection, collection: Collection, after: str | None, contains: str | None, limit: int
) -> list[ListedDocument]:
    """Return documents in the order of their ids, from the first behind `after`.

    Args:
        connection: A connection.
        collection: The collection.
        after: The id of the last document before these.
        contains: A text that id or title must contain, in any case.
        limit: The most documents to return.
    """
    documents, chunks = collection.documents.c, collection.chunks.c
    title = func.coalesce(*[_text_of(documents.metadata[name]) for name in ("title", "name")])
    count = select(func.count()).where(chunks.document_id == documents.id).scalar_subquery()
    statement = select(documents.id, func.left(title, _LONGEST), count).order_by(documents.id).limit(limit)
    if after is not None:
        statement = statement.where(documents.id > after)
    if contains is not None:
        # Not LIKE, in which some characters of the text would stand for others.
        within = func.lower(func.concat_ws(" ", documents.id, title))
        statement = statement.where(func.strpos(within, func.lower(contains)) > 0)
    return [ListedDocument(*row) for row in connection.execute(statement)]


def _text_of(value: ColumnElement[Any]) -> ColumnElement[str | None]:
    """Return a string of the metadata, NULL if it is of another type or blank."""
    return case((func.jsonb_typeof(value) == "string", func.nullif(func.btrim(value.astext), "")))


def metadata_keys(connection: Connection, collection: Collection) -> list[MetadataKey]:
    """Return the keys of the chunks' metadata whose values are texts, numbers or booleans, in the order of their names.

    They are counted in a sample. Long values are left out.
    """
    chunks = collection.chunks
    pages = chunks.tablesample(func.system(_percent(connection, collection)))
    sample = select(pages.c.metadata).limit(_SAMPLE).subquery()
    pair = func.jsonb_each(sample.c.metadata).table_valued(column("key", Text), column("value", JSONB)).lateral()
    text = cast(pair.c.value, Text)
    found = (
        select(pair.c.key, pair.c.value, func.count().label("times"))
        .select_from(sample.join(pair, true()))
        .where(func.jsonb_typeof(pair.c.value).in_(["string", "number", "boolean"]))
        .where(func.length(text) <= _LONGEST, func.length(pair.c.key) <= _LONGEST)
        .group_by(pair.c.key, pair.c.value)
        .subquery()
    )
    by_key = func.row_number().over(
        partition_by=found.c.key, order_by=[found.c.times.desc(), cast(found.c.value, Text)]
    )
    ranked = select(found, by_key.label("place")).subquery()
    few = select(ranked).where(ranked.c.place <= _VALUES + 1).order_by(ranked.c.key, ranked.c.place)
    keys: dict[str, list[tuple[Any, int]]] = {}
    for row in connection.execute(few.limit(_KEYS * (_VALUES + 1))):
        keys.setdefault(row.key, []).append((row.value, row.times))
    listed = list(keys.items())[:_KEYS]
    return [MetadataKey(name, values[:_VALUES], len(values) <= _VALUES) for name, values in listed]


def _percent(connection: Connection, collection: Collection) -> float:
    """Return how much of the table has about the chunks of the sample. All of it where the planner knows no size."""
    known = table("pg_class", column("oid"), column("reltuples"))
    named = cast(literal(quoted(connection, collection.chunks)), REGCLASS)
    rows = connection.scalar(select(known.c.reltuples).where(known.c.oid == named)) or 0
    return min(100.0, 200.0 * _SAMPLE / rows) if rows > _SAMPLE else 100.0
