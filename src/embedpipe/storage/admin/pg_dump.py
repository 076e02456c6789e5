"""A copy of the tables as a file, by PostgreSQL's own pg_dump."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from psycopg.conninfo import make_conninfo
from psycopg.pq import Conninfo
from sqlalchemy import URL

from embedpipe._private import harmless_environment, private_file
from embedpipe._providers import hidden
from embedpipe.errors import ConfigurationError, MissingExtraError, StorageError
from embedpipe.storage.database import SECRET_OPTIONS
from embedpipe.storage.embedded import packaged_binaries, tail


def dump(url: URL, path: Path, schema: str, *, lock_timeout_s: float) -> None:
    """Writes the schema and the extension to a file: SQL for psql, or where it ends in `.dump` pg_restore's format.

    The file is there once it is complete. Raises `ConfigurationError` where there is no pg_dump, `StorageError` where
    it fails: it must not be older than the server, and waits so long for tables that others have locked.
    """
    partial = path.with_name(path.name + ".part")
    name = schema.replace('"', '""')
    with _connection(url) as (connection, environment):
        command = [
            _pg_dump(),
            f"--dbname={connection}",
            "--no-password",  # it would wait for someone to type one
            f'--schema="{name}"',
            "--extension=vector",
            "--no-owner",
            f"--lock-wait-timeout={round(lock_timeout_s * 1000)}",
            f"--format={'custom' if path.suffix == '.dump' else 'plain'}",
            f"--file={partial}",
        ]
        done = subprocess.run(  # noqa: S603 - no shell; nothing in it is code
            command, env=environment, capture_output=True, text=True, errors="replace", check=False
        )
    if done.returncode:
        partial.unlink(missing_ok=True)
        raise StorageError(f"pg_dump failed: {hidden(tail(done.stderr), [str(url.password or '')])}")
    partial.replace(path)


@contextmanager
def _connection(url: URL) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what pg_dump takes as an argument, and its environment, which holds what nobody else may see.

    Everybody sees a program's arguments, its environment only its user. What has no variable there stands in a file.
    """
    given = url.get_dialect()().create_connect_args(url)[1]
    settings = {name: str(value) for name, value in given.items()}
    keywords = {option.keyword.decode() for option in Conninfo.get_defaults()}  # others are the driver's own
    secrets = {name: settings.pop(name) for name in SECRET_OPTIONS & settings.keys()}
    environment: dict[str, Any] = {**harmless_environment(), **_libpq_variables()}
    if (password := secrets.pop("password", None)) is not None:
        environment["PGPASSWORD"] = password.encode()  # as the driver has it, whatever the locale
    known = {name: value for name, value in settings.items() if name in keywords}
    with TemporaryDirectory() as folder:
        if secrets:
            if "service" in known:
                raise ConfigurationError(f"Put {', '.join(secrets)} into the service file that the URL names.")
            if any(value != value.strip() or not value.isprintable() for value in secrets.values()):
                raise ConfigurationError(
                    f"pg_dump takes no {', '.join(secrets)} with white space at an end or control characters. Choose "
                    "another one."
                )
            service = Path(folder, "pg_service.conf")
            private_file(service)
            lines = ["[embedpipe]\n", *(f"{name}={value}\n" for name, value in secrets.items())]
            service.write_text("".join(lines), encoding="utf-8")
            environment["PGSERVICEFILE"] = str(service)
            known["service"] = "embedpipe"
        yield make_conninfo("", **known), environment


def _libpq_variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("PG")}


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
