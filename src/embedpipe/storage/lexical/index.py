"""Writes of the lexical index, in the transaction that writes the chunks. `bm25` says what the index is for.

A writer replaces the rows of its chunks and appends to the deltas how many chunks more or fewer hold each term. It
never updates a counter that another writer may update, and so never waits for one. From time to time a writer folds the
deltas into the counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from pgvector.sqlalchemy import SPARSEVEC
from sqlalchemy import (
    CTE,
    REAL,
    BigInteger,
    BindParameter,
    ColumnElement,
    Connection,
    Float,
    Integer,
    Select,
    and_,
    bindparam,
    case,
    cast,
    delete,
    func,
    literal,
    literal_column,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, Insert, array, insert
from sqlalchemy.exc import DBAPIError

from embedpipe.errors import InputError
from embedpipe.storage.database import by_id, locks
from embedpipe.storage.lexical.languages import chunk_language
from embedpipe.storage.lexical.terms import (
    MOST_TERMS,
    bucket_of,
    occurrences,
    saturation,
    total,
    weighing,
)
from embedpipe.storage.tables import BM25, CHUNKS, DIMENSIONS, LENGTHS, Collection, LexicalTables, lexical_tables, once
from embedpipe.storage.types import TextArray

_FOLD_AFTER = 32
_STEP_CHUNKS = 1000
_LOCK = 0x6C657869
WEIGHT_TOLERANCE = 0.01
"""The share by which the average length may move before weights are brought up to date."""

_TOO_LARGE = "54000"
"""SQLSTATE: over a megabyte of words, or over 16,000 different ones."""


def index_chunks(connection: Connection, collection: Collection, ids: Sequence[str]) -> None:
    """Index the chunks with these ids again, after they were written in the same transaction.

    Raises:
        InputError: For a chunk of over 16,000 different words, or of a megabyte of them.
    """
    chosen = {"ids": TextArray(ids)}
    try:
        connection.execute(_removal(collection, _keys_of_ids(collection)), chosen)
        connection.execute(_indexing(collection), chosen)
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _TOO_LARGE:
            raise
        raise InputError(
            f"one chunk has more than 16,000 different words, or a megabyte of them ({error.orig}). Use a chunker, or "
            "one with a smaller chunk_size."
        ) from error.orig
    connection.execute(_fold(collection, after=_FOLD_AFTER))


def index_changed_languages(connection: Connection, collection: Collection, ids: Sequence[str]) -> None:
    """Index those of the chunks again whose language has changed, after their metadata was written.

    Do nothing in a collection of one language.
    """
    if not weighing(collection).by_language:
        return
    chunks, of, language = collection.chunks, lexical_tables(collection), chunk_language(collection)
    as_before = of.index.c.terms.contains(array([language.c.marker], type_=Integer()))
    rows = select(chunks.c.id).select_from(chunks.join(of.index, of.index.c.key == chunks.c.key).join(language, true()))
    changed = list(connection.scalars(rows.where(chunks.c.id == func.any(TextArray(ids)), ~as_before)))
    if changed:
        index_chunks(connection, collection, changed)


def remove_chunks(connection: Connection, collection: Collection, keys: Sequence[int]) -> None:
    """Take chunks out of the index, after they were deleted in the same transaction.

    This needs a statement of its own, after the one that deletes. A statement sees the rows of its beginning, and only
    once the chunks are locked can no other writer index them.
    """
    if keys:
        bound: BindParameter[Any] = bindparam(None, list(keys), type_=ARRAY(BigInteger))
        connection.execute(_removal(collection, select(func.unnest(bound))))


class Refreshed(NamedTuple):
    """How many chunks a step of `refresh_weights` has indexed again, and where the next begins. None after the last."""

    chunks: int
    after: int | None


def refresh_weights(connection: Connection, collection: Collection, tolerance: float, after: int) -> Refreshed:
    """Index chunks again whose average length, at the time of writing, is not today's. Fold the deltas, too.

    The average length at the time of writing matters only for a word that is repeated in its chunk. With the usual k1
    and b, the weight of such a word is off by at most 0.41 of the share by which the average has moved since.

    That may be every chunk of a large collection, and writers wait for those that are locked. So a step takes the next
    thousand at most, and has a transaction of its own.

    Args:
        connection: In a transaction.
        collection: Whose chunks.
        tolerance: The share by which an average may differ from today's.
        after: The key after which the step begins, 0 for the first.
    """
    if not collection.lexical:
        return Refreshed(0, None)
    locks.lift_time_limit(connection)
    of, chunks = lexical_tables(collection), collection.chunks
    locks.lock(connection, chunks, mode="ROW SHARE")  # before the words, as every writer does
    connection.execute(_fold(collection, after=0))
    average = func.greatest(total(of, LENGTHS) / func.greatest(total(of, CHUNKS), 1.0), 1.0)
    today = cast(cast(average.select().scalar_subquery(), REAL), Float)  # as precise as the stored references
    moved = func.abs(of.index.c.reference / today - 1) > tolerance
    stale = select(of.index.c.key).where(of.index.c.key > after, moved).order_by(of.index.c.key).limit(_STEP_CHUNKS)
    keys = list(connection.scalars(stale))
    found: BindParameter[Any] = bindparam(None, keys, type_=ARRAY(BigInteger))
    there = select(chunks.c.id).where(chunks.c.key == func.any(found)).order_by(by_id(chunks.c.id))
    ids = list(connection.scalars(there.with_for_update()))  # as an upsert locks them, before it indexes
    if ids:
        index_chunks(connection, collection, ids)
    return Refreshed(len(ids), keys[-1] if len(keys) == _STEP_CHUNKS else None)


def _keys_of_ids(collection: Collection) -> Select[Any]:
    return select(collection.chunks.c.key).where(collection.chunks.c.id == func.any(bindparam("ids")))


def _removal(collection: Collection, keys: Select[Any]) -> Insert:
    """Remove rows of the index, and count them off."""
    of = lexical_tables(collection)
    gone = delete(of.index).where(of.index.c.key.in_(keys)).returning(of.index.c.length, of.index.c.terms)
    return _append(of, gone.cte("gone"), sign=-1)


@once
def _indexing(collection: Collection) -> Insert:
    """Add rows of the index for the chunks with the bound ids, and count them."""
    of = lexical_tables(collection)
    parsed = _parsed(collection)
    totals = select(
        (total(of, LENGTHS) + func.coalesce(func.sum(parsed.c.length), 0)).label("length"),
        (total(of, CHUNKS) + func.count()).label("chunks"),
    ).select_from(parsed)
    sums = totals.subquery("sums")
    mean = func.greatest(cast(sums.c.length, Float) / func.greatest(sums.c.chunks, 1), 1.0)
    # As precise as it is stored, so that chunks with the same reference have the same weights.
    average = select(cast(cast(mean, REAL), Float).label("length")).cte("average").prefix_with("MATERIALIZED")
    terms = parsed.c.once.op("||")(func.coalesce(parsed.c.repeated, literal_column("'{}'::integer[]")))
    if weighing(collection).by_language:
        terms = terms.op("||")(parsed.c.marker)
    weights = _weights(weighing(collection), parsed, average)
    rows = select(parsed.c.key, parsed.c.length, average.c.length, terms, weights)
    rows = rows.select_from(parsed.join(average, true()))
    into = insert(of.index).from_select(["key", "length", "reference", "terms", "weights"], rows)
    return _append(of, into.returning(of.index.c.length, of.index.c.terms).cte("stored"), sign=1)


def _parsed(collection: Collection) -> CTE:
    """Return each chunk's length and terms, with those that occur once apart from the rest, and its language."""
    chunks = collection.chunks
    language = chunk_language(collection) if weighing(collection).by_language else None
    found = occurrences(collection, collection.embedded_text, language).subquery("found")
    of = found.c
    none: ColumnElement[Any] = literal_column("'{}'::integer[]")
    counted = (
        select(
            func.coalesce(func.sum(of.length), 0).label("length"),
            func.coalesce(func.array_agg(of.term).filter(of.length == 1), none).label("words"),
            func.array_agg(of.term).filter(of.length == 0).label("pieces"),
            func.array_agg(of.term).filter(of.length > 1).label("repeated"),
            func.array_agg(of.length).filter(of.length > 1).label("counts"),
            func.count().label("terms"),
        )
        .correlate(*[table for table in (chunks, language) if table is not None])
        .lateral("counted")
    )
    words, each = counted.c.words, counted.c
    # A long chunk keeps its words and goes without the pieces of its compounds, rather than have too many.
    once = case((each.terms <= MOST_TERMS, words.op("||")(each.pieces)), else_=words)
    rows = select(chunks.c.key, each.length, once.label("once"), each.repeated, each.counts)
    if language is None:
        rows = rows.select_from(chunks.join(counted, true()))
    else:
        joined = chunks.join(language, true()).join(counted, true())
        rows = rows.add_columns(language.c.marker).select_from(joined)
    rows = rows.where(chunks.c.id == func.any(bindparam("ids")))
    return rows.cte("parsed").prefix_with("MATERIALIZED")


