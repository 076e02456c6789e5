"""Networks that swallow, delay, reset and throttle, at any message: every call ends, and a rerun ends right.

The proxy acknowledges what it swallows, so that TCP notices nothing, and every limit is the client's own.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import Connection, text

from conftest import as_ordinary, opened_as_ordinary
from embedpipe import Document, SemanticSearchService
from embedpipe.embedding import EmbeddingGenerator, RedisCache
from embedpipe.errors import (
    ConfigurationError,
    DatabaseReadOnlyError,
    DatabaseUnavailableError,
    StorageError,
    UnknownCommitError,
)
from embedpipe.storage import AsyncPgVectorStore, Database, PgVectorStore, VectorIndex
from embedpipe.storage.database import network
from embedpipe.storage.indexes import build_resources, vector_index
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Chunk, Vectors
from pooler import installed, pooled
from proxy import Proxy, before
from soaking import scaled
from stores import Awaitable as Awaited

MODEL = FakeEmbeddingModel(16)
BOUND_S = 200
"""After which a call that has not ended hangs. None of them comes near to it on a machine that works at all."""
TIMEOUT_S = 8
OPENING = ("connect", "startup", "authentication")
PHASES = {
    "open": OPENING,
    "search": ("query", "result"),
    "upsert": ("query", "parameters", "commit", "committed"),
    "delete": ("query", "result", "commit", "committed"),
    "ingest": ("query", "parameters", "result", "commit", "committed"),
}
LOSSES = ("swallow", "freeze", "trickle")
ACTIONS = (*LOSSES, "reset", "delay", "slow")
_numbers = count()


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "GRACE_S", 0.5)


def texts(word: str) -> dict[str, str]:
    return {f"{number:02}": f"{word} {number} " * 300 for number in range(40)}


def chunks(word: str) -> list[Chunk]:
    return [Chunk.whole(each, id=name, document_id=name) for name, each in texts(word).items()]


def vectors(word: str) -> Vectors:
    return MODEL.embed(list(texts(word).values()), "document")


def short(by_document: dict[str, str]) -> dict[str, tuple[str, int]]:
    """What the texts are told apart by, in few words where a test fails."""
    return {name: (each[:6], len(each)) for name, each in by_document.items()}


def contents(store: PgVectorStore) -> dict[str, tuple[str, int]]:
    found = store.find()
    assert len({chunk.document_id for chunk in found}) == len(found)
    return short({str(chunk.document_id): chunk.text for chunk in found})


def in_bounded_time(*works: Callable[[], object]) -> None:
    """Run all of them at once, and raise what the first raises; they are left where they do not end."""
    failures: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised by the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND_S)
        assert not thread.is_alive(), "a call does not end"
    for failure in failures:
        raise failure


@dataclass(frozen=True)
class Scenario:
    """One call, and what happens to which of its messages."""

    kind: str
    operation: str
    phase: Any
    action: Any
    pooling: bool = False

    @property
    def error(self) -> type[StorageError] | None:
        """What the call must raise, None where it must succeed."""
        if self.action in ("delay", "slow"):
            return None
        if self.phase in OPENING:
            return DatabaseUnavailableError
        if self.phase in ("commit", "committed"):
            return None if self.operation == "ingest" else UnknownCommitError
        return None if self.action == "reset" else DatabaseUnavailableError

    def play(self, url: str, direct: PgVectorStore) -> None:
        """Make the call while the fault happens, look, make it again, and look again."""
        with before(url) as (proxy, through):
            database = Database(
                f"{through}?connect_timeout={TIMEOUT_S}",
                statement_timeout_s=TIMEOUT_S,
                transaction_pooling=self.pooling,
            )
            try:
                asyncio.run(self._play(proxy, database, direct))
            finally:
                database.close()

    async def _play(self, proxy: Proxy, database: Database, direct: PgVectorStore) -> None:
        service = SemanticSearchService(MODEL, database=database, collection=direct.name, chunker=None)
        store = Awaited(service.store) if self.kind == "sync" else service.async_store
        if self.operation != "open":
            await store.count()
        old, new = contents(direct), self._after()
        fault = proxy.arm(self.phase, self.action)
        raised = answer = None
        try:
            answer = await self._call(store, service)
        except StorageError as error:
            raised = error
        assert type(raised) is (self.error or type(None)), (self, raised)
        assert answer == (None if self.error else self._answer()), self
        assert fault.happened.is_set(), self
        assert contents(direct) in ((old, new) if self.error else (new,)), self
        await self._call(store, service)
        assert contents(direct) == new, self
        assert sorted(direct.vectors().ids) == sorted(chunk.id or "" for chunk in direct.find()), self
        await database.aclose()

    async def _call(self, store: Any, service: SemanticSearchService) -> Any:
        if self.operation in ("open", "search"):
            [hit] = await store.search(vectors("old")[7], k=1)
            return hit.text[:6]
        if self.operation == "upsert":
            await store.upsert(chunks("new"), vectors("new"))
            return None
        if self.operation == "delete":
            return await store.delete(document_ids=["03", "04"])
        documents = [Document(id=name, text=each) for name, each in texts("new").items()]
        report = service.ingest(documents) if self.kind == "sync" else await service.aingest(documents)
        return (report.changed, report.kept, report.chunks_embedded, report.chunks_removed)

    def _answer(self) -> Any:
        answers = {"open": "old 7 ", "search": "old 7 ", "delete": 2, "ingest": (40, 0, 40, 40)}
        return answers.get(self.operation)

    def _after(self) -> dict[str, tuple[str, int]]:
        before, after = short(texts("old")), short(texts("new"))
        if self.operation == "delete":
            return {name: each for name, each in before.items() if name not in ("03", "04")}
        return before if self.operation in ("open", "search") else after


def prepared(url: str, operation: str = "upsert") -> PgVectorStore:
    """A collection of the old texts, written as the operation would, and reached without the proxy."""
    service = SemanticSearchService(MODEL, database=url, collection=f"c{next(_numbers)}", chunker=None)
    if operation == "ingest":
        service.ingest([Document(id=name, text=each) for name, each in texts("old").items()])
    else:
        service.store.upsert(chunks("old"), vectors("old"))
    return service.store


EVERY = [(operation, phase, action) for operation, phases in PHASES.items() for phase in phases for action in ACTIONS]


def test_every_call_ends_and_a_rerun_ends_right(database_url: str, chance: random.Random) -> None:
    for _ in range(scaled(1, 5)):
        scenarios = [
            Scenario(kind, *drawn) for kind in ("sync", "async") for drawn in chance.sample(EVERY, scaled(5, 10))
        ]
        stores = [prepared(database_url, each.operation) for each in scenarios]
        in_bounded_time(
            *(partial(each.play, database_url, store) for each, store in zip(scenarios, stores, strict=True))
        )
        for store in stores:
            store.database.close()


def test_every_call_ends_before_a_pooler(database_url: str, server_folder: Path, chance: random.Random) -> None:
    if installed() is None:
        pytest.skip("pgbouncer is not installed")
    drawn = chance.sample([each for each in EVERY if each[0] == "delete"], scaled(3, 20))
    stores = [prepared(database_url) for _ in drawn]
    # A call whose answer was swallowed holds its place for a while, and must not keep the others waiting.
    with pooled(database_url, server_folder, pool_size=2 * len(drawn)) as url:
        scenarios = [Scenario("sync", *each, pooling=True) for each in drawn]
        in_bounded_time(*(partial(each.play, url, store) for each, store in zip(scenarios, stores, strict=True)))
    for store in stores:
        store.database.close()


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_lost_commit_is_said_to_be_unknown(database_url: str, kind: str) -> None:
    store = prepared(database_url)
    in_bounded_time(partial(Scenario(kind, "delete", "committed", "reset").play, database_url, store))
    store.database.close()


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_lost_commit_stores_chunks_without_ids_once(database_url: str, kind: str) -> None:
    """Whoever calls again cannot name the ids that were made."""
    direct = prepared(database_url)
    with before(database_url) as (proxy, through):
        database = Database(through)
        synchronous = PgVectorStore(database, collection=direct.name)
        store: Any = Awaited(synchronous) if kind == "sync" else synchronous.to_async()
        await store.count()
        fault = proxy.arm("committed", "reset")
        ids = await store.upsert([Chunk.whole(each) for each in texts("new").values()], vectors("new"))
        assert fault.happened.is_set()
        assert direct.count() == 80
        assert len(direct.get(ids)) == 40
        await database.aclose()
    direct.database.close()


async def test_a_rested_connection_is_tried_before_its_use(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    direct = prepared(database_url)
    with before(database_url) as (proxy, through):
        database = Database(through)
        stores: list[Any] = [
            Awaited(PgVectorStore(database, collection=direct.name)),
            AsyncPgVectorStore(database, collection=direct.name),
        ]
        for store in stores:
            await store.count()
            proxy.seen.clear()
            await store.count()
            assert proxy.seen["query"] == 1  # no more than it takes, right after another use
        monkeypatch.setattr(network, "IDLE_S", -1.0)
        for store in stores:
            proxy.seen.clear()
            await store.count()
            assert (proxy.seen["query"], proxy.seen["connect"]) == (2, 0)
            fault = proxy.arm("query", "swallow")
            assert await store.count() == 40
            assert (fault.happened.is_set(), proxy.seen["connect"]) == (True, 1)
        await database.aclose()
    direct.database.close()


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_after_a_failover_no_session_stays_read_only(
    database_url: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    direct = prepared(database_url)
    with before(database_url) as (proxy, through):
        database = Database(through)
        store: Any = AsyncPgVectorStore(database, collection=direct.name)
        if kind == "sync":
            store = Awaited(PgVectorStore(database, collection=direct.name))
        proxy.read_only = True
        assert await store.count() == 40
        for _ in range(3):
            with pytest.raises(DatabaseReadOnlyError):
                await store.delete(["none"])
        assert await store.count() == 40
        assert proxy.seen["startup"] == 2  # the first, and one to see whether a new one is read-only too
        proxy.read_only = False
        monkeypatch.setattr(network, "IDLE_S", 0.0)  # the half minute has passed
        assert await store.delete(document_ids=["03"]) == 1
        await database.aclose()
    direct.database.close()


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_url_may_name_several_servers(database_url: str, kind: str) -> None:
    direct = prepared(database_url)
    with before(database_url) as (standby, first), before(database_url) as (primary, second):
        standby.read_only = True
        place = f"127.0.0.1:{primary.port}"
        database = Database(first.replace("/test", f",{place}/test") + "?target_session_attrs=read-write")
        store: Any = AsyncPgVectorStore(database, collection=direct.name)
        if kind == "sync":
            store = Awaited(PgVectorStore(database, collection=direct.name))
        assert await store.delete(document_ids=["03"]) == 1
        assert (standby.seen["startup"], primary.seen["startup"]) == (1, 1)
        assert place in second
        await database.aclose()
    direct.database.close()


@pytest.mark.parametrize("hosts", ["127.0.0.1:x,h2", "h1,,h2", "h1:1:1,h2", ",h2"])
def test_several_servers_are_all_named_or_refused(hosts: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Database(f"postgresql://someone@{hosts}/db")


def test_the_limits_are_libpqs_and_the_url_wins(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "7")
    with before(database_url) as (_, through):
        database = Database(f"{through}?keepalives_idle=77")
        with database.engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            stated = driver.info.get_parameters()
            assert {name: stated.get(name) for name in network.parameters()} == {
                "keepalives": "1",
                "keepalives_idle": "77",
                "keepalives_interval": "10",
                "keepalives_count": "3",
                "tcp_user_timeout": "30000",
            }
            assert stated["connect_timeout"] == "7"
            with socket.socket(fileno=os.dup(driver.fileno())) as used:
                assert used.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 77
                assert used.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30000
        database.close()


def test_a_server_process_that_stands_still_is_given_up(database_url: str) -> None:
    direct = prepared(database_url)
    database = Database(database_url, statement_timeout_s=3)
    store = PgVectorStore(database, collection=direct.name)
    assert store.count() == 40
    pid = int(database.read(lambda connection: connection.execute(text("SELECT pg_backend_pid()")).scalar_one()))

    def given_up() -> None:
        with pytest.raises(DatabaseUnavailableError, match="no answer"):
            store.count()
        assert store.count() == 40

    os.kill(pid, signal.SIGSTOP)
    try:
        in_bounded_time(given_up)
    finally:
        os.kill(pid, signal.SIGCONT)
    database.close()
    direct.database.close()


@pytest.mark.parametrize("tenant", [None, "one"])
async def test_without_a_timeout_a_read_is_given_up_after_a_silence(
    database_url: str, tenant: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "SILENCE_S", 2.0)
    with opened_as_ordinary(database_url) as direct, before(as_ordinary(database_url)) as (proxy, through):
        PgVectorStore(direct, model=MODEL.spec, tenant=tenant).upsert(chunks("old"), vectors("old"))
        database = Database(through, schema=direct.schema)
        stores: list[Any] = [
            Awaited(PgVectorStore(database, tenant=tenant)),
            AsyncPgVectorStore(database, tenant=tenant),
        ]
        for store in stores:
            await store.count()
            proxy.arm("query", "swallow")
            with pytest.raises(DatabaseUnavailableError, match="no answer"):
                await store.count()
            assert await store.count() == 40
        await database.aclose()


def test_a_cancelled_task_ends_though_nothing_answers(database_url: str) -> None:
    direct = prepared(database_url)
    with before(database_url) as (proxy, through):
        database = Database(through)

        async def cancelled() -> None:
            store = AsyncPgVectorStore(database, collection=direct.name)
            await store.count()
            fault = proxy.arm("result", "swallow")
            task = asyncio.create_task(store.count())
            await asyncio.to_thread(fault.happened.wait, BOUND_S)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await store.count() == 40
            await database.aclose()

        in_bounded_time(lambda: asyncio.run(cancelled()))
    direct.database.close()


@pytest.fixture(scope="module")
def tls_server() -> Iterator[tuple[str, int]]:
    """The address of a PostgreSQL of the system's, which speaks TLS; the packaged one does not. It has no pgvector."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    openssl = shutil.which("openssl")
    if not found or openssl is None:
        pytest.skip("PostgreSQL and openssl are not installed: apt-get install postgresql openssl")
    programs = found[-1].parent
    user = "postgres" if os.geteuid() == 0 else None
    with TemporaryDirectory(prefix="embedpipe-tls-") as name, socket.socket() as probe:
        folder = Path(name)
        if user is not None:
            shutil.chown(folder, user, user)
        probe.bind(("127.0.0.1", 0))
        address = probe.getsockname()

        def run(*command: str | Path) -> None:
            done = subprocess.run(command, user=user, cwd=folder, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr

        run(
            programs / "initdb", "-D", folder / "data", "-U", "postgres", "--auth=trust", "--no-sync", "--encoding=UTF8"
        )
        key, certificate = folder / "data/server.key", folder / "data/server.crt"
        run(
            openssl,
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=localhost",
            "-keyout",
            key,
            "-out",
            certificate,
        )
        key.chmod(0o600)
        probe.close()
        options = f"-p {address[1]} -c listen_addresses=127.0.0.1 -c ssl=on -c fsync=off -k {folder}"
        run(programs / "pg_ctl", "-D", folder / "data", "-l", folder / "log", "-o", options, "-w", "start")
        try:
            yield address
        finally:
            run(programs / "pg_ctl", "-D", folder / "data", "-m", "immediate", "stop")


def test_tls_ends_in_time_at_every_step(tls_server: tuple[str, int], chance: random.Random) -> None:
    def look(connection: Connection) -> tuple[str, str]:
        found = connection.execute(
            text("SELECT ssl, current_setting('tcp_keepalives_idle') FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        )
        return tuple(found.one())

    def play(kind: str, phase: Any, action: Any) -> None:
        with Proxy(tls_server) as proxy:
            url = f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres?sslmode=require&connect_timeout=5"
            fault = proxy.arm(phase, action)
            answers: list[Any] = []
            for _ in range(2):
                database = Database(url, statement_timeout_s=5)
                try:
                    answers.append(database.read(look) if kind == "sync" else asyncio.run(aread(database)))
                except StorageError as error:
                    answers.append(type(error))
                database.close()
            assert fault.happened.is_set()
            right = (True, "30")
            assert answers == [right if action in ("delay", "slow") else DatabaseUnavailableError, right], (
                phase,
                action,
            )

    async def aread(database: Database) -> tuple[str, str]:
        try:
            return await database.aread(look)
        finally:
            await database.aclose()

    every = [(phase, action) for phase in ("tls", "handshake", "request", "reply") for action in ACTIONS]
    drawn = [(kind, *each) for kind in ("sync", "async") for each in chance.sample(every, scaled(6, len(every)))]
    in_bounded_time(*(partial(play, *each) for each in drawn))


@pytest.mark.parametrize("action", ["swallow", "freeze", "reset", "trickle"])
def test_an_ingest_goes_on_without_redis(redis_url: str, database_url: str, action: Any) -> None:
    phases = ("connect", "request", "reply")
    in_bounded_time(*(partial(_ingest_without_redis, redis_url, database_url, phase, action) for phase in phases))


def _ingest_without_redis(redis_url: str, database_url: str, phase: Any, action: Any) -> None:
    address = urlsplit(redis_url)
    documents = [Document(id=name, text=each) for name, each in texts("old").items()]
    with Proxy((str(address.hostname), address.port or 0), blindly=True) as proxy:
        cache = RedisCache(f"redis://127.0.0.1:{proxy.port}/0?socket_timeout=1&socket_connect_timeout=1")
        service = SemanticSearchService(
            EmbeddingGenerator(MODEL, cache=cache), database=database_url, collection=phase, chunker=None
        )
        service.settings = replace(service.settings, batch_documents=4, concurrency=1)
        lost = [proxy.arm(phase, action) for _ in range(3)]  # redis-py opens a connection anew
        assert service.ingest(documents).added == len(documents)
        assert lost[0].happened.is_set()
        assert proxy.seen["connect"] <= 4  # tries of one request: ten batches later it is still left alone
        service.close()


def test_an_index_build_has_no_limit(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "GRACE_S", 0.0)
    monkeypatch.setattr(network, "SILENCE_S", 0.0)
    database = Database(database_url, statement_timeout_s=30)
    store = PgVectorStore(database, model=MODEL.spec)
    store.upsert(chunks("old"), vectors("old"))
    limits: list[Any] = []
    give = build_resources.give_resources

    def watched(connection: Connection, *args: Any, **kwargs: Any) -> None:
        give(connection, *args, **kwargs)
        driver: Any = connection.connection.driver_connection
        limits.append((driver.answer_s, driver.silence_s))

    monkeypatch.setattr(vector_index, "give_resources", watched)
    for concurrently in (False, True):
        store.create_index(VectorIndex(m=8 + 8 * concurrently), concurrently=concurrently)
    assert limits == [(None, None)] * 2
    with database.engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        assert driver.answer_s == 30  # as before, for whoever has it next
    database.close()
