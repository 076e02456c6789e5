"""The tables: a catalogue of collections, and for each collection documents, chunks and vectors.

collections, vector_sets, migrations      one row a collection, a model of a collection, a migration
metadata_indexes                          one row an index on a metadata key
c<n>_documents                            id, text, hash, metadata, the order of its keys
c<n>_chunks                               key, id, document, text, offsets, metadata, a framework's payload, header,
                                          the order of both objects' keys
c<n>_vectors_<m>                          key, embedding: narrow, since a wide row would keep the planner from the index
c<n>_idle_vectors_<m>                     the same of a model that is not, or no longer, the collection's own

A change of model renames both tables: whoever still goes by the old model finds no table, never the wrong vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    func,
    literal_column,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, REGCONFIG
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql.base import Executable

from embedpipe.errors import ConfigurationError
from embedpipe.storage.tables.once import once_property
from embedpipe.storage.tables.tenancy import security, tenant_columns
from embedpipe.storage.tables.vector_index import VectorIndex
from embedpipe.storage.types import Precision, vector_column
from embedpipe.types import ModelSpec

_STORAGE_PLAIN: Any = DDL("ALTER TABLE %(fullname)s ALTER COLUMN embedding SET STORAGE PLAIN")  # type: ignore[no-untyped-call]  # SQLAlchemy leaves DDL untyped

PAGE_BYTES = 8100
"""What a row may take to stay in one 8 KB page."""


@dataclass(frozen=True)
class Catalogue:
    """The tables that every collection shares, in one database schema."""

    schema: str

    @once_property
    def tables(self) -> MetaData:
        return MetaData(schema=self.schema)

    @once_property
    def collections(self) -> Table:
        return Table(
            "collections",
            self.tables,
            Column("number", Integer, primary_key=True),
            Column("name", Text),
            Column("language", REGCONFIG),
            Column("lexical", JSONB(none_as_null=True)),
            Column("tenants", Boolean),
            Column("created_at", DateTime(timezone=True)),
        )

    @once_property
    def vector_sets(self) -> Table:
        return Table(
            "vector_sets",
            self.tables,
            Column("collection", Integer, primary_key=True),
            Column("number", Integer, primary_key=True),
            Column("fingerprint", Text),
            Column("model", JSONB),
            Column("dimensions", Integer),
            Column("precision", Text),
            Column("index", JSONB),
            Column("active", Boolean),
        )

    @once_property
    def metadata_indexes(self) -> Table:
        return Table(
            "metadata_indexes",
            self.tables,
            Column("collection", Integer, primary_key=True),
            Column("number", Integer, primary_key=True),
            Column("path", ARRAY(Text)),
            Column("type", Text),
        )

    @once_property
    def migrations(self) -> Table:
        return Table(
            "migrations",
            self.tables,
            Column("number", Integer, primary_key=True, autoincrement=False),
            Column("applied_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BM25:
    """How words are weighed (Robertson and Zaragoza 2009): what a repeated word adds grows with `k1`, and what a long
    chunk is marked down grows with `b`, from 0 to 1.
    """

    k1: float = 1.2
    b: float = 0.75

    def __post_init__(self) -> None:
        if not 0 < self.k1 <= 10 or not 0 <= self.b <= 1:
            raise ConfigurationError(f"BM25 expected 0 < k1 <= 10 and 0 <= b <= 1, got {self.k1} and {self.b}.")


@dataclass(frozen=True)
class Collection:
    """One collection as the catalogue records it, and its tables."""

    schema: str
    number: int
    name: str
    language: str
    vector_set: int
    model: ModelSpec
    precision: Precision
    index: VectorIndex
    active: bool = True
    lexical: BM25 | None = BM25()
    tenants: bool = False

    @once_property
    def _tables(self) -> CollectionTables:
        return _tables_of(self)

    @property
    def documents(self) -> Table:
        return self._tables.documents

    @property
    def chunks(self) -> Table:
        return self._tables.chunks

    @property
    def vectors(self) -> Table:
        return self._tables.vectors

    @property
    def scope(self) -> tuple[str, ...]:
        """The columns within which ids and keys are unique, besides themselves."""
        return ("tenant",) if self.tenants else ()

    @property
    def embedded_text(self) -> ColumnElement[str]:
        """What of a chunk is embedded and indexed: as `Chunk.embedded_text`."""
        return func.concat_ws(literal_column(r"E'\n'"), self.chunks.c.header, self.chunks.c.content, type_=Text())

    @property
    def vector_index(self) -> str:
        """The name of the vector index."""
        return f"{self.index_prefix}{self.index.suffix}"

    @property
    def index_prefix(self) -> str:
        """What the names of indexes on the vectors begin with, also while the table is another than the active one."""
        return f"c{self.number}_vectors_{self.vector_set}_"

    def index_definition(self, *, concurrently: bool = False) -> Index:
        """The vector index, by cosine distance; not among the table's own, since it is built after a load."""
        of, vectors = self.index, self.vectors.to_metadata(MetaData())
        value = of.expression(vectors.c.embedding, dimensions=self.model.dimensions, precision=self.precision)
        operators = of.operators or ("vector_cosine_ops" if self.precision == "float32" else "halfvec_cosine_ops")
        return Index(
            self.vector_index,
            value.label("indexed"),
            postgresql_using=of.method,
            postgresql_ops={"indexed": operators},
            postgresql_with=of.options,
            postgresql_concurrently=concurrently,
        )

    def create_statements(self) -> list[Executable]:
        """DDL for the tables, without the vector index: that is built after a load."""
        statements: list[Executable] = []
        for table in (self.documents, self.chunks):
            statements.append(CreateTable(table))
            statements += [CreateIndex(index) for index in sorted(table.indexes, key=lambda index: str(index.name))]
            statements += security(table) if self.tenants else []
        return statements + self.create_vectors_statements()

    def create_vectors_statements(self) -> list[Executable]:
        """DDL for the table of this model's vectors alone."""
        statements: list[Executable] = [CreateTable(self.vectors)]
        statements += security(self.vectors) if self.tenants else []
        if self._vector_bytes() <= PAGE_BYTES:
            # Out of line the heap looks tiny, and the planner prefers a sequential scan over the vector index.
            statements.append(_STORAGE_PLAIN.against(self.vectors))
        return statements

    def _vector_bytes(self) -> int:
        return 64 + self.model.dimensions * (4 if self.precision == "float32" else 2)


