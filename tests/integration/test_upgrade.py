"""A collection of an earlier version is searched as it was built, and gets its new index of words beside all else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from embedpipe.errors import SchemaError
from embedpipe.storage import AsyncPgVectorStore, Database, PgVectorStore, UpgradeProgress
from embedpipe.storage.tables import SEGMENTATION, catalogue
from embedpipe.types import Chunk, ModelSpec

SPEC = ModelSpec(name="unit-test", dimensions=2)
QUERIES = ["TCP", "tcp/ip", "part 3", "9000-12", "number 7", '"TCP/IP part" -again', "café", "cafe"]


def write(store: PgVectorStore, *numbers: int, wrote: str = "") -> None:
    chunks = [Chunk.whole(f"The TCP/IP part 9000-{n} in a café, number {n} {wrote}", id=f"{n:05}") for n in numbers]
    for start in range(0, len(chunks), 300):
        part = chunks[start : start + 300]
        store.upsert(part, np.ones((len(part), 2), np.float32))


def make_as_before(monkeypatch: pytest.MonkeyPatch, store: PgVectorStore) -> None:
    """Make the store's collection as the version before made it."""
    planned = catalogue.planned

    def as_before(*args: Any, **settings: Any) -> Any:
        return replace(planned(*args, **settings), segmentation=1)

    with monkeypatch.context() as patch:
        patch.setattr(catalogue, "planned", as_before)
        store.create()


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, database: Database) -> PgVectorStore:
    made = PgVectorStore(database, model=SPEC)
    make_as_before(monkeypatch, made)
    write(made, *range(1200))
    return made


def found(store: PgVectorStore, query: str) -> dict[str, float]:
    return {str(hit.id): hit.score for hit in store.search(text=query, mode="lexical", k=20)}


def assert_like_new(store: PgVectorStore) -> None:
    """The collection answers as one does that is made of the same chunks now."""
    chunks = store.find()
    new = PgVectorStore(store.database, collection="new", model=SPEC)
    new.upsert(chunks, np.ones((len(chunks), 2), np.float32))
    for each in (store, new):
        each.refresh_statistics(exact=True)
    for query in QUERIES:
        expected = found(new, query)
        assert expected, query
        assert found(store, query) == pytest.approx(expected, rel=1e-5), query
    new.drop()
    findings = [finding.message for finding in store.database.diagnose().findings if finding.wrong]
    assert findings == []


def tables(database: Database) -> set[str]:
    with database.engine.connect() as connection:
        names = text("SELECT tablename FROM pg_tables WHERE schemaname = 'embedpipe' AND tablename LIKE '%lexical%'")
        return set(connection.scalars(names))


def test_an_earlier_collection_is_searched_as_it_was_built(store: PgVectorStore, database: Database) -> None:
    assert store.collection.segmentation == 1
    assert found(store, "TCP") == {}
    assert len(found(store, "TCP/IP")) == 20
    write(store, 1, 2000, wrote="café")
    assert found(store, "cafe") == {}
    assert store.delete(["00001"]) == 1
    [finding] = [each for each in database.diagnose().findings if "index of words" in each.message]
    assert (finding.wrong, finding.advice) == (False, "Run `embedpipe db upgrade`.")


def test_an_upgraded_collection_is_like_a_new_one(store: PgVectorStore, database: Database) -> None:
    other = PgVectorStore(database, model=SPEC)  # in another process it would be the same
    assert len(found(other, "part")) == 20
    progress: list[UpgradeProgress] = []
    assert store.upgrade(on_progress=progress.append)
    assert [(each.done, each.total) for each in progress] == [(500, 1200), (1000, 1200), (1200, 1200)]
    assert store.collection.segmentation == SEGMENTATION
    assert len(found(other, "TCP")) == 20
    write(other, 1, wrote="again")
    assert_like_new(store)
    assert not store.upgrade()
    assert len(tables(database)) == 3
    with database.engine.connect() as connection:
        triggers = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'forget%'"
        assert connection.scalar(text(triggers)) == 0


def test_what_is_written_meanwhile_is_in_the_new_index(store: PgVectorStore, database: Database) -> None:
    other = PgVectorStore(database, model=SPEC)

    def interfere(progress: UpgradeProgress) -> None:
        if progress.done == 500:
            write(other, 3, 700, 3000, wrote="again, and longer than it was, of TCP")
            other.delete(["00004", "00701"])
            assert found(other, "TCP").keys() == {"00003", "00700", "03000"}  # as it was built

    assert store.upgrade(on_progress=interfere)
    assert store.count() == 1199
    assert_like_new(store)


def test_many_chunks_that_are_written_meanwhile_are_indexed_before_the_switch(store: PgVectorStore) -> None:
    other = PgVectorStore(store.database, model=SPEC)

    def interfere(progress: UpgradeProgress) -> None:
        if progress.done == 1200:
            write(other, *range(200), wrote="again")

    assert store.upgrade(on_progress=interfere)
    assert_like_new(store)


