"""A copy of the tables as a file, made by PostgreSQL's own pg_dump."""

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
    """Write the schema and the extension to a file. It appears once it is complete.

    Args:
        url: URL of the database.
        path: The file: SQL for psql, or pg_restore's format if the name ends in `.dump`.
        schema: Name of the schema to copy.
        lock_timeout_s: How long to wait for tables that others have locked, in seconds.

    Raises:
        ConfigurationError: If there is no pg_dump, or if it cannot be given a secret of the URL.
        StorageError: If pg_dump fails. It must not be older than the server.
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
    """Yield the connection string for pg_dump's arguments, and its environment, which holds the secrets.

    Every user of the machine can see a program's arguments. Its environment can be seen only by its own user. A secret
    that libpq reads from no variable is written to a private file.
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
                raise ConfigurationError(
                    f"The URL names a service file and has {', '.join(secrets)}, too. Put these into the service file."
                )
            if any(value != value.strip() or not value.isprintable() for value in secrets.values()):
                raise ConfigurationError(
                    f"pg_dump cannot be given {', '.join(secrets)} with control characters, or white space at an end. "
                    "Choose another secret."
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
    """Return the program that comes with the embedded server, else the one on the path."""
    try:
        packaged: str | None = shutil.which("pg_dump", path=str(packaged_binaries()))
    except MissingExtraError:
        packaged = None
    found = packaged or shutil.which("pg_dump")
    if found is None:
        raise ConfigurationError(
            "pg_dump is not installed. Install embedpipe[embedded], or PostgreSQL's client programs."
        )
    return found
