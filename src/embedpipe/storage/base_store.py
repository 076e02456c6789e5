"""`BaseStore`: what the store for threads and the one for event loops share. Neither waits for a database here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import inf
from time import monotonic
from typing import Any, TypeVar

from psycopg.errors import UndefinedTable
from sqlalchemy import Connection

from embedpipe.errors import (
    CollectionNotFoundError,
    ConfigurationError,
    DatabaseFullError,
    ModelMismatchError,
    SchemaError,
    StorageError,
)
from embedpipe.metrics import Observers, Span, span
from embedpipe.storage.admin import Database, drop_collection, health
from embedpipe.storage.database import RaceError, lasting, locks
from embedpipe.storage.tables import BM25, Collection, CollectionSettings, catalogue, checked_tenant
from embedpipe.storage.types import Precision
from embedpipe.types import ModelSpec

S = TypeVar("S", bound="BaseStore")

SAMPLE_AGAIN_S = 600.0
"""How long searches wait after a sample of cosines that could not be taken or stored."""

RENEWALS = 10
"""How often an operation looks up a collection again after others dropped and recreated it."""


class BaseStore:
    """Which collection of which database, and the settings with which it is created if there is none."""

    def __init__(
        self,
        database: Database | str | None = None,
        *,
        collection: str = "default",
        model: ModelSpec | None = None,
        language: str | None = None,
        precision: Precision | None = None,
        lexical: bool | BM25 | None = None,
        tenant: str | None = None,
        history: bool | None = None,
        metrics: Observers | None = None,
    ) -> None:
        self.database = database if isinstance(database, Database) else Database(database)
        self.name = catalogue.checked_name(collection)
        self.tenant = None if tenant is None else checked_tenant(tenant)
        self.settings = CollectionSettings(
            model, language, precision, lexical, tenants=tenant is not None, history=history
        )
        self._collection: Collection | None = None
        self._samples_from = -inf
        self.metrics = metrics

    def __repr__(self) -> str:
        return f"{type(self).__name__}(collection={self.name!r})"

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_collection": None, "_samples_from": -inf}

    @property
    def is_open(self) -> bool:
        """Whether the store has found its collection, and not found it dropped since."""
        return self._collection is not None

    def _as(self, kind: type[S]) -> S:
        """Return a store of that kind for the same collection."""
        other = kind(self.database, collection=self.name, tenant=self.tenant, metrics=self.metrics)
        other.settings, other._collection = self.settings, self._collection  # noqa: SLF001 - the same collection
        return other

    def _with_settings(self: S, **changes: Any) -> S:
        """Return a store for the same collection with other `settings`. It looks the collection up anew."""
        other = type(self)(self.database, collection=self.name, tenant=self.tenant, metrics=self.metrics)
        other.settings = replace(self.settings, **changes)
        return other

    def _span(self, operation: str) -> Span:
        return span(f"store.{operation}", to=self.metrics, collection=self.name)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Remember whether a write found room on the database's disk, for `health`: nothing but a write tells."""
        try:
            yield
        except DatabaseFullError:
            self.database.full_at = monotonic()
            raise
        self.database.full_at = -inf

    def _find(self, connection: Connection) -> Collection:
        """Return the existing collection. Reading under a mistyped name neither creates one nor finds it empty."""
        if not catalogue.exists(connection, self.database.schema, self.name):
            raise CollectionNotFoundError(
                f"There is no collection {self.name!r} in schema {self.database.schema!r}. Check the name. Writing "
                "creates one, and so does create()."
            )
        return self._open(connection)

    def _open(self, connection: Connection) -> Collection:
        """Return the collection. Create it if there is none and the model is known."""
        catalogue.migrate(connection, self.database.schema)
        return catalogue.open_collection(connection, self.database.schema, self.name, self.settings)

    def _look(self, connection: Connection) -> health.Health:
        full = monotonic() - self.database.full_at < health.FULL_S
        with lasting():
            return health.check(connection, self.database.schema, self.name, self.settings, full=full)

    def _drop(self, connection: Connection) -> None:
        if self.tenant is not None:
            raise ConfigurationError(
                f"Collection {self.name!r} holds other tenants' chunks, too: a store without tenant= drops it whole, "
                "clear() removes this tenant's chunks."
            )
        catalogue.migrate(connection, self.database.schema)
        found = catalogue.find_collection(connection, self.database.schema, self.name)
        if found is None and self.settings.model is not None:
            return  # it would only be created to be dropped
        whole = replace(self.settings, tenants=None)
        found = catalogue.open_collection(connection, self.database.schema, self.name, whole)
        locks.claim(connection, found)
        if catalogue.find_collection(connection, self.database.schema, self.name) != found:
            raise RaceError(f"Collection {self.name!r} was changed while it was to be dropped. Run it again.")
        drop_collection(connection, found)

    def _renewed(self, connection: Connection, used: Collection) -> Collection:
        """Return the collection as it is now, after a table of it was not where it had been."""
        found = catalogue.find_collection(connection, self.database.schema, self.name)
        if found is None:
            self._collection = None
            raise CollectionNotFoundError(
                f"Collection {self.name!r} was dropped while this store used it. Ingest again, which creates it anew."
            )
        if found.model.fingerprint != used.model.fingerprint:
            raise ModelMismatchError(
                f"Collection {self.name!r} was embedded anew and holds vectors of {catalogue.describe(found.model)}; "
                f"this store was opened for {catalogue.describe(used.model)}. Open it with the new model."
            )
        self._collection = found
        return found


def check_outdated(error: SchemaError, left: int) -> None:
    """Raise the error again, unless a table is missing and tries are left: the collection may then be another."""
    if left == 0 or not isinstance(error.__cause__, UndefinedTable):
        raise error


def replaced(name: str) -> StorageError:
    """Return the error for a caller's transaction that the server aborted because the tables were replaced."""
    return StorageError(
        f"The tables of collection {name!r} were replaced during this transaction. Roll it back and run it again."
    )
