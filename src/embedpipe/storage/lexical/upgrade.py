"""Another index of words, built beside the one in use, which it replaces in one transaction.

It is made as this version makes it, and with other parameters if they are given. The catalogue has them meanwhile
(`next_lexical`). Until then searches and writes use the former index. Whoever rewrites or deletes a chunk meanwhile
takes it out of the new one by a trigger, in the same transaction (`forget_words`). So what is in the new index is
always a chunk's present text, and a run that was killed is continued where it stopped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    Select,
    exists,
    func,
    select,
)
from sqlalchemy.schema import DropTable

from embedpipe._threads import check_stopped
from embedpipe.errors import CollectionNotFoundError, ConfigurationError
from embedpipe.storage.database import Connections, by_id, locks
from embedpipe.storage.lexical.index import WEIGHT_TOLERANCE, Refreshed, index_chunks, refresh_weights
from embedpipe.storage.tables import (
    BM25,
    SEGMENTATION,
    Collection,
    LexicalTables,
    check_owner,
    create_lexical_statements,
    ddl,
    find_collection,
    give_rights,
    lexical_tables,
    next_lexical,
    quoted,
    set_next_lexical,
    set_word_index,
)
from embedpipe.storage.types import TextArray

logger = logging.getLogger(__name__)

_BATCH_CHUNKS = 500
_REST = 64
"""How many chunks that others have written meanwhile the first switch may index, while everybody waits."""

_TRIGGERS = {
    "forget_words_update": (
        "AFTER UPDATE ON %(fullname)s REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows "
        "FOR EACH STATEMENT EXECUTE FUNCTION %(schema)s.forget_words(%(index)s)"
    ),
    "forget_words_delete": (
        "AFTER DELETE ON %(fullname)s REFERENCING OLD TABLE AS old_rows "
        "FOR EACH STATEMENT EXECUTE FUNCTION %(schema)s.forget_words(%(index)s)"
    ),
}


@dataclass(frozen=True, slots=True)
class UpgradeProgress:
    """How many of the chunks are in the new index of words: `done` of `total`."""

    done: int
    total: int


def upgrade(
    database: Connections,
    name: str,
    lexical: BM25 | None = None,
    on_progress: Callable[[UpgradeProgress], None] | None = None,
) -> bool:
    """Build the collection's index of words anew if it is of an earlier version or other parameters, and switch to it.

    Without `lexical`, the parameters are those of a run that has not ended, and else the present ones.

    Returns:
        False if there was nothing to do.
    """
    schema = database.schema
    wanted = database.run(_begin, schema, name, lexical)
    if wanted is None:
        return False
    logger.info("Building the index of words of collection %r anew", name)
    _index_rest(database, wanted, on_progress)
    step = Refreshed(0, after=0)
    while step.after is not None:
        step = database.run(refresh_weights, wanted, WEIGHT_TOLERANCE, step.after)
    rest = _REST
    while not database.run(_switch, wanted, rest):
        _index_rest(database, wanted, on_progress)
        rest *= 2  # so that the writers cannot outrun it for ever
    logger.info("Collection %r now uses its new index of words", name)
    return True


def _index_rest(
    database: Connections, wanted: Collection, on_progress: Callable[[UpgradeProgress], None] | None
) -> None:
    """Index the chunks that are not in the new index, once in the order of their keys."""
    done, total, last = database.run(_counts, wanted)
    after = 0
    # What others add after `last` meanwhile is left to the next pass, so that this one ends.
    while rows := database.run(_unindexed, wanted, after, last, _BATCH_CHUNKS):
        check_stopped()
        done += database.run(_fill, wanted, [row.id for row in rows])
        after = rows[-1].key
        if on_progress is not None:
            on_progress(UpgradeProgress(done, max(done, total)))  # others add chunks meanwhile


def _begin(connection: Connection, schema: str, name: str, lexical: BM25 | None) -> Collection | None:
    """Return the collection with its next index of words, which is made if it is not there. None if it needs none."""
    used = _claimed(connection, schema, name)
    if used.lexical is None:
        if lexical is None:
            return None
        raise ConfigurationError(f"Collection {name!r} was created without an index of words. Use another collection.")
    begun = next_lexical(connection, used) or used.lexical
    lexical = lexical or begun
    if used.segmentation == SEGMENTATION and lexical == used.lexical == begun:
        return None
    _check_changeable(used)
    wanted = replace(_next(used), lexical=lexical)
    former, tables = lexical_tables(used), lexical_tables(wanted)
    check_owner(connection, used.chunks, former.index, former.terms, former.deltas)
    check_owner(connection, tables.index, tables.terms, tables.deltas)  # if an earlier run has made them
    if lexical != begun:
        _abandon(connection, used, tables)
    if used.segmentation == SEGMENTATION and lexical == used.lexical:
        return None
    set_next_lexical(connection, used, lexical)
    if connection.scalar(select(func.to_regclass(quoted(connection, tables.index)))) is None:
        locks.take(connection, used.chunks, mode="SHARE ROW EXCLUSIVE")  # what a trigger takes: waits for writers
        for statement in create_lexical_statements(wanted):
            connection.execute(statement)
        _give_rights(connection, former, tables)
        for trigger, definition in _TRIGGERS.items():
            argument = f"'{tables.index.name}'"
            connection.execute(ddl(f"CREATE TRIGGER {trigger} {definition}", used.chunks, index=argument))
    return wanted


def _check_changeable(used: Collection) -> None:
    """Raise `ConfigurationError` if the collection cannot get another index of words."""
    if used.tenants:
        raise ConfigurationError(
            f"Collection {used.name!r} is of tenants, and nobody sees the chunks of all of them. It is searched as it "
            "was built. Ingest them into another collection to have an index of words of another kind."
        )
    if used.history:
        raise ConfigurationError(
            f"Collection {used.name!r} keeps history, and its superseded chunks would keep the words of the former "
            "index. Ingest into another collection with history=True to have an index of words of another kind."
        )


def _abandon(connection: Connection, used: Collection, tables: LexicalTables) -> None:
    """Remove what was built of an index with other parameters, if anything was."""
    set_next_lexical(connection, used, None)
    if connection.scalar(select(func.to_regclass(quoted(connection, tables.index)))) is not None:
        locks.take(connection, used.chunks, tables.index, tables.terms, tables.deltas, mode="ACCESS EXCLUSIVE")
        _drop(connection, used, tables)


def _drop(connection: Connection, used: Collection, tables: LexicalTables) -> None:
    """Drop an index of words, and the triggers that keep another one up to date while it is built."""
    for table in (tables.index, tables.terms, tables.deltas):
        connection.execute(DropTable(table))
    for trigger in _TRIGGERS:
        connection.execute(ddl(f"DROP TRIGGER {trigger} ON %(fullname)s", used.chunks))


def _give_rights(connection: Connection, former: LexicalTables, tables: LexicalTables) -> None:
    give_rights(connection, former.index, tables.index)
    give_rights(connection, former.terms, tables.terms)
    give_rights(connection, former.deltas, tables.deltas)


def _claimed(connection: Connection, schema: str, name: str) -> Collection:
    """Return the collection, and keep others from changing its tables until the transaction ends."""
    locks.claim(connection, _find(connection, schema, name))
    return _find(connection, schema, name)


def _find(connection: Connection, schema: str, name: str) -> Collection:
    found = find_collection(connection, schema, name)
    if found is None:
        raise CollectionNotFoundError(f"There is no collection {name!r} in schema {schema!r} to upgrade.")
    return found


def _next(used: Collection) -> Collection:
    return replace(used, segmentation=SEGMENTATION, word_index=used.word_index + 1)


def _counts(connection: Connection, wanted: Collection) -> tuple[int, int, int]:
    """Return how many chunks are in the new index, how many there are, and the last one's key."""
    locks.be_patient(connection)
    tables = (wanted.chunks, lexical_tables(wanted).index)
    chunks, indexed = [select(func.count()).select_from(table).scalar_subquery() for table in tables]
    last = select(func.coalesce(func.max(wanted.chunks.c.key), 0)).scalar_subquery()
    counted = connection.execute(select(indexed, chunks, last)).one()
    return counted[0], counted[1], counted[2]


