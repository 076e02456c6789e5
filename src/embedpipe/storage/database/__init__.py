"""Connections: pools for threads and event loops, their sessions, locks, retries, and errors of the driver."""

from embedpipe.storage.database import locks, network
from embedpipe.storage.database.connections import Connections
from embedpipe.storage.database.errors import reason_of, translated_errors
from embedpipe.storage.database.locks import by_id
from embedpipe.storage.database.retrying import RaceError, lasting
from embedpipe.storage.database.session import run_off_loop
from embedpipe.storage.database.url import SECRET_OPTIONS

__all__ = [
    "SECRET_OPTIONS",
    "Connections",
    "RaceError",
    "by_id",
    "lasting",
    "locks",
    "network",
    "reason_of",
    "run_off_loop",
    "translated_errors",
]