@dataclass(frozen=True, slots=True)
class CollectionTables:
    documents: Table
    chunks: Table
    vectors: Table


def _tables_of(collection: Collection) -> CollectionTables:
    metadata, prefix = MetaData(schema=collection.schema), f"c{collection.number}"
    documents = Table(
        f"{prefix}_documents",
        metadata,
        *tenant_columns(collection.tenants),
        Column("id", Text, primary_key=True),
        Column("content", Text),
        Column("hash", LargeBinary, nullable=False),
        Column("metadata", JSONB, nullable=False),
        Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Column("key_order", JSONB(none_as_null=True)),
    )
    chunks = Table(
        f"{prefix}_chunks",
        metadata,
        *tenant_columns(collection.tenants),
        Column("key", BigInteger, Identity(always=True), primary_key=True),
        Column("id", Text, nullable=False),
        Column("document_id", Text),
        Column("chunk_index", Integer, nullable=False),
        Column("content", Text, nullable=False),
        Column("start_index", Integer, nullable=False),
        Column("end_index", Integer, nullable=False),
        Column("metadata", JSONB, nullable=False),
        Column("payload", JSONB),
        Column("header", Text),
        Column("key_order", JSONB(none_as_null=True)),
        UniqueConstraint(*collection.scope, "id"),
    )
    scope = [chunks.c[name] for name in collection.scope]
    Index(f"{chunks.name}_document", *scope, chunks.c.document_id, chunks.c.chunk_index)
    if not collection.tenants:
        by_path = {"metadata": "jsonb_path_ops"}
        Index(f"{chunks.name}_metadata", chunks.c.metadata, postgresql_using="gin", postgresql_ops=by_path)
    vectors = Table(
        f"{prefix}_{'' if collection.active else 'idle_'}vectors_{collection.vector_set}",
        metadata,
        *tenant_columns(collection.tenants),
        Column("key", BigInteger, primary_key=True, autoincrement=False),
        Column("embedding", vector_column(collection.model.dimensions, collection.precision), nullable=False),
        ForeignKeyConstraint([*collection.scope, "key"], [*scope, chunks.c.key], ondelete="CASCADE"),
    )
    return CollectionTables(documents, chunks, vectors)


def default_precision(dimensions: int) -> Precision:
    """float32, but float16 past 2,000 dimensions, where an index on float32 cannot be built."""
    return "float32" if dimensions <= 2000 else "float16"


def quoted(connection: Connection, table: Table) -> str:
    """The table's name as `to_regclass` reads it."""
    return connection.dialect.identifier_preparer.format_table(table)