def _lacking(wanted: Collection) -> Select[Any]:
    """Select key and id of the chunks that are not in the new index."""
    chunks, index = wanted.chunks, lexical_tables(wanted).index
    return select(chunks.c.key, chunks.c.id).where(~exists().where(index.c.key == chunks.c.key))


def _unindexed(
    connection: Connection, wanted: Collection, after: int, last: int | None, limit: int
) -> Sequence[Row[Any]]:
    """Return the next chunks that are not in the new index: at most `limit`, past `after` and up to `last`."""
    locks.lift_time_limit(connection)
    chunks = wanted.chunks
    statement = _lacking(wanted).where(chunks.c.key > after)
    if last is not None:
        statement = statement.where(chunks.c.key <= last)
    return connection.execute(statement.order_by(chunks.c.key).limit(limit)).all()


def _fill(connection: Connection, wanted: Collection, ids: Sequence[str]) -> int:
    """Index those of the chunks that are still there. Return how many that were."""
    locks.lift_time_limit(connection)
    chunks = wanted.chunks
    there = _lacking(wanted).where(chunks.c.id == func.any(TextArray(ids))).order_by(by_id(chunks.c.id))
    locked = [row.id for row in connection.execute(there.with_for_update(of=chunks))]  # as an upsert locks them
    # Another call that wants other parameters may have begun anew, in tables of the same names.
    locks.lock(connection, lexical_tables(wanted).index, mode="ROW EXCLUSIVE")
    if next_lexical(connection, wanted) != wanted.lexical:
        raise ConfigurationError(
            f"Another upgrade of collection {wanted.name!r} began with other parameters meanwhile. Wait until it has "
            "ended, then begin again."
        )
    index_chunks(connection, wanted, locked)
    return len(locked)


def _switch(connection: Connection, wanted: Collection, most: int) -> bool:
    """Have the collection use the new index, and drop the former one.

    Returns:
        False, with nothing changed, if more than `most` chunks are not in the new index.
    """
    used = _claimed(connection, wanted.schema, wanted.name)
    if used.word_index >= wanted.word_index:
        return True
    former = lexical_tables(used)
    locks.take(connection, used.chunks, former.index, former.terms, former.deltas, mode="ACCESS EXCLUSIVE")
    rest = _unindexed(connection, wanted, after=0, last=None, limit=most + 1)
    if len(rest) > most:
        return False
    for start in range(0, len(rest), _BATCH_CHUNKS):
        _fill(connection, wanted, [row.id for row in rest[start : start + _BATCH_CHUNKS]])
    _give_rights(connection, former, lexical_tables(wanted))  # also what was granted since these were made
    _drop(connection, used, former)
    set_word_index(connection, wanted)
    return True
