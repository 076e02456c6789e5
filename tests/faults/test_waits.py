"""Whatever is waited for has gone, or never comes: every wait ends, with an error that says what it waited for."""

from __future__ import annotations

import fcntl
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from embedpipe import Document, SemanticSearchService
from embedpipe.embedding import Limits
from embedpipe.embedding.engine import rate_limiter as limiting
from embedpipe.errors import (
    CollectionNotFoundError,
    ConfigurationError,
    EmbeddedServerError,
    EmbeddingError,
    LockTimeoutError,
    ModelMismatchError,
    StorageError,
)
from embedpipe.metrics import Event, observing
from embedpipe.storage import Database, PgVectorStore, VectorIndex
from embedpipe.storage.embedded import server as embedded
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Chunk

OLD, NEW = FakeEmbeddingModel(8, name="old"), FakeEmbeddingModel(8, name="new")
BOUND_S = 120
"""What no wait of these tests comes near, on a busy machine either."""


def bounded(work: Callable[[], Any]) -> BaseException | None:
    """Return the error that the work ended with. Fails where it does not end."""
    told: list[BaseException | None] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - handed to the test
            told.append(error)
        else:
            told.append(None)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(BOUND_S)
    assert told, "it waits for ever"
    return told[0]


def opened(database: Database, model: FakeEmbeddingModel = OLD) -> PgVectorStore:
    service = SemanticSearchService(model, database=database)
    service.ingest([Document(id="a", text="tea")])
    return service.store


def dropped(store: PgVectorStore) -> None:
    store.drop()


def reembedded(store: PgVectorStore) -> None:
    store.reembed(lambda texts: NEW.embed(texts, "document"), model=NEW.spec)


CHANGES: dict[str, Callable[[PgVectorStore], Any]] = {
    "create_index": lambda store: store.create_index(),
    "create_index beside": lambda store: store.create_index(concurrently=True),
    "create_index watched": lambda store: store.create_index(concurrently=True, on_progress=lambda progress: None),
    "drop_index": lambda store: store.drop_index(),
    "ensure_index": lambda store: store.ensure_index(min_rows=1),
    "refresh_statistics": lambda store: store.refresh_statistics(),
    "index_metadata": lambda store: store.index_metadata("n"),
    "metadata_indexes": lambda store: store.metadata_indexes(),
    "drop_metadata_index": lambda store: store.drop_metadata_index("n"),
}
OF_CHUNKS_ALONE = {"index_metadata", "metadata_indexes", "drop_metadata_index"}


@pytest.mark.parametrize("change", CHANGES)
def test_a_collection_that_was_dropped_is_said_to_be_gone(change: str, database: Database) -> None:
    store, other = opened(database), opened(database)
    dropped(other)
    assert isinstance(bounded(lambda: CHANGES[change](store)), CollectionNotFoundError)


@pytest.mark.parametrize("change", [name for name in CHANGES if name not in OF_CHUNKS_ALONE])
def test_a_collection_that_was_embedded_anew_is_said_to_be(change: str, database: Database) -> None:
    store, other = opened(database), opened(database)
    reembedded(other)
    assert isinstance(bounded(lambda: CHANGES[change](store)), ModelMismatchError)


@pytest.mark.parametrize("change", CHANGES)
def test_a_collection_of_the_same_name_is_taken_instead(change: str, database: Database) -> None:
    store = opened(database)
    dropped(opened(database))
    opened(database)
    assert bounded(lambda: CHANGES[change](store)) is None


def test_a_store_whose_collection_was_dropped_makes_it_anew(database: Database) -> None:
    service = SemanticSearchService(OLD, database=database)
    service.ingest([Document(id="a", text="tea")])
    service.search("tea")
    PgVectorStore(database).drop()
    for _ in range(2):  # a search makes none
        with pytest.raises(CollectionNotFoundError):
            service.search("tea")
    assert database.collections() == []
    assert service.ingest([Document(id="b", text="tea")]).added == 1


@contextmanager
def holding(url: str, statement: str, table: str) -> Iterator[None]:
    """Somebody whose transaction holds a lock on the table and does not end."""
    with psycopg.connect(url) as connection:
        connection.execute(sql.SQL(statement).format(sql.Identifier("embedpipe", table)))
        yield
        connection.rollback()


