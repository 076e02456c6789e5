"""What the two stores share: which collection of which database they are bound to."""

from __future__ import annotations

from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection

from embedpipe.storage import catalogue
from embedpipe.storage.catalogue import CollectionSettings
from embedpipe.storage.columns import Precision
from embedpipe.storage.engine import Database
from embedpipe.storage.schema import Collection
from embedpipe.types import ModelSpec

S = TypeVar("S", bound="BoundStore")


class BoundStore:
    """Which collection of which database, and with what it is made where it is not there yet."""

    def __init__(
        self,
        database: Database | str | None = None,
        *,
        collection: str = "default",
        model: ModelSpec | None = None,
        language: str | None = None,
        precision: Precision | None = None,
    ) -> None:
        self.database = database if isinstance(database, Database) else Database(database)
        self.name = collection
        self.settings = CollectionSettings(model, language, precision)
        self._collection: Collection | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(collection={self.name!r})"

    def __reduce__(self) -> Any:
        settings = self.settings
        rebuild = partial(
            type(self),
            collection=self.name,
            model=settings.model,
            language=settings.language,
            precision=settings.precision,
        )
        return rebuild, (self.database,)

    def _rebound(self, kind: type[S]) -> S:
        other = kind(self.database, collection=self.name)
        other.settings, other._collection = self.settings, self._collection  # noqa: SLF001 - the same binding
        return other

    def _open(self, connection: Connection) -> Collection:
        catalogue.migrate(connection, self.database.schema)
        return catalogue.open_collection(connection, self.database.schema, self.name, self.settings)
