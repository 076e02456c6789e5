"""Values that only the database refuses. Whose they are is found by writing again, by halves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, TypeVarTuple

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from embedpipe.errors import EmbedPipeError, InputError, StorageError
from embedpipe.storage.database import reason_of

T = TypeVar("T")
R = TypeVar("R")
Ts = TypeVarTuple("Ts")

# SQLSTATE: a value that its type cannot hold, a constraint, a view's condition, a limit of the server's, a trigger.
_CLASSES = ("22", "23", "44", "54", "P0")
_TOO_LONG = "54000"
_OVERSIZED = "invalid memory alloc request size"  # an internal error by its SQLSTATE, for a value past a gigabyte


@dataclass(frozen=True, slots=True)
class Refused(Generic[T]):
    """An item that cannot be written, and why."""

    item: T
    error: InputError


def is_refusal(error: Exception) -> bool:
    """Return whether a value was refused, which another value would not be; nothing is wrong with the database."""
    if isinstance(error, InputError):
        return True
    cause = _cause(error)
    state = getattr(cause, "sqlstate", None)
    if state is None:
        return isinstance(cause, psycopg.DataError)
    return state.startswith(_CLASSES) or _OVERSIZED in str(cause)


def by_halves(
    connection: Connection, items: Sequence[T], write: Callable[[Connection, Sequence[T], *Ts], R], *args: *Ts
) -> Iterator[R | Refused[T]]:
    """Write items by `write(connection, items, *args)`; where one is refused, write by halves until it is found.

    Runs in savepoints of the present transaction, so that what is refused leaves nothing behind.

    Yields:
        What `write` returned for each part that was written, and each item that was refused, in the order of the items.
    """
    try:
        with connection.begin_nested():
            written = write(connection, items, *args)
    except (DBAPIError, InputError) as error:
        if not is_refusal(error):
            raise
        if len(items) == 1:
            yield Refused(items[0], explained(error))
            return
    else:
        yield written
        return
    middle = len(items) // 2
    yield from by_halves(connection, items[:middle], write, *args)
    yield from by_halves(connection, items[middle:], write, *args)


def explained(error: DBAPIError | InputError) -> InputError:
    """Return the error for whoever gave the value, with what to do. Whose it was stands before it in a message."""
    if isinstance(error, InputError):
        return error
    made = InputError(f"the database refuses it: {reason_of(error)} {_advice(error)}")
    made.__cause__ = error.orig
    return made


def about(what: str, error: InputError) -> InputError:
    """Return the error with whose value it was."""
    told = InputError(f"{what}: {error}")
    told.__cause__ = error.__cause__
    return told


def _advice(error: DBAPIError) -> str:
    if getattr(error.orig, "sqlstate", None) != _TOO_LONG:
        return "Change it or leave it out."
    index = getattr(getattr(error.orig, "diag", None), "constraint_name", None)
    which = f"the index {index}" if index else "an index, if one refuses it"
    return f"Shorten the value, or drop {which}."


def _cause(error: Exception) -> BaseException | None:
    """Return what the driver raised, within what SQLAlchemy raised or we did."""
    if isinstance(error, DBAPIError):
        return error.orig
    return error.__cause__ if isinstance(error, StorageError | EmbedPipeError) else None
