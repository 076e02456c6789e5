"""Changes of the attached table, claimed and synced: rows that are there are written, rows that are gone are removed.

An id belongs to one of 64 buckets. Whoever syncs locks buckets that have changes and that nobody else holds, until its
transaction ends. So any number of workers share the work, and no two of them ever work at one id. A worker that is
killed loses its transaction, and another one finds the changes as they were.

The rows are read after the changes were claimed, in a transaction of their own. What they hold is at least as new as
each claimed change, and a later change makes an entry of its own. No lock on the user's table is held while texts are
embedded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar, TypeVarTuple

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Connection,
    Integer,
    MetaData,
    Select,
    SmallInteger,
    Text,
    and_,
    bindparam,
    cast,
    delete,
    func,
    literal,
    literal_column,
    select,
    true,
    union,
    update,
)
from sqlalchemy import Table as SqlTable
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert
from sqlalchemy.sql import quoted_name
from sqlalchemy.types import UserDefinedType

from embedpipe.errors import ConfigurationError, EmbedPipeError
from embedpipe.storage.attach.attaching import attached_table
from embedpipe.storage.attach.queue_tables import BUCKETS, queue_tables
from embedpipe.storage.attach.source import Source, check_sees_all, found_source
from embedpipe.storage.attach.table import Table
from embedpipe.storage.attach.triggers import FIXED_SETTINGS
from embedpipe.storage.database import Connections
from embedpipe.storage.tables import Collection
from embedpipe.storage.types import text_array
from embedpipe.storage.write import DocumentBatch, Known, Written, chunks, documents
from embedpipe.types import Document

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_BATCH = 256
"""The ids that are synced in one transaction."""

_LOOKED_AT = 10_000
"""The changes among which buckets are chosen, oldest first."""

_LONGEST_ERROR = 2000
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=30), timedelta(hours=6)
"""How long a row that failed waits for its next attempt: twice as long each time."""


class Removed(NamedTuple):
    """How many documents and chunks went, since their rows did."""

    documents: int
    chunks: int


class Claim:
    """Changed rows that nobody else works at, until the transaction ends. A store for the documents made of them.

    Attributes:
        documents: The rows that are there and have a text.
        gone: The ids of the others.
    """

    def __init__(
        self,
        connection: Connection,
        collection: Collection,
        numbers: Sequence[int],
        ids: Sequence[str],
        found: Sequence[Document],
    ) -> None:
        self.documents = found
        self.gone = sorted(set(ids) - {document.id for document in found})
        self._connection = connection
        self._collection = collection
        self._numbers = numbers
        self._ids = ids

    def known_documents(self, document_ids: Sequence[str]) -> Known:
        """Return what is stored of these documents."""
        return documents.known(self._connection, self._collection, document_ids)

    def write_documents(self, batch: DocumentBatch) -> Written:
        """Write documents with their chunks, without those that hold what the database refuses."""
        return documents.write_by_halves(self._connection, self._collection, batch)

    def finish(self, failures: Mapping[str, EmbedPipeError]) -> Removed:
        """Remove the documents of rows that are gone, note what failed, and take the changes off the queue.

        Args:
            failures: The errors of documents that were not written, by id.
        """
        connection, collection = self._connection, self._collection
        tables, removed = queue_tables(collection), Removed(0, 0)
        if self.gone:
            there = documents.known(connection, collection, self.gone).hashes
            removed = Removed(len(there), chunks.delete(connection, collection, None, self.gone, None))
        done = [name for name in self._ids if name not in failures]
        connection.execute(delete(tables.failures).where(tables.failures.c.id == func.any(text_array(done))))
        if failures:
            _note_failures(connection, collection, failures)
        numbers: BindParameter[Any] = bindparam(None, list(self._numbers), type_=ARRAY(tables.changes.c.number.type))
        connection.execute(delete(tables.changes).where(tables.changes.c.number == func.any(numbers)))
        return removed


def take(
    connection: Connection,
    collection: Collection,
    database: Connections,
    work: Callable[[Claim, *Ts], T],
    *args: *Ts,
) -> T | None:
    """Claim changed rows, call `work(claim, *args)`, and return what it returns. None if nothing is waiting.

    Args:
        connection: In a transaction, which holds the claim until it ends.
        collection: It follows a table.
        database: For the rows, which are read in a transaction of their own.
        work: Writes the rows and finishes the claim.
        args: Its further arguments.

    Raises:
        ConfigurationError: If the collection follows no table, or this role does not see all of its rows.
        SchemaError: If the table, or a column of it, is no longer there.
    """
    definition = _definition(connection, collection)
    settings = {"embedpipe.syncs": str(collection.number), "idle_in_transaction_session_timeout": "0"}
    _set_locally(connection, settings)
    tables = queue_tables(collection)
    held = list(connection.scalars(_free_buckets(collection)))
    if not held:
        return None
    columns = tables.changes.c
    mine = columns.bucket == func.any(_integers(held))
    numbers, ids = list[int](), dict[str, None]()
    for row in connection.execute(
        select(columns.number, columns.rows, columns.ids).where(mine).order_by(columns.number).limit(_BATCH)
    ):
        if row.ids is None or row.rows > _BATCH:
            if not numbers:
                _split(connection, collection, definition, row.number, whole=row.ids is None)
            break
        if numbers and len(ids) + row.rows > _BATCH:
            break
        numbers.append(row.number)
        ids.update(dict.fromkeys(row.ids))
    found = database.run(_rows, collection, definition, list(ids)) if ids else []
    return work(Claim(connection, collection, numbers, list(ids), found), *args)


def retry(connection: Connection, collection: Collection, every: bool) -> int:
    """Queue rows that failed: every one, or those whose time has come. Return how many.

    Raises:
        ConfigurationError: If the collection follows no table, or this role does not see all of its rows.
        SchemaError: If the table, or a column of it, is no longer there.
    """
    _visible(connection, collection, _definition(connection, collection))
    tables = queue_tables(collection)
    failed = tables.failures.c
    chosen = select(failed.id).with_for_update(skip_locked=True)
    if not every:
        chosen = chosen.where(failed.retry_at <= func.now())
    # Whoever takes them sets the time anew. Until then no other worker queues them a second time.
    due = (
        update(tables.failures)
        .where(failed.id.in_(chosen.scalar_subquery()))
        .values(retry_at=func.now() + _LONGEST_PAUSE)
    )
    ids = due.returning(failed.id).cte("due")
    bucket = _bucket(ids.c.id)
    rows = select(bucket, func.count(), func.array_agg(ids.c.id)).group_by(bucket)
    into = insert(tables.changes).from_select(["bucket", "rows", "ids"], rows)
    return sum(connection.scalars(into.returning(tables.changes.c.rows)))


def _definition(connection: Connection, collection: Collection) -> Table:
    definition = attached_table(connection, collection)
    if definition is None:
        raise ConfigurationError(f"Collection {collection.name!r} follows no table. Attach one first.")
    return definition


def _free_buckets(collection: Collection) -> Select[int]:
    """Lock buckets that have changes and that nobody else holds, the oldest first, until they may fill a batch."""
    tables = queue_tables(collection)
    columns = tables.changes.c
    oldest = select(columns.number, columns.bucket, columns.rows).order_by(columns.number).limit(_LOOKED_AT).subquery()
    waiting = (
        select(oldest.c.bucket, func.min(oldest.c.number).label("first"), func.sum(oldest.c.rows).label("rows"))
        .group_by(oldest.c.bucket)
        .cte("waiting")
    )
    enough = literal(BUCKETS * _BATCH) / func.greatest(func.sum(waiting.c.rows), 1)
    most = select(cast(func.least(func.greatest(enough, 1), BUCKETS), Integer)).select_from(waiting).scalar_subquery()
    return (
        select(tables.buckets.c.bucket)
        .join_from(tables.buckets, waiting, waiting.c.bucket == tables.buckets.c.bucket)
        .order_by(waiting.c.first)
        .limit(most)
        .with_for_update(of=tables.buckets, skip_locked=True)
    )


def _split(connection: Connection, collection: Collection, definition: Table, number: int, *, whole: bool) -> None:
    """Replace one entry by entries of a batch each: a long one, or the one that stands for every row of the table."""
    tables = queue_tables(collection)
    columns = tables.changes.c
    if whole:
        # Others finish what they read before the table was emptied or attached. They never wait for a bucket.
        connection.execute(select(tables.buckets.c.bucket).order_by(tables.buckets.c.bucket).with_for_update()).all()
        _set_locally(connection, FIXED_SETTINGS)
        source = _visible(connection, collection, definition)
        known = select(collection.documents.c.id.label("id"))
        ids = union(known, select(_row_id(_columns(source), definition).label("id"))).subquery("every")
    else:
        ids = select(func.unnest(columns.ids).label("id")).where(columns.number == number).subquery("long")
    bucket = _bucket(ids.c.id)
    place = func.row_number().over(partition_by=bucket, order_by=ids.c.id)
    each = select(ids.c.id, bucket.label("bucket"), ((place - 1) / _BATCH).label("part")).subquery("each")
    rows = select(each.c.bucket, func.count(), func.array_agg(each.c.id)).group_by(
        each.c.bucket, cast(each.c.part, Integer)
    )
    connection.execute(insert(tables.changes).from_select(["bucket", "rows", "ids"], rows))
    connection.execute(delete(tables.changes).where(columns.number == number))


def _rows(connection: Connection, collection: Collection, definition: Table, ids: Sequence[str]) -> list[Document]:
    """Return the rows with these ids as documents. A row without text is left out, as one that is gone."""
    _set_locally(connection, FIXED_SETTINGS)
    source = _visible(connection, collection, definition)
    table = _columns(source)
    keys = [json.loads(name) for name in ids] if len(definition.key) > 1 else [[name] for name in ids]
    # The text of each key becomes a value of its type by the type's own input function.
    values = [
        cast(text_array([key[place] for key in keys]), _ArrayOf(type_)) for place, type_ in enumerate(source.key_types)
    ]
    names = [f"key{place}" for place in range(len(values))]
    wanted = func.unnest(*values).table_valued(*names, name="wanted").render_derived()
    same = and_(*[table.c[name] == wanted.c[key] for name, key in zip(definition.key, names, strict=True)])
    texts = [func.concat(table.c[name], type_=Text()) for name in definition.text]
    metadata = [func.to_jsonb(table.c[name], type_=JSONB()) for name in definition.metadata]
    rows = select(_row_id(table, definition), *texts, *metadata).join_from(wanted, table, same)
    asked = set(ids)
    made = []
    for name, *columns in connection.execute(rows).all():
        parts = [part for part in columns[: len(texts)] if part.strip()]
        # A collation may take another key for the same.
        if parts and name in asked:
            values_of = dict(zip(definition.metadata, columns[len(texts) :], strict=True))
            made.append(Document(id=name, text="\n\n".join(parts), metadata=values_of))
    return made


def _visible(connection: Connection, collection: Collection, definition: Table) -> Source:
    """Return the attached table, after a check that this role sees all its rows."""
    source = found_source(connection, collection, definition)
    check_sees_all(connection, source)
    return source


class _ArrayOf(UserDefinedType[Any]):
    """An array of a type that PostgreSQL has named (`format_type`)."""

    cache_ok = True

    def __init__(self, element: str) -> None:
        self.element = element

    def get_col_spec(self, **_: Any) -> str:
        return f"{self.element}[]"


def _columns(source: Source) -> SqlTable:
    """Return the user's table, with the columns that were named. Every name is quoted."""
    named = source.definition
    names = dict.fromkeys((*named.key, *named.text, *named.metadata))
    columns: list[Column[Any]] = [Column(quoted_name(name, quote=True)) for name in names]
    schema = quoted_name(source.schema, quote=True)
    return SqlTable(quoted_name(source.name, quote=True), MetaData(), *columns, schema=schema)


