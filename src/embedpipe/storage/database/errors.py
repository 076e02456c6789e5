"""Translation of what SQLAlchemy and the driver raise into errors of this package."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from embedpipe.errors import (
    DatabaseFullError,
    DatabaseReadOnlyError,
    DatabaseUnavailableError,
    LockTimeoutError,
    SchemaError,
    StorageError,
)

_QUOTED_DATA = re.compile(r': ".*')


@dataclass(frozen=True, slots=True)
class _Said:
    """The message for a kind of error: what is wrong, and what to do."""

    error: type[StorageError]
    wrong: str
    remedy: str


_STOPPED = _Said(DatabaseUnavailableError, "The database was shut down", "Try again when it runs.")
_STARTING = _Said(DatabaseUnavailableError, "The database is starting, stopping or recovering", "Try again soon.")
_LOGIN = _Said(
    DatabaseUnavailableError,
    "The database refused the login",
    "Check the user and the password in the URL, and pg_hba.conf on the server.",
)
_MISSING = _Said(SchemaError, "A table, type or schema is missing", "Was it dropped while in use?")
_DISK = _Said(StorageError, "The database cannot use its files", "See the server's log: a disk may be failing.")
_REFUSED = _Said(StorageError, "The database refused the operation", "")
_UNREACHABLE = _Said(
    DatabaseUnavailableError, "The database cannot be reached", "Check that the server runs and that the URL names it."
)

_BY_STATE = {
    "25006": _Said(
        DatabaseReadOnlyError,
        "The database takes no writes",
        "Connect to the primary; look at pg_is_in_recovery() and default_transaction_read_only.",
    ),
    "25P03": _Said(StorageError, "The transaction was idle for too long", "Run it again."),
    "28": _LOGIN,
    "3D000": _Said(
        DatabaseUnavailableError, "The server has no such database", "Create it, or correct the name in the URL."
    ),
    "3F000": _MISSING,
    "40": _Said(StorageError, "The operation met another one and was undone", "Run it again."),
    "42501": _Said(
        SchemaError,
        "The database role lacks a privilege",
        "`embedpipe db migrate --sql --grant-to ROLE` prints what grants it.",
    ),
    "42704": _MISSING,
    "42P01": _MISSING,
    "53100": _Said(DatabaseFullError, "The database's disk is full", "Make room there, then run it again."),
    "53200": _Said(StorageError, "The database is out of memory", "Ask for less at once, or give the server more."),
    "53300": _Said(
        DatabaseUnavailableError,
        "The database takes no more connections",
        "Close some, raise max_connections, or put a pooler in front.",
    ),
    "53400": _Said(StorageError, "The operation met a limit of the server", "Raise it, or ask for less at once."),
    "54": _Said(StorageError, "The operation is too large for the database", "Ask for less at once."),
    "55P03": _Said(
        LockTimeoutError,
        "Others held a lock that the operation needs",
        "Look for long or idle transactions in pg_stat_activity, then run it again.",
    ),
    "57014": _Said(StorageError, "The statement was cancelled", "Ask for less at once, or raise statement_timeout_s."),
    "57P01": _STOPPED,
    "57P02": _STARTING,
    "57P03": _STARTING,
    "57P04": _Said(DatabaseUnavailableError, "The database was dropped", "Connect to another one."),
    "57P05": _Said(DatabaseUnavailableError, "The session was idle for too long", "Run it again."),
    "58": _DISK,
    "XX001": _DISK,
    "XX002": _DISK,
}
"""By SQLSTATE, or by its class where all of the class mean the same."""

_BY_WORDS = {
    "too many clients": "53300",
    "too many connections": "53300",
    "connection slots": "53300",
    "No space left on device": "53100",
    "out of memory": "53200",
    "the database system is": "57P03",
    "authentication failed": "28P01",
    "pg_hba.conf": "28000",
    "is not permitted to log in": "28000",
}
"""What a server says when it refuses a connection: libpq hands on its words and not its SQLSTATE.

A server that speaks another language is quoted as it is.
"""
_NO_ROLE = re.compile(r'role ".*" does not exist')
_NO_DATABASE = re.compile(r'database ".*" does not exist')


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn what SQLAlchemy and the driver raise into errors of this package; see `translated`."""
    try:
        yield
    except SQLAlchemyError as error:
        raise translated(error) from cause_of(error)


def translated(error: SQLAlchemyError) -> StorageError:
    """Return the error of this package for one of SQLAlchemy's, without the statement's parameters or the URL."""
    if isinstance(error, DBAPIError):
        said = _said(error)
        return said.error(f"{said.wrong}: {reason_of(error)} {said.remedy}".rstrip())
    if isinstance(error, PoolTimeoutError):
        return DatabaseUnavailableError(
            "All connections of the pool are taken, and none came free in half a minute. Ask for less at once, or see "
            "what the running statements wait for."
        )
    return StorageError(f"The database operation failed: {error}")


def cause_of(error: Exception) -> BaseException:
    """Return what the driver raised within an error of SQLAlchemy's; any other error is its own cause."""
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def _said(error: DBAPIError) -> _Said:
    connecting = error.statement is None and isinstance(error, OperationalError)
    state: str = getattr(error.orig, "sqlstate", None) or (_state_in(str(error.orig)) if connecting else "")
    lost = _UNREACHABLE if connecting or error.connection_invalidated else _REFUSED
    return _BY_STATE.get(state) or _BY_STATE.get(state[:2]) or lost


def _state_in(message: str) -> str:
    """Return the SQLSTATE of a connection that was refused, by the server's words; "" where they are others."""
    if _NO_ROLE.search(message):
        return "28000"
    if _NO_DATABASE.search(message):
        return "3D000"
    return next((state for words, state in _BY_WORDS.items() if words in message), "")


def reason_of(error: DBAPIError) -> str:
    """Return the first line of what the driver said, without data, with a full stop."""
    text = str(error.orig).strip().partition("\n")[0]
    if (getattr(error.orig, "sqlstate", None) or "").startswith("22"):  # "data exception", which quotes the data
        text = _QUOTED_DATA.sub(": (left out here)", text)
    return text if text.endswith(".") else text + "."
