"""Database URLs: reading one, and taking apart what belongs to libpq, to a pooler and to nobody's eyes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any
from urllib.parse import unquote

from psycopg.pq import Conninfo
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from embedpipe.errors import ConfigurationError
from embedpipe.storage.database import network

SECRET_OPTIONS = frozenset({"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"})
"""libpq's options that are secrets."""
_OF_THE_DRIVER = frozenset({"autocommit", "prepare_threshold"})
_NUMBERS = re.compile(r"-?\d+|\d*(,\d*)+", re.ASCII)
"""A whole number, or a port for each host, where the empty one is the usual port."""

_SCHEMES = ("postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2", "postgresql+asyncpg")
_HOSTS_OF_LIBPQ = re.compile(r"(\w[\w+]*://(?:[^/?@]*@)?)([^/?@]*[,%][^/?@]*)((?:/[^?@]*)?(?:\?.*)?)", re.DOTALL)
"""A URL with several hosts, or with percent-encoded ones, such as the folder of a socket. SQLAlchemy reads neither."""
_PLACE = re.compile(r"(\[[^]]+\]|[^:]+)(?::(\d*))?")


class Secrets(dict[str, Any]):
    """libpq's options that are secrets, by name. The repr shows the names alone."""

    def __repr__(self) -> str:
        return f"Secrets({', '.join(self)})"


@dataclass(frozen=True, slots=True)
class DatabaseURL:
    """A database URL, read: `url` without what is not libpq's or is a secret other than the password."""

    url: URL
    secrets: Secrets
    """Kept apart, since an engine's repr shows its URL."""
    transaction_pooling: bool
    """Whether the URL says `pgbouncer=true`."""


def read_url(url: str) -> DatabaseURL:
    """Read a database URL, with any scheme that people use for PostgreSQL.

    Raises:
        ConfigurationError: If it cannot be read, or is not PostgreSQL's. The message does not quote it.
    """
    parsed = _parsed(url)
    pooled = parsed.query.get("pgbouncer")
    if pooled not in (None, "true", "false"):
        raise ConfigurationError(
            "pgbouncer in the database URL is neither true nor false. Write pgbouncer=true or false."
        )
    secrets = Secrets({name: value for name, value in parsed.query.items() if name in SECRET_OPTIONS})
    password = secrets.pop("password", None)
    if password is not None:
        parsed = parsed.set(password=password if isinstance(password, str) else password[-1])
    parsed = parsed.difference_update_query(["pgbouncer", "password", *secrets])
    _check_options(parsed)
    return DatabaseURL(parsed, secrets, transaction_pooling=pooled == "true")


def _check_options(url: URL) -> None:
    """Check what libpq and the driver would refuse only when they connect, as an error of the database."""
    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    for name, value in url.query.items():
        if name not in known | _OF_THE_DRIVER:
            near = get_close_matches(name, sorted(known), n=1, cutoff=0.75)
            if near:
                raise ConfigurationError(
                    f"The database URL has an unknown option {name!r:.50}. Did you mean {near[0]}?"
                )
            raise ConfigurationError(  # it is not quoted: it may be the rest of a password with a "?" in it
                "The database URL has an option that PostgreSQL does not have. Correct it or leave it out. If the "
                "password holds a ?, write %3F."
            )
        if (name in network.PARAMETERS or name == "port") and not _NUMBERS.fullmatch(str(value)):
            raise ConfigurationError(
                f"{name}={value!r:.100} in the database URL is not a whole number. Correct it or leave it out."
            )


def _parsed(url: str) -> URL:
    if url.partition("?")[0].count("@") > 1:
        raise ConfigurationError(
            "The database URL has more than one @. Percent-encode the password: @ is %40, / is %2F, : is %3A."
        )
    cut = "\x00" in unquote(url)  # libpq would take what stands before it, and another server's address then
    url, hosts = _hosts_apart(url)
    try:
        parsed = None if cut else make_url(url).update_query_dict(hosts)
    except (ArgumentError, ValueError):
        parsed = None
    if parsed is None or _has_login(parsed.database):
        raise ConfigurationError(  # SQLAlchemy's own message may quote the URL, so it is not chained
            "The database URL cannot be read. Write it as postgresql://user:password@host:port/name, and "
            "percent-encode @, / and : in each part (%40, %2F, %3A). It must not hold the character 0 (%00)."
        )
    if parsed.drivername not in _SCHEMES:
        raise ConfigurationError(
            f"The database URL starts with {parsed.drivername}://. Use postgresql://: embedpipe stores in PostgreSQL "
            "with pgvector."
        )
    return parsed.set(drivername="postgresql+psycopg")


def _has_login(database: str | None) -> bool:
    """Return whether the name of the database is the rest of a login, whose user name has a / in it."""
    return database is not None and ":" in database.partition("@")[0] and "@" in database


def _hosts_apart(url: str) -> tuple[str, dict[str, str]]:
    """Return the URL without the hosts that only libpq can read, and the parameters that name them, decoded."""
    found = _HOSTS_OF_LIBPQ.fullmatch(url)
    if found is None:
        return url, {}
    before, named, after = found.groups()
    places = [_PLACE.fullmatch(place) for place in named.split(",")]
    if None in places:
        raise ConfigurationError(
            "The database URL cannot be read: a host is missing or its port is no number. Name them as in "
            "postgresql://user:password@host1:port,host2:port/name."
        )
    hosts = ",".join(unquote(place[1].strip("[]")) for place in places if place)
    ports = ",".join(place[2] or "" for place in places if place)
    return f"{before}{after}", {"host": hosts, "port": ports} if ports else {"host": hosts}