def _row_id(table: SqlTable, definition: Table) -> ColumnElement[str]:
    """Return the id of a row, as `triggers.row_id` makes it."""
    texts = [func.concat(table.c[name], type_=Text()) for name in definition.key]
    return texts[0] if len(texts) == 1 else cast(func.jsonb_build_array(*texts), Text)


def _bucket(ids: ColumnElement[str]) -> ColumnElement[int]:
    mask = literal_column(str(BUCKETS - 1), Integer)
    return cast(func.hashtext(ids, type_=Integer()).bitwise_and(mask), SmallInteger)


def _integers(values: Sequence[int]) -> BindParameter[Any]:
    return bindparam(None, list(values), type_=ARRAY(SmallInteger))


def _set_locally(connection: Connection, settings: Mapping[str, str]) -> None:
    """Set these until the transaction ends."""
    connection.execute(select(*[func.set_config(name, value, true()) for name, value in settings.items()]))


def _note_failures(connection: Connection, collection: Collection, failures: Mapping[str, EmbedPipeError]) -> None:
    """Note the errors, and when each row is tried again: twice as late each time.

    A key that is too long to be an id is left out. It would not fit an index, and no attempt could succeed.
    """
    table = queue_tables(collection).failures
    failures = {name: error for name, error in failures.items() if len(name.encode()) <= chunks.MAX_ID_BYTES}
    texts = (
        text_array(failures),
        text_array([str(error).replace("\x00", "")[:_LONGEST_ERROR] for error in failures.values()]),
    )
    rows = func.unnest(*texts).table_valued("id", "error", name="failed").render_derived()
    first = select(rows.c.id, rows.c.error, literal(1), func.now() + _FIRST_PAUSE)
    into = insert(table).from_select(["id", "error", "attempts", "retry_at"], first)
    pause = func.least(_FIRST_PAUSE * func.power(2, func.least(table.c.attempts, 20)), _LONGEST_PAUSE)
    again = {"error": into.excluded.error, "attempts": table.c.attempts + 1, "retry_at": func.now() + pause}
    connection.execute(into.on_conflict_do_update(index_elements=["id"], set_=again))