def _weights(of: BM25, parsed: CTE, average: CTE) -> ColumnElement[Any]:
    """Return the sparse vector of a chunk's terms, with their weights relative to one occurrence.

    That is tf * (1 + K) / (tf + K), and 1 for a term that occurs once.
    """
    ones = func.array_to_string(parsed.c.once, ":1,") + literal(":1")
    again = func.unnest(parsed.c.repeated, parsed.c.counts).table_valued("term", "count").render_derived("again")
    k = saturation(of, parsed.c.length, average.c.length)
    weight = cast(again.c.count * (1 + k) / (again.c.count + k), REAL)
    others = select(func.string_agg(func.concat(again.c.term, ":", weight), ",")).scalar_subquery()
    entries = func.concat_ws(
        ",",
        case((func.cardinality(parsed.c.once) > 0, ones)),
        case((parsed.c.repeated.is_not(None), others)),
    )
    return cast(func.concat("{", entries, literal_column(f"'}}/{DIMENSIONS}'")), SPARSEVEC(DIMENSIONS))


def _append(of: LexicalTables, changed: CTE, *, sign: int) -> Insert:
    """Append the change of the counts by the rows that were written (sign 1) or removed (-1): a row for each bucket.

    A reader of a few terms reads a few buckets, and a writer of many terms still writes few rows.
    """
    unit = literal_column(str(sign), Integer)
    term = select(func.unnest(changed.c.terms, type_=Integer()).label("term")).subquery()
    counts = union_all(
        select(term.c.term, (func.count() * unit).label("chunks")).group_by(term.c.term),
        select(literal_column(str(CHUNKS), Integer), func.count() * unit).select_from(changed),
        select(literal_column(str(LENGTHS), Integer), func.sum(changed.c.length) * unit),
    ).subquery("counts")
    bucketed = select(bucket_of(counts.c.term).label("bucket"), counts.c.term, counts.c.chunks)
    rows = bucketed.where(counts.c.chunks != 0).subquery("bucketed")
    grouped = select(rows.c.bucket, func.array_agg(rows.c.term), func.array_agg(rows.c.chunks)).group_by(rows.c.bucket)
    return insert(of.deltas).from_select(["bucket", "terms", "chunks"], grouped)


