"""Databases that are read and not written, or neither: health says so before a user meets it, and errors say why."""

from __future__ import annotations

import asyncio
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Connection, create_engine

from conftest import as_superuser
from embedpipe.errors import (
    DatabaseFullError,
    DatabaseReadOnlyError,
    DatabaseUnavailableError,
    EmbedPipeError,
    LockTimeoutError,
    SchemaError,
    StorageError,
)
from embedpipe.server import create_app
from embedpipe.service import SemanticSearchService
from embedpipe.storage import Database, Health
from embedpipe.storage.embedded.cluster import MAJOR_VERSION
from embedpipe.storage.embedded.server import embedded_url, stop_embedded
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Document, Kind, Vectors
from serving import serving
from soaking import scaled

DOCUMENTS = [Document(id=str(number), text=f"Tea number {number}.") for number in range(20)]


def service(url: str) -> SemanticSearchService:
    return SemanticSearchService(FakeEmbeddingModel(8), database=url)


def wrong(health: Health) -> str:
    return " ".join(finding.message for finding in health.findings if finding.wrong)


async def check_reading_alone(url: str, error: type[EmbedPipeError], said: str) -> None:
    """Searches work, writes do not, and everything that says how a database is says that."""
    found = service(url)
    for health in (found.health(), await found.ahealth()):
        assert (health.database, health.reads, health.writes, health.model_loads) == (True, True, False, True)
        assert not health.healthy
        assert said in wrong(health)
    assert len(found.search("tea")) == 5
    with pytest.raises(error):
        found.ingest([Document(id="new", text="new")])
    diagnosis = found.store.database.diagnose()
    assert any(said in finding.message for finding in diagnosis.findings)
    assert not diagnosis.healthy
    found.close()
    await found.aclose()
    with serving(create_app(FakeEmbeddingModel(8), database=url)) as address:
        await asyncio.to_thread(check_served, address)


def check_served(address: str) -> None:
    with httpx.Client(base_url=address, timeout=30) as client:
        assert client.get("/healthz").status_code == 200
        ready = client.get("/readyz")
        assert ready.status_code == 503
        assert ready.json() == {"status": "failing", "reading": "ok", "writing": "failing", "model": "ok"}
        statuses = [client.get(f"/readyz/{part}").status_code for part in ("reading", "writing", "model")]
        assert statuses == [200, 503, 200]
        assert client.post("/search", json={"query": "tea"}).status_code == 200


async def test_a_database_that_is_set_to_be_read_alone(database_url: str) -> None:
    service(database_url).ingest(DOCUMENTS)
    read_only = f"{database_url}&options=-c%20default_transaction_read_only%3Don"
    await check_reading_alone(read_only, DatabaseReadOnlyError, "default_transaction_read_only is on")
    assert service(database_url).health().healthy


async def test_a_standby(server_folder: Path) -> None:
    url = as_superuser(embedded_url(server_folder))
    try:
        before = service(url)
        before.ingest(DOCUMENTS)
        before.close()
        stop_embedded(server_folder)
        data = server_folder / str(MAJOR_VERSION)
        (data / "standby.signal").touch()
        shutil.chown(data / "standby.signal", data.stat().st_uid, data.stat().st_gid)
        assert as_superuser(embedded_url(server_folder)) == url
        await check_reading_alone(url, DatabaseReadOnlyError, "is a standby")
    finally:
        stop_embedded(server_folder)