def test_writers_that_always_write_more_than_a_switch_indexes_do_not_keep_it_off(
    store: PgVectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrading = sys.modules["embedpipe.storage.lexical.upgrade"]  # the package has a function of that name
    monkeypatch.setattr(upgrading, "_BATCH_CHUNKS", 200)
    monkeypatch.setattr(upgrading, "_REST", 1000)
    other, reports = PgVectorStore(store.database, model=SPEC), 0

    def outrun(progress: UpgradeProgress) -> None:
        nonlocal reports
        reports += 1
        assert reports < 40
        new = 2000 + 200 * reports  # as many as a batch
        write(other, *range(10), *range(new, new + 200), wrote=f"after {reports}")

    assert store.upgrade(on_progress=outrun)
    assert_like_new(store)


def test_the_new_index_has_the_owner_and_the_rights_of_the_former(
    store: PgVectorStore, database: Database, database_url: str
) -> None:
    def execute(statement: str) -> None:
        with database.engine.begin() as connection:
            connection.execute(text(statement))

    execute("CREATE ROLE owner LOGIN; CREATE ROLE stranger LOGIN; CREATE ROLE reader LOGIN")
    execute("GRANT ALL ON SCHEMA embedpipe TO owner, stranger")
    execute("GRANT ALL ON ALL TABLES IN SCHEMA embedpipe TO stranger")
    for name in tables(database):
        execute(f"ALTER TABLE embedpipe.{name} OWNER TO owner")
    other = Database(database_url.replace("postgres@", "stranger@"))
    with pytest.raises(SchemaError, match=r"Only its owner 'postgres' may replace table embedpipe\.c1_chunks"):
        PgVectorStore(other).upgrade()
    other.close()

    def grant(progress: UpgradeProgress) -> None:
        if progress.done == 500:
            execute("GRANT SELECT ON embedpipe.c1_lexical TO reader")

    assert store.upgrade(on_progress=grant)
    with database.engine.connect() as connection:
        rows = text("SELECT tablename, tableowner FROM pg_tables WHERE tablename LIKE 'c1_lexical%' ORDER BY 1")
        owned = [tuple(row) for row in connection.execute(rows)]
        granted = "SELECT has_table_privilege(:role, 'embedpipe.c1_lexical_2', 'SELECT')"
        reads = [connection.scalar(text(granted), {"role": role}) for role in ("reader", "stranger")]
    names = ("c1_lexical_2", "c1_lexical_2_deltas", "c1_lexical_2_terms")
    assert owned == [(name, "owner") for name in names]
    assert reads == [True, True]
    execute("DROP OWNED BY owner, stranger, reader CASCADE; DROP ROLE owner, stranger, reader")


def test_a_run_that_fails_changes_nothing_and_the_next_goes_on(store: PgVectorStore, database: Database) -> None:
    before = {query: found(store, query) for query in QUERIES}

    def fail(progress: UpgradeProgress) -> None:
        if progress.done == 1000:
            raise ConnectionError

    with pytest.raises(ConnectionError):
        store.upgrade(on_progress=fail)
    opened = PgVectorStore(database)
    assert opened.collection.segmentation == 1
    assert {query: found(opened, query) for query in QUERIES} == before
    write(opened, 5, wrote="again")
    opened.delete(["00006"])
    progress: list[UpgradeProgress] = []
    assert opened.upgrade(on_progress=progress.append)
    assert [each.done for each in progress] == [1199]
    assert_like_new(store)


KILLED = """
import os, signal, sys
from embedpipe.storage import PgVectorStore

def kill(progress):
    if progress.done == 1000:
        os.kill(os.getpid(), signal.SIGKILL)

PgVectorStore(sys.argv[1]).upgrade(on_progress=kill)
"""


def test_a_run_that_is_killed_is_continued(store: PgVectorStore, database_url: str) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, database_url], check=False, env=os.environ)
    assert ended.returncode == -signal.SIGKILL
    assert found(store, "TCP") == {}
    progress: list[UpgradeProgress] = []
    assert store.upgrade(on_progress=progress.append)
    assert [each.done for each in progress] == [1200]
    assert_like_new(store)


def test_a_collection_is_dropped_with_the_index_that_is_being_built(store: PgVectorStore, database: Database) -> None:
    def fail(progress: UpgradeProgress) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        store.upgrade(on_progress=fail)
    assert len(tables(database)) == 6
    store.drop()
    assert tables(database) == set()


async def test_event_loops_upgrade_too(store: PgVectorStore) -> None:
    on_loop = store.to_async()
    assert isinstance(on_loop, AsyncPgVectorStore)
    assert await on_loop.upgrade()
    assert (await on_loop.search(text="TCP", mode="lexical", k=1))[0].text.startswith("The TCP/IP")
    assert not await on_loop.upgrade()


def test_a_collection_without_words_needs_no_upgrade(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    store = PgVectorStore(database, model=SPEC, lexical=False)
    make_as_before(monkeypatch, store)
    write(store, 1)
    assert not store.upgrade()


def test_words_of_a_newer_version_are_refused_by_name(database: Database) -> None:
    write(PgVectorStore(database, model=SPEC), 1)
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE embedpipe.collections SET segmentation = 3"))
    with pytest.raises(
        SchemaError, match=r"index of words of collection 'default'.*newer embedpipe.*Upgrade embedpipe"
    ):
        PgVectorStore(database).count()
