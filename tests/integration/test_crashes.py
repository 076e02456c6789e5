"""Whatever is killed, and whenever: nothing is half written, and a rerun ends as if nothing had happened.

Short forms; `make soak` sets EMBEDPIPE_SOAK, and they run long.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import inspect, text

import loading
from conftest import database_at
from embedpipe.errors import SchemaError, StorageError
from embedpipe.storage import Database, PgVectorStore
from embedpipe.storage.embedded.postmaster import read_postmaster
from embedpipe.storage.embedded.server import embedded_url, stop_embedded
from embedpipe.types import Chunk, Vectors

SOAK = "EMBEDPIPE_SOAK" in os.environ
KILLS = 30 if SOAK else 3
pytestmark = pytest.mark.timeout(3600 if SOAK else 300)
ALL = {str(number) for number in range(loading.DOCUMENTS)}


@pytest.fixture
def chance() -> random.Random:
    return random.Random(7)


def tables(database: Database) -> set[str]:
    return set(inspect(database.engine).get_table_names(schema=database.schema))


def was_killed(process: subprocess.Popen[str], chance: random.Random) -> bool:
    """Whether a kill at a random time came before the process had ended by itself."""
    time.sleep(chance.uniform(0, 0.8))
    process.kill()
    process.communicate()
    return process.returncode == -signal.SIGKILL


def test_a_killed_ingest_leaves_whole_documents(database: Database, database_url: str, chance: random.Random) -> None:
    loading.service(database).store.create()
    before, killed = tables(database), 0
    for version in range(1, KILLS + 1):
        killed += was_killed(loading.started(database_url, "ingest", str(version)), chance)
        loading.check_whole(database, range(version + 1))
    assert killed >= KILLS / 3
    assert loading.ended(loading.started(database_url, "ingest", str(KILLS + 1))) == 0
    assert loading.check_whole(database, range(KILLS + 2)).keys() == ALL
    last = loading.service(database).ingest(loading.documents(KILLS + 1))
    assert (last.kept, last.chunks_embedded) == (loading.DOCUMENTS, 0)
    assert tables(database) == before


def test_a_killed_change_of_model_goes_on(database: Database, database_url: str, chance: random.Random) -> None:
    loading.service(database).ingest(loading.documents(0))
    killed = 0
    for _ in range(KILLS):
        killed += was_killed(loading.started(database_url, "reembed", "new"), chance)
        is_new = PgVectorStore(database).collection.model == loading.model("new").spec
        assert loading.check_whole(database, [0], name="new" if is_new else "fake").keys() == ALL
    assert killed
    assert loading.ended(loading.started(database_url, "reembed", "new")) == 0
    assert loading.check_whole(database, [0], name="new").keys() == ALL


def test_killed_backends_cost_no_document(database: Database, chance: random.Random) -> None:
    done = threading.Event()

    def kill() -> None:
        with psycopg.connect(database._resolved_url().set(drivername="postgresql").render_as_string()) as connection:
            connection.autocommit = True
            while not done.wait(chance.uniform(0.02, 0.3)):
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                    "AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1"
                )

    loading.service(database).store.create()
    killer = threading.Thread(target=kill)
    killer.start()
    try:
        for version in range(1, KILLS + 1):
            try:
                loading.service(database).ingest(loading.documents(version))
            except StorageError:
                continue
    finally:
        done.set()
        killer.join()
    loading.check_whole(database, range(KILLS + 1))
    loading.service(database).ingest(loading.documents(KILLS))
    assert loading.check_whole(database, range(KILLS + 1)).keys() == ALL


def test_a_killed_server_recovers_to_whole_documents(server_folder: Path, chance: random.Random) -> None:
    folder = server_folder / "killed"
    try:
        for version in range(1, (10 if SOAK else 1) + 1):
            process = loading.started(embedded_url(folder), "ingest", str(version))
            time.sleep(chance.uniform(0, 1.0))
            postmaster = read_postmaster(folder / "18")
            assert postmaster is not None
            os.kill(postmaster.pid, signal.SIGKILL)
            loading.ended(process)
            database = Database(embedded_url(folder))
            loading.check_whole(database, range(version + 1))
            loading.service(database).ingest(loading.documents(version))
            assert loading.check_whole(database, range(version + 1)).keys() == ALL
            database.close()
    finally:
        stop_embedded(folder)


def test_processes_that_write_the_same_ids_end_consistent(database: Database, database_url: str) -> None:
    store = PgVectorStore(database, model=loading.model().spec)
    store.create()
    for _ in range(5 if SOAK else 1):
        writers = [loading.started(database_url, "upsert", str(number)) for number in range(8 if SOAK else 3)]
        assert [loading.ended(writer) for writer in writers] == [0] * len(writers)
        loading.check_vectors(store, store.find())
        assert [finding for finding in database.diagnose().findings if finding.wrong] == []


def fill(store: PgVectorStore, chunks: list[Chunk], vectors: Vectors) -> None:
    for start in range(0, len(chunks), 500):
        store.upsert(chunks[start : start + 500], vectors[start : start + 500])


def test_a_full_disk_is_an_error_of_ours_and_no_more(small_disk: tuple[Path, str]) -> None:
    folder, url = small_disk
    database = Database(url)
    store = loading.service(database).store
    names = [f"ballast {number}" for number in range(100_000)]
    ballast = [Chunk.whole(name, id=name) for name in names]
    vectors = loading.model().embed(names, "document")
    with pytest.raises(StorageError, match="No space left"):
        store.upsert(ballast, vectors)
    assert store.count() == 0
    with pytest.raises(StorageError, match="No space left"):
        fill(store, ballast, vectors)
    assert store.count() % 500 == 0
    with pytest.raises(StorageError, match="No space left"):
        loading.service(database).ingest(loading.documents(0))
    assert [finding for finding in database.diagnose().findings if finding.wrong] == []
    subprocess.run(["mount", "-o", "remount,size=200m", str(folder)], check=True)
    store.clear()
    loading.service(database).ingest(loading.documents(0))
    assert loading.check_whole(database, [0]).keys() == ALL
    database.close()


def test_who_may_only_read_is_told_so(database: Database, database_url: str) -> None:
    loading.service(database).ingest(loading.documents(0)[:20])
    with database.engine.begin() as connection:
        for statement in (
            "CREATE ROLE only_reads LOGIN",
            "GRANT USAGE ON SCHEMA embedpipe TO only_reads",
            "GRANT SELECT ON ALL TABLES IN SCHEMA embedpipe TO only_reads",
        ):
            connection.execute(text(statement))
    reader = Database(database_url.replace("postgres@", "only_reads@"))
    reading = loading.service(reader)
    assert len(reading.search("Document 3", 5)) == 5
    chunk = Chunk.whole("new", id="new")
    vector = loading.model().embed(["new"], "document")
    for write in (
        lambda: reading.ingest(loading.documents(1)[:30]),
        lambda: reading.store.upsert([chunk], vector),
        lambda: reading.store.delete(document_ids=["1"]),
        lambda: reading.store.reembed(lambda texts: vector, model=loading.model("new").spec),
        lambda: PgVectorStore(reader, collection="new", model=loading.model().spec).create(),
        reading.store.clear,
        reading.store.drop,
    ):
        with pytest.raises(SchemaError, match=r"privilege|owner"):
            write()
    reader.close()
    assert loading.check_whole(database, [0]).keys() == {str(number) for number in range(20)}
    with database.engine.begin() as connection:
        connection.execute(text("DROP OWNED BY only_reads"))
        connection.execute(text("DROP ROLE only_reads"))


def test_without_pgvector_nothing_is_made(server_url: str, database_url: str) -> None:
    ordinary = database_at(server_url, "bare").replace("postgres@", "embedpipe@")
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE bare OWNER embedpipe TEMPLATE template0")
    bare = Database(ordinary)
    with pytest.raises(SchemaError, match=r"(?s)pgvector is not in the database.*CREATE EXTENSION"):
        loading.service(bare).ingest(loading.documents(0))
    assert "embedpipe" not in inspect(bare.engine).get_schema_names()
    bare.close()
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("DROP DATABASE bare WITH (FORCE)")


def test_with_an_old_pgvector_nothing_is_made(database: Database, database_url: str) -> None:
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE pg_extension SET extversion = '0.7.4' WHERE extname = 'vector'"))
    fresh = Database(database_url, schema="fresh")
    with pytest.raises(SchemaError, match=r"has pgvector 0\.7\.4, and 0\.8 or newer is needed"):
        loading.service(fresh).ingest(loading.documents(0))
    assert "fresh" not in inspect(fresh.engine).get_schema_names()
    fresh.close()
