"""An embedded PostgreSQL with pgvector: started on demand, shared between processes, stopped when the last one leaves.

Each process that uses the server holds a shared lock on one file. The watchdog, a small process of its own, waits for
the exclusive lock on that file. The system grants it when the last user is gone, however that ended. The watchdog then
stops the server.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from embedpipe._private import harmless_environment
from embedpipe.errors import EmbeddedServerError
from embedpipe.storage.embedded import postmaster as _postmaster
from embedpipe.storage.embedded.cluster import MAJOR_VERSION, START_TIMEOUT_S, Cluster
from embedpipe.storage.embedded.postmaster import Postmaster, running_postmaster, stop_postmaster
from embedpipe.storage.embedded.role import ROLE, ensure_role

logger = logging.getLogger(__name__)

_USERS, _START, _WATCHDOG, _KEEP = "users.lock", "start.lock", "watchdog.lock", "keep"

_joined: dict[Path, int] = {}
"""The descriptor of each folder's `users.lock`, locked for as long as it is open. A forked child shares it."""

_passing: set[int] = set()
"""Descriptors whose locks are held briefly. A forked child closes its copies, or it would hold the locks for ever."""


def embedded_folder() -> Path:
    """Return the folder of the embedded server: `postgresql` in EMBEDPIPE_HOME, else in the user's data folder."""
    from platformdirs import user_data_dir

    return Path(os.environ.get("EMBEDPIPE_HOME") or user_data_dir("embedpipe")) / "postgresql"


def embedded_url(folder: Path | None = None) -> str:
    """Return the URL of the embedded server, over a Unix socket. Make and start the server if need be.

    It is stopped when the last process that asked for its URL has ended. Only the folder's owner can connect. The URL's
    role `embedpipe` owns the database and is no superuser. The superuser is `postgres`, over the same socket. Under
    root, the server runs as the system user `pgserver`, and the folders above its own are made passable (`o+x`) for it.

    Args:
        folder: The server's folder. None means `embedded_folder()`.

    Returns:
        A `postgresql://` URL.

    Raises:
        MissingExtraError: If the extra `embedded` is not installed.
        EmbeddedServerError: If the server cannot be made or started.
    """
    with _entered(folder) as home:
        _join(home)
        found = _running(home) or Cluster.at(_data(home)).start()
        ensure_role(_data(home), found.socket_dir, _postmaster.PORT)
        _ensure_watchdog(home)
    return f"postgresql://{ROLE}@/postgres?host={quote(str(found.socket_dir), safe='/')}&port={_postmaster.PORT}"


def start_embedded(folder: Path | None = None) -> str:
    """Start the embedded server, to run until `stop_embedded`. Return its URL, as `embedded_url` does."""
    with _entered(folder) as home:
        (home / _KEEP).touch()
    return embedded_url(folder)


def stop_embedded(folder: Path | None = None) -> bool:
    """Stop the embedded server, even while others use it. The next `embedded_url` starts it again.

    Returns:
        True if it ran.
    """
    if not _data(_resolved(folder)).exists():
        return False
    with _entered(folder) as home:
        (home / _KEEP).unlink(missing_ok=True)
        return stop_postmaster(_data(home))


def _resolved(folder: Path | None) -> Path:
    return (embedded_folder() if folder is None else Path(folder)).expanduser().resolve()


def _data(home: Path) -> Path:
    return home / str(MAJOR_VERSION)


@contextmanager
def _entered(folder: Path | None) -> Iterator[Path]:
    """Yield the folder, made if it is missing, while nobody else can start or stop its server."""
    if os.name != "posix":
        raise EmbeddedServerError("The embedded PostgreSQL needs Unix sockets. Pass the postgresql:// URL of a server.")
    import fcntl

    home = _resolved(folder)
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700 if os.geteuid() else 0o711)
        with _opened(home / _START) as handle:
            _lock(handle, fcntl.LOCK_EX, "another process has been starting or stopping it")
            try:
                yield home
            finally:
                fcntl.flock(handle, fcntl.LOCK_UN)  # a child forked meanwhile may have the descriptor too
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EmbeddedServerError(
            f"The embedded PostgreSQL in {home} cannot be used: {error}. The folder must belong to this user and be "
            "writable. Name another one in EMBEDPIPE_HOME, or pass the postgresql:// URL of your own server."
        ) from error


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    handle = _open(path)
    _passing.add(handle)
    try:
        yield handle
    finally:
        _passing.discard(handle)
        os.close(handle)


def _leave_passing() -> None:
    while _passing:
        os.close(_passing.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_passing)


def _lock(handle: int, mode: int, what: str) -> None:
    """Lock a file in that mode. If others hold it for too long, raise a `TimeoutError` with the text `what`."""
    import fcntl

    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            fcntl.flock(handle, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what} for more than {START_TIMEOUT_S:.0f} s") from None
            time.sleep(0.02)
        else:
            return


def _join(home: Path) -> None:
    """Hold the users' file until this process ends. Wait while the watchdog is stopping the server."""
    import fcntl

    users = home / _USERS
    held = _joined.get(home)
    if held is not None and _is_open_on(held, users):
        return
    handle = _open(users)
    _lock(handle, fcntl.LOCK_SH, "its watchdog has been stopping it")
    _joined[home] = handle


def _is_open_on(handle: int, path: Path) -> bool:
    """Return whether a descriptor is still open on that file.

    It is not if the process has closed it, as daemons do, or if the folder was removed and made again.
    """
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False


def _running(home: Path) -> Postmaster | None:
    """Return the server once it is ready, also if it first recovers from a crash. None if none runs."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while (found := running_postmaster(_data(home))) is not None and not found.ready:
        if time.monotonic() > deadline:
            raise TimeoutError(f"it has been starting for more than {START_TIMEOUT_S:.0f} s")
        time.sleep(0.02)
    return found


def _ensure_watchdog(home: Path) -> None:
    """Start the watchdog unless one runs, which its lock tells: it holds that for as long as it lives."""
    import fcntl

    with _opened(home / _WATCHDOG) as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        script = [sys.executable or "python3", "-I", "-S", _postmaster.__file__]
        subprocess.run(  # noqa: S603 - no shell code from outside: paths travel as arguments
            ["/bin/sh", "-c", '"$@" &', "sh", *script, home / _USERS, _data(home), home / _KEEP, str(handle)],
            pass_fds=[handle],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=harmless_environment(),
            cwd="/",
            start_new_session=True,
            check=True,
            timeout=START_TIMEOUT_S,
        )
