"""The running server as its data directory shows it, and the watchdog that stops it when nobody uses it any more.

This file uses the standard library alone, since the watchdog runs it in a small interpreter without site-packages.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

PORT = 5432
SOCKET_NAME = f".s.PGSQL.{PORT}"
SOCKET_DIR_PREFIX = "embedpipe-"
_STOP_TIMEOUT_S = 30.0


class Postmaster(NamedTuple):
    """The content of `postmaster.pid`. It may be stale, which `is_listening` tells."""

    pid: int
    socket_dir: Path
    ready: bool

    def is_listening(self) -> bool:
        """Return whether a server answers on the socket. Only the postmaster that wrote the file can have made it."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            try:
                client.connect(str(self.socket_dir / SOCKET_NAME))
            except (TimeoutError, BlockingIOError):
                return True  # its queue is full: busy, not dead
            except OSError:
                return False
        return True


def read_postmaster(data: Path) -> Postmaster | None:
    """Read `postmaster.pid`. Return None if there is none, or if it is not written to the end yet."""
    try:
        lines = (data / "postmaster.pid").read_text(encoding="ascii", errors="replace").splitlines()
    except FileNotFoundError:
        return None
    if len(lines) < 5 or not lines[0].strip().isdigit():
        return None
    return Postmaster(int(lines[0]), Path(lines[4]), ready=len(lines) > 7 and lines[7].strip() == "ready")


def running_postmaster(data: Path) -> Postmaster | None:
    """Return the postmaster that listens, ready or still recovering. None if there is none."""
    found = read_postmaster(data)
    return found if found is not None and found.is_listening() else None


def stop_postmaster(data: Path) -> bool:
    """Stop the server and wait for its end. Open transactions are rolled back. Return whether a server ran."""
    found = running_postmaster(data)
    if found is None:
        return False
    for order in (signal.SIGINT, signal.SIGQUIT):  # fast shutdown, then an immediate one
        with suppress(ProcessLookupError):
            os.kill(found.pid, order)
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        while time.monotonic() < deadline:
            if read_postmaster(data) is None:
                remove_socket(found.socket_dir)
                return True
            time.sleep(0.02)
    raise TimeoutError(f"the server with the process id {found.pid} does not stop")


def remove_socket(folder: Path) -> None:
    """Remove a dead server's socket with its lock file, and the folder if it was made for that socket alone."""
    for name in (SOCKET_NAME, f"{SOCKET_NAME}.lock"):
        (folder / name).unlink(missing_ok=True)
    if folder.name.startswith(SOCKET_DIR_PREFIX):
        with suppress(OSError):
            folder.rmdir()


def watch(users: Path, data: Path, keep: Path, watchdog_lock: int) -> None:
    """Wait until no process holds the lock on `users`. Then stop the server, unless `keep` exists."""
    import fcntl

    handle = os.open(users, os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX)
    if not keep.exists():
        stop_postmaster(data)
    os.close(watchdog_lock)  # before `users` is released, so that whoever comes next sees that nobody watches
    os.close(handle)


if __name__ == "__main__":
    watch(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
