"""What an administrator does: list, set up, check, diagnose, copy and drop.

Imported from outside of `embedpipe.storage` too, by the command line and the server.
"""

from embedpipe.storage.admin import health
from embedpipe.storage.admin.collections import CollectionInfo, drop_collection, list_collections, made_at
from embedpipe.storage.admin.database import Database
from embedpipe.storage.admin.diagnosis import CollectionState, Diagnosis, diagnose
from embedpipe.storage.admin.findings import Finding
from embedpipe.storage.admin.health import Health
from embedpipe.storage.admin.pg_dump import dump
from embedpipe.storage.admin.setup import run, script, setup_statements
from embedpipe.storage.tables import migrate

__all__ = [
    "CollectionInfo",
    "CollectionState",
    "Database",
    "Diagnosis",
    "Finding",
    "Health",
    "diagnose",
    "drop_collection",
    "dump",
    "health",
    "list_collections",
    "made_at",
    "migrate",
    "run",
    "script",
    "setup_statements",
]
