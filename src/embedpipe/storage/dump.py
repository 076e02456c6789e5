"""A copy of the tables as a file, by PostgreSQL's own pg_dump."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from embedpipe.errors import ConfigurationError, MissingExtraError, StorageError
from embedpipe.storage._cluster import packaged_binaries, tail


def dump(url: str, path: Path, schema: str, *, lock_timeout_s: float) -> None:
    """Writes the schema and the extension to a file: SQL for psql, or where it ends in `.dump` pg_restore's format.

    The file is there once it is complete. Raises `ConfigurationError` where there is no pg_dump, `StorageError` where
    it fails: it must not be older than the server, and waits so long for tables that others have locked.
    """
    settings = conninfo_to_dict(url)
    password = settings.pop("password", None)
    partial = path.with_name(path.name + ".part")
    name = schema.replace('"', '""')
    command = [
        _pg_dump(),
        f"--dbname={make_conninfo('', **settings)}",
        f'--schema="{name}"',
        "--extension=vector",
        "--no-owner",
        f"--lock-wait-timeout={round(lock_timeout_s * 1000)}",
        f"--format={'custom' if path.suffix == '.dump' else 'plain'}",
        f"--file={partial}",
    ]
    secret = {} if password is None else {"PGPASSWORD": str(password)}  # never an argument, which others can see
    done = subprocess.run(  # noqa: S603 - no shell; nothing in it is code
        command, env={**os.environ, **secret}, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        partial.unlink(missing_ok=True)
        raise StorageError(f"pg_dump failed: {tail(done.stderr)}")
    partial.replace(path)


def _pg_dump() -> str:
    """The packaged program, which comes with the embedded server; else the one on the path."""
    try:
        packaged: str | None = shutil.which("pg_dump", path=str(packaged_binaries()))
    except MissingExtraError:
        packaged = None
    found = packaged or shutil.which("pg_dump")
    if found is None:
        raise ConfigurationError("There is no pg_dump: install embedpipe[embedded], or PostgreSQL's client programs.")
    return found
