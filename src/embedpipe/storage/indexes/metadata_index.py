"""B-trees on metadata keys, for ranges. They are built on the expressions that filters compare."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Index, MetaData, and_, delete, insert, select
from sqlalchemy.schema import CreateIndex, DropIndex

from embedpipe._checks import check_fields
from embedpipe.errors import ConfigurationError
from embedpipe.storage.database import locks
from embedpipe.storage.filters import Field, MetadataKey, ValueType
from embedpipe.storage.tables import Catalogue, Collection
from embedpipe.storage.types import from_record


@dataclass(frozen=True, slots=True)
class MetadataIndex:
    """An index on a metadata key, or on the path to a nested one, over the values of one type."""

    path: tuple[str, ...]
    type: ValueType = "number"

    def __post_init__(self) -> None:
        Field(*self.path)  # which raises for what cannot be a key
        check_fields(self)


def create(connection: Connection, collection: Collection, index: MetadataIndex) -> None:
    """Build the index, unless it is there. The planner has statistics of the key only after `vector_index.analyze`.

    Raises:
        ConfigurationError: If the collection is of tenants.
    """
    if collection.tenants:
        raise ConfigurationError(
            f"Collection {collection.name!r} is of tenants. Row security keeps ranges over metadata from indexes, so "
            "a search reads the tenant's own chunks. Leave the index out."
        )
    locks.claim(connection, collection)
    numbers = _numbers(connection, collection)
    if index in numbers:
        return
    number = max(numbers.values(), default=0) + 1
    table = Catalogue(collection.schema).metadata_indexes
    values = {"collection": collection.number, "number": number, "path": list(index.path), "type": index.type}
    locks.be_patient(connection)
    connection.execute(CreateIndex(_definition(collection, index, number)))
    connection.execute(insert(table).values(values))


def list_indexes(connection: Connection, collection: Collection) -> list[MetadataIndex]:
    """Return the indexes on metadata keys, in the order they were made."""
    return list(_numbers(connection, collection))


def drop(connection: Connection, collection: Collection, index: MetadataIndex) -> bool:
    """Drop the index. Return whether it was there."""
    locks.claim(connection, collection)
    number = _numbers(connection, collection).get(index)
    if number is None:
        return False
    locks.be_brief(connection)
    connection.execute(DropIndex(_definition(collection, index, number), if_exists=True))
    table = Catalogue(collection.schema).metadata_indexes
    here = and_(table.c.collection == collection.number, table.c.number == number)
    connection.execute(delete(table).where(here))
    return True


def _numbers(connection: Connection, collection: Collection) -> dict[MetadataIndex, int]:
    """Return the number of each index, by which the catalogue and its name in PostgreSQL know it."""
    locks.check_there(connection, collection.chunks)
    table = Catalogue(collection.schema).metadata_indexes
    rows = select(table.c.number, table.c.path, table.c.type).where(table.c.collection == collection.number)
    found = connection.execute(rows.order_by(table.c.number))
    what = f"An index on metadata of collection {collection.name!r}"
    return {
        from_record(MetadataIndex, {"path": tuple(row.path), "type": row.type}, what=what): row.number for row in found
    }


def _definition(collection: Collection, index: MetadataIndex, number: int) -> Index:
    chunks = collection.chunks.to_metadata(MetaData())
    key = MetadataKey(chunks.c.metadata, index.path)
    name = f"c{collection.number}_chunks_field_{number}"
    return Index(name, key.sort_key(index.type), postgresql_where=key.is_a(index.type))
