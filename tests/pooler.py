"""A real PgBouncer in transaction mode before the tests' server, over a Unix socket."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

from embedpipe.storage.embedded.cluster import SERVER_USER

PORT = 6432
POOL_SIZE = 2
"""Server sessions: fewer than the clients of a test, so that these share them."""


def installed() -> str | None:
    """The path of the program, None where it is not installed."""
    return shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")


@contextmanager
def pooled(
    url: str, folder: Path, *, roles: tuple[str, ...] = ("postgres",), pool_size: int = POOL_SIZE
) -> Iterator[str]:
    """Return the URL of the same database through the pooler, which takes these roles without a password."""
    (folder / "users.txt").write_text("".join(f'"{role}" ""\n' for role in roles))
    (folder / "pgbouncer.ini").write_text(
        f"""
[databases]
* = host={parse_qs(urlsplit(url).query)["host"][0]} port=5432
[pgbouncer]
unix_socket_dir = {folder}
listen_addr =
listen_port = {PORT}
auth_type = trust
auth_file = {folder}/users.txt
pool_mode = transaction
default_pool_size = {pool_size}
"""
    )
    command = [str(installed()), str(folder / "pgbouncer.ini")]
    if os.geteuid() == 0:  # which it refuses to run as; and the socket of the server is its user's alone
        folder.chmod(0o711)
        for file in (folder, *folder.iterdir()):
            shutil.chown(file, SERVER_USER)
        command[1:1] = ["-u", SERVER_USER]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=(log := (folder / "log").open("wb")))
    try:
        while not _listens(folder / f".s.PGSQL.{PORT}"):
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.01)
        parts = urlsplit(url)
        yield f"postgresql://{parts.netloc}{parts.path}?host={quote(str(folder), safe='/')}&port={PORT}"
    finally:
        process.terminate()
        process.wait(10)
        log.close()


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0