def _fold(collection: Collection, *, after: int) -> Insert:
    """Add the deltas to the counts, if there are more than `after` writes of them and nobody else is doing it.

    Only in READ COMMITTED: an older snapshot would not see the counts that others have folded since.
    """
    of = lexical_tables(collection)
    alone = func.pg_try_advisory_xact_lock(_LOCK, collection.number)
    sees_others = func.current_setting("transaction_isolation") == "read committed"
    every_write = of.deltas.c.bucket == bucket_of(literal_column(str(CHUNKS), Integer))
    writes = select(func.count().label("n")).where(every_write)
    counted = writes.cte("writes").prefix_with("MATERIALIZED")
    due = select(case((and_(counted.c.n > after, sees_others), alone), else_=False).label("now"))
    now = due.cte("due").prefix_with("MATERIALIZED")
    gone = delete(of.deltas).where(select(now.c.now).scalar_subquery()).returning(of.deltas.c.terms, of.deltas.c.chunks)
    folded = gone.cte("folded")
    entry = func.unnest(folded.c.terms, folded.c.chunks).table_valued("term", "chunks").render_derived("entry")
    sums = select(entry.c.term, func.sum(entry.c.chunks)).select_from(folded.join(entry, true())).group_by(entry.c.term)
    into = insert(of.terms).from_select(["term", "chunks"], sums)
    return into.on_conflict_do_update(
        index_elements=[*collection.scope, "term"], set_={"chunks": of.terms.c.chunks + into.excluded.chunks}
    )
