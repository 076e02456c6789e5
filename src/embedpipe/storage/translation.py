"""What SQLAlchemy and the driver raise, as errors of this package."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from embedpipe.errors import DatabaseUnavailableError, SchemaError, StorageError

_QUOTED_DATA = re.compile(r': ".*')


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turns what SQLAlchemy and the driver raise into our own errors, without the statement's parameters or the URL."""
    try:
        yield
    except OperationalError as error:
        reason = _reason(error)
        if error.connection_invalidated or error.statement is None:
            raise DatabaseUnavailableError(
                f"The database cannot be reached: {reason} Check that the server runs and that the URL names it."
            ) from error.orig
        raise StorageError(f"The database refused the operation: {reason}") from error.orig
    except DBAPIError as error:
        raise _storage_error(error) from error.orig
    except PoolTimeoutError as error:
        raise DatabaseUnavailableError(
            "All connections of the pool are taken, and none came free in half a minute. Ask for less at once, or see "
            "what the running statements wait for."
        ) from error
    except SQLAlchemyError as error:
        raise StorageError(f"The database operation failed: {error}") from error


def _storage_error(error: DBAPIError) -> StorageError:
    state = getattr(error.orig, "sqlstate", None)
    reason = _reason(error)
    if state == "42501":
        return SchemaError(f"The database role lacks a privilege: {reason}")
    if state in ("42P01", "42704", "3F000"):
        return SchemaError(f"A table, type or schema is missing: {reason} Was it dropped while in use?")
    return StorageError(f"The database refused the operation: {reason}")


def _reason(error: DBAPIError) -> str:
    text = str(error.orig).strip().partition("\n")[0]
    if (getattr(error.orig, "sqlstate", None) or "").startswith("22"):  # "data exception", which quotes the data
        text = _QUOTED_DATA.sub(": (left out here)", text)
    return text if text.endswith(".") else text + "."