WAITING: dict[str, Callable[[PgVectorStore], Any]] = {
    "count": lambda store: store.count(),
    "upsert": lambda store: store.upsert([Chunk.whole("x", id="x")], OLD.embed(["x"], "document")),
    "delete": lambda store: store.delete(["x"]),
    "drop": lambda store: store.drop(),
    **CHANGES,
    "reembed": reembedded,
}
del WAITING["metadata_indexes"], WAITING["drop_metadata_index"]  # which wait for nobody, since there is no index
NOT_WAITING = {"drop_index", "create_index watched"}


@pytest.mark.parametrize("work", [name for name in WAITING if name not in NOT_WAITING])
def test_a_lock_that_others_hold_is_waited_for_so_long(work: str, database: Database, database_url: str) -> None:
    opened(database)
    brief = Database(database_url, lock_timeout_s=0.4)
    store = PgVectorStore(brief, model=OLD.spec)
    chunks = store.collection.chunks.name
    with holding(database_url, "LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", chunks):
        error = bounded(lambda: WAITING[work](store))
    assert isinstance(error, LockTimeoutError), error
    assert "pg_stat_activity" in str(error)
    WAITING[work](store)
    brief.close()


async def test_so_it_is_on_an_event_loop(database: Database, database_url: str) -> None:
    opened(database)
    brief = Database(database_url, lock_timeout_s=0.4)
    store = PgVectorStore(brief, model=OLD.spec).to_async()
    chunks = (await store.collection()).chunks.name
    with holding(database_url, "LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", chunks):
        for wait in (store.count(), store.drop(), store.delete(["x"])):
            with pytest.raises(LockTimeoutError, match="pg_stat_activity"):
                await wait
    await brief.aclose()


def test_a_change_of_tables_is_tried_again_while_another_one_runs(database: Database, database_url: str) -> None:
    """It holds nothing while it waits, since an index that is built beside writers waits for every transaction."""
    store, told = opened(database), list[Event]()
    number = store.collection.number
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s, %s)", [0x656D6265, number])

        def release(event: Event) -> None:
            told.append(event)
            if sum(event.stage == "database.wait" for event in told) == 3:
                other.execute("SELECT pg_advisory_unlock(%s, %s)", [0x656D6265, number])

        with observing(release):
            store.create_index(VectorIndex(kind="half"))
    assert [event.error for event in told if event.stage == "database.wait"] == ["InUseError"] * 3


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), 1e9])
def test_a_wait_without_a_limit_cannot_be_asked_for(seconds: float) -> None:
    with pytest.raises(ConfigurationError, match="lock_timeout_s"):
        Database("postgresql://", lock_timeout_s=seconds)


@pytest.mark.parametrize(("name", "says"), [("start.lock", "starting or stopping"), ("users.lock", "watchdog")])
def test_a_process_that_stands_still_over_the_embedded_server(
    name: str, says: str, server_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "START_TIMEOUT_S", 0.1)
    with (server_folder / name).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        error = bounded(lambda: embedded.embedded_url(server_folder))
    assert isinstance(error, EmbeddedServerError)
    assert says in str(error)


def test_a_process_that_stands_still_over_the_shared_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limiting, "_FILE_S", 0.1)
    limiter = limiting.RateLimiter(Limits(shared=tmp_path / "limits"))
    with sqlite3.connect(tmp_path / "limits", isolation_level=None) as held:
        held.execute("BEGIN EXCLUSIVE")
        error = bounded(lambda: limiter.reserve(1))
        held.execute("ROLLBACK")
    held.close()
    assert isinstance(error, EmbeddingError)
    assert "another file" in str(error)


def test_a_dump_waits_for_tables_so_long(database: Database, database_url: str, tmp_path: Path) -> None:
    chunks = opened(database).collection.chunks.name
    brief = Database(database_url, lock_timeout_s=0.4)
    with holding(database_url, "LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", chunks):
        error = bounded(lambda: brief.dump(tmp_path / "copy.sql"))
    assert isinstance(error, StorageError)
    assert "pg_dump" in str(error)


def test_what_sqlalchemy_imports_late_is_there_before_threads_share_a_database() -> None:
    """While one thread imports SQLAlchemy's ORM, the others cannot build statements."""
    script = (
        "import sys; from embedpipe.storage import Database; Database('postgresql://');"
        "assert 'sqlalchemy.orm' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=BOUND_S)
