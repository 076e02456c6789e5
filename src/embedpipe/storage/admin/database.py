"""`Database`: connections to one database, and the questions of those who look after it."""

from __future__ import annotations

from pathlib import Path

from embedpipe.storage.admin.collections import CollectionInfo, list_collections
from embedpipe.storage.admin.diagnosis import Diagnosis, diagnose
from embedpipe.storage.admin.pg_dump import dump
from embedpipe.storage.database import Connections
from embedpipe.storage.embedded import SUPERUSER


class Database(Connections):
    """One PostgreSQL database, with a pool of connections for threads and one for each event loop.

    libpq's parameters for the network have defaults, which the URL may change; an engine that is given has its own.
    The URL appears in no repr, message or pickle.

    Args:
        url: Any `postgresql://` URL. None means the environment's `EMBEDPIPE_DATABASE_URL`, else the embedded server,
            which is started when the first connection is made. An engine of `postgresql+psycopg://` does as well: an
            `Engine` for threads, an `AsyncEngine` for its event loop. Nothing is left in its sessions, and it is not
            closed.
        schema: The schema of the tables.
        ef_search: How many candidates an index search looks at, 1 to 1000. More is slower and finds more.
        statement_timeout_s: End statements that take longer, but for building indexes. A server that does not do so in
            time is given up. Without it a read is given up after a minute without a word.
        lock_timeout_s: How long an operation waits for what others have locked.
        application_name: What `pg_stat_activity` calls the connections.
        transaction_pooling: The URL is a pooler's that shares sessions by transaction (PgBouncer, Supavisor), as
            `?pgbouncer=true` in the URL says. Nothing is then left in a session, at the price of a round trip.

    Raises:
        ConfigurationError: If the URL cannot be read or an argument is out of its range.
    """

    def collections(self) -> list[CollectionInfo]:
        """Return every collection of the schema with its model and size, in the order of the names."""
        return self.read(list_collections, self.schema)

    async def acollections(self) -> list[CollectionInfo]:
        """Do as `collections`, on the running event loop."""
        return await self.aread(list_collections, self.schema)

    def dump(self, path: Path) -> None:
        """Write a copy of the schema to a file: SQL, or what pg_restore reads where its name ends in `.dump`.

        Raises:
            ConfigurationError: If there is no pg_dump.
            StorageError: If pg_dump fails.
        """
        url = self._resolved_url().update_query_dict(self._limits())
        if self._embedded:
            url = url.set(username=SUPERUSER)  # as pg_dump refuses to leave out what row security hides from a role
        dump(url.update_query_dict(self._secrets), path, self.schema, lock_timeout_s=self._settings.lock_timeout_s)

    def diagnose(self) -> Diagnosis:
        """Report what the schema holds, whether it is whole, and whether indexes serve its searches. Change nothing."""
        return self.read(diagnose, self.schema)

    async def adiagnose(self) -> Diagnosis:
        """Do as `diagnose`, on the running event loop."""
        return await self.aread(diagnose, self.schema)