@contextmanager
def role(url: str, *grants: str) -> Iterator[str]:
    """The URL of a role with these privileges and no others."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE partly LOGIN")
        try:
            for grant in ("USAGE ON SCHEMA embedpipe", *grants):
                connection.execute(f"GRANT {grant} TO partly".encode())
            yield url.replace("postgres@", "partly@")
        finally:
            connection.execute("DROP OWNED BY partly")
            connection.execute("DROP ROLE partly")


async def test_a_role_that_may_only_read(database_url: str) -> None:
    service(database_url).ingest(DOCUMENTS)
    with role(database_url, "SELECT ON ALL TABLES IN SCHEMA embedpipe") as url:
        await check_reading_alone(url, SchemaError, "The role lacks DELETE, INSERT, UPDATE on")


def test_one_privilege_that_lacks_is_named(database_url: str, chance: random.Random) -> None:
    """Whichever table and privilege it is, the ingest fails and health has said so before."""
    service(database_url).ingest(DOCUMENTS)
    with psycopg.connect(database_url, autocommit=True) as connection:
        rows = connection.execute("SELECT relname FROM pg_stat_user_tables WHERE relname LIKE 'c%\\_%'").fetchall()
        tables = sorted({name for (name,) in rows if name.startswith("c1_")})
        pairs = [(table, kind) for table in tables for kind in ("SELECT", "INSERT", "UPDATE", "DELETE")]
        everything = "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA embedpipe"
        for table, kind in chance.sample(pairs, scaled(4, len(pairs))):
            with role(database_url, everything) as url:
                assert service(url).health().healthy
                revoke = f"REVOKE {kind} ON embedpipe.{table} FROM partly"
                connection.execute(revoke.encode())
                health = service(url).health()
                assert (health.reads, health.writes) == (kind != "SELECT", False)
                assert f"{kind} on embedpipe.{table}" in wrong(health)


def test_a_role_that_may_not_make_a_collection(database_url: str) -> None:
    with role(database_url, "SELECT ON ALL TABLES IN SCHEMA embedpipe") as url:
        health = service(url).health()
        assert (health.exists, health.reads, health.writes) == (False, True, False)
        assert "may not create a collection" in wrong(health)
        with pytest.raises(SchemaError):
            service(url).ingest(DOCUMENTS)
    assert service(database_url).health().healthy


def test_a_role_that_may_not_even_look(database_url: str) -> None:
    service(database_url).ingest(DOCUMENTS)
    with role(database_url) as url:
        health = service(url).health()
        assert (health.database, health.reads, health.writes, health.healthy) == (True, False, False, False)
        assert "privilege" in wrong(health)


def resize(folder: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)


def test_a_full_disk_is_said_to_be_full_until_there_is_room(
    small_disk: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, url = small_disk
    found = service(url)
    found.ingest(DOCUMENTS)
    text = random.Random(7).randbytes(5_000).hex()
    large = [Document(id=f"large {number}", text=f"{number} {text}") for number in range(3000)]
    with pytest.raises(DatabaseFullError, match="disk is full"):
        found.ingest(large)
    resize(folder, "20900k")  # room for the files that PostgreSQL writes for a new connection, and not for documents
    health = found.health()
    assert (health.reads, health.writes, health.healthy) == (True, False, False)
    assert "disk is full" in wrong(health)
    assert found.search("tea")
    with serving(create_app(FakeEmbeddingModel(8), database=url)) as address:
        body = {"documents": [{"id": each.id, "text": each.text} for each in large[-500:]]}
        answer = httpx.post(f"{address}/documents", json=body, timeout=60)
        assert (answer.status_code, answer.json()["error"]["code"]) == (507, "disk_full")
        assert httpx.get(f"{address}/readyz/writing").status_code == 503
        assert httpx.get(f"{address}/readyz/reading").status_code == 200
    resize(folder, "200m")
    monkeypatch.setattr("embedpipe.storage.admin.health.FULL_S", 0.0)
    assert found.health().healthy  # after a while a write may try again
    monkeypatch.undo()
    assert not found.health().healthy
    found.ingest([Document(id="small", text="A small one.")])
    assert found.health().healthy
    found.close()


class Failing(FakeEmbeddingModel):
    """A model that fails until it is mended."""

    broken = True

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        if self.broken and texts != ["warm"]:
            raise RuntimeError("the device is gone")
        return super().embed(texts, kind)


def test_a_model_that_fails_leaves_reading_and_writing(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedpipe.server.web.health_watch._KEPT_S", 0.0)
    model = Failing(8)
    with serving(create_app(model, database=database_url)) as address, httpx.Client(base_url=address) as client:
        ready = client.get("/readyz")
        assert ready.status_code == 503
        assert ready.json() == {"status": "failing", "reading": "ok", "writing": "ok", "model": "failing"}
        assert client.get("/readyz/model").status_code == 503
        assert client.get("/healthz").status_code == 200
        model.broken = False
        assert client.get("/readyz").status_code == 200


def refused(url: str, connect: Callable[[Database], object]) -> StorageError:
    database = Database(url)
    try:
        with pytest.raises(StorageError) as caught:
            connect(database)
    finally:
        database.close()
    return caught.value


def test_what_refuses_a_connection_is_named(database_url: str) -> None:
    """Each was said to be "cannot be reached", which sends the reader to look at the network."""

    def collections(database: Database) -> object:
        return database.collections()

    with psycopg.connect(database_url, autocommit=True) as connection, ExitStack() as opened:
        connection.execute("CREATE ROLE single LOGIN CONNECTION LIMIT 0")
        opened.callback(connection.execute, "DROP ROLE single")
        none_left = refused(database_url.replace("postgres@", "single@"), collections)
        assert isinstance(none_left, DatabaseUnavailableError)
        assert str(none_left).startswith("The database takes no more connections: ")
        nobody = refused(database_url.replace("postgres@", "nobody@"), collections)
        assert str(nobody).startswith("The database refused the login: ")
        name = connection.info.dbname
        absent = refused(database_url.replace(f"/{name}?", "/absent?"), collections)
        assert str(absent).startswith("The server has no such database: ")
        for error in (none_left, nobody, absent):
            assert "cannot be reached" not in str(error)
    unreachable = refused("postgresql://me@127.0.0.1:1/none", collections)
    assert str(unreachable).startswith("The database cannot be reached: ")


@pytest.mark.parametrize(
    ("state", "error", "said"),
    [
        ("53100", DatabaseFullError, "The database's disk is full"),
        ("53200", StorageError, "The database is out of memory"),
        ("53300", DatabaseUnavailableError, "The database takes no more connections"),
        ("53400", StorageError, "The operation met a limit of the server"),
        ("25006", DatabaseReadOnlyError, "The database takes no writes"),
        ("57P01", DatabaseUnavailableError, "The database was shut down"),
        ("57P02", DatabaseUnavailableError, "The database is starting, stopping or recovering"),
        ("57P03", DatabaseUnavailableError, "The database is starting, stopping or recovering"),
        ("57014", StorageError, "The statement was cancelled"),
        ("55P03", LockTimeoutError, "Others held a lock that the operation needs"),
        ("54001", StorageError, "The operation is too large for the database"),
        ("58030", StorageError, "The database cannot use its files"),
        ("58P01", StorageError, "The database cannot use its files"),
        ("XX001", StorageError, "The database cannot use its files"),
        ("42501", SchemaError, "The database role lacks a privilege"),
        ("22000", StorageError, "The database refused the operation"),
    ],
)
def test_what_the_server_says_of_a_statement_is_passed_on(
    database: Database, state: str, error: type[StorageError], said: str
) -> None:
    """On a caller's own connection, where nothing is tried again."""
    raised = sql.SQL("DO $$ BEGIN RAISE EXCEPTION 'as it says' USING ERRCODE = {}; END $$").format(sql.Literal(state))
    statement = raised.as_string()

    with database.engine.connect() as connection, pytest.raises(StorageError) as caught:
        database.run(lambda given: given.exec_driver_sql(statement), connection=connection)
    assert type(caught.value) is error
    assert str(caught.value).startswith(f"{said}: as it says.")


def test_a_session_that_an_administrator_ends_is_not_out_of_reach(database_url: str) -> None:
    """With a session of the caller's own there is no second try, and the error is what the server said."""
    engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://"))
    database = Database(database_url)

    def end(connection: Connection) -> None:
        connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")

    with engine.connect() as connection, pytest.raises(DatabaseUnavailableError, match="The database was shut down"):
        database.read(end, connection=connection)
    engine.dispose()
