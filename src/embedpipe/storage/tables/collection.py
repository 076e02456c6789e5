"""The tables: a catalogue of collections, and for each collection its documents, chunks and vectors.

collections, vector_sets, migrations      one row for each collection, model of a collection, and migration
metadata_indexes                          one row for each index on a metadata key
answers                                   answers that were kept, to be checked later
c<n>_documents                            id, text, hash, metadata, the order of its keys
c<n>_chunks                               key, id, document, text, offsets, metadata, a framework's payload, header,
                                          the order of both objects' keys
c<n>_vectors_<m>                          key, embedding: narrow, since a wide row would keep the planner from the index
c<n>_idle_vectors_<m>                     the same for a model that is not, or no longer, the collection's own
c<n>_past_..., c<n>_then_...              what was rewritten and deleted, and views of any moment, see `history`

A change of model renames both tables of vectors. No number <n> or <m> is used twice, also not after a drop. So whoever
still uses the old model or a dropped collection finds no table, and never the wrong vectors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Float,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    literal_column,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, REGCONFIG
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql.base import Executable

from embedpipe._checks import Bounds, check_fields
from embedpipe.storage.tables.ddl import ddl
from embedpipe.storage.tables.index_types import VectorIndex
from embedpipe.storage.tables.once import once_property
from embedpipe.storage.tables.tenancy import security, tenant_columns
from embedpipe.storage.types import Precision, vector_column
from embedpipe.types import ModelSpec

SEGMENTATION = 2
"""How new collections make words of texts: 1 by PostgreSQL's parser, 2 with the pieces of compounds, too."""

_PAGE_BYTES = 8100
"""The bytes that a row may have and still stay within one page of 8 KB."""


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
            Column("history", Boolean),
            Column("segmentation", Integer),
            Column("word_index", Integer),
            Column("next_lexical", JSONB(none_as_null=True)),
            Column("last_version", Integer),
            Column("created_at", DateTime(timezone=True)),
        )

    @once_property
    def embedding_versions(self) -> Table:
        """A collection's vectors of one model each. The table has kept its first name, `vector_sets`."""
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
            Column("cosine_mean", Float),
            Column("cosine_spread", Float),
            Column("cosine_chunks", BigInteger),
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
    def answers(self) -> Table:
        """Answers that were kept, of all collections."""
        return Table(
            "answers",
            self.tables,
            Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
            Column("collection", Integer),
            Column("tenant", Text),
            Column("created_at", DateTime(timezone=True)),
            Column("question", Text),
            Column("answer", Text),
            Column("model", Text),
            Column("document_ids", ARRAY(Text)),
            Column("citations", JSONB),
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
    """Parameters of BM25 (Robertson and Zaragoza 2009).

    Attributes:
        k1: How much a word that is repeated in a chunk adds, over 0 and up to 10.
        b: How much a long chunk is marked down, from 0 (not at all) to 1.
        character_ngrams: Whether the sequences of four characters in each word are indexed, too. A query then finds
            words that share a part with its own: compounds, other forms and misspelt words.
        by_language: Whether each chunk is stemmed by its own language, `metadata["language"]`, such as "de" or
            "german". Chunks without one are stemmed by the collection's.
    """

    k1: float = 1.2
    b: float = 0.75
    character_ngrams: bool = False
    by_language: bool = False

    def __post_init__(self) -> None:
        check_fields(self, {"k1": Bounds(above=0, most=10), "b": Bounds(0, 1)})


@dataclass(frozen=True)
class Collection:
    """A collection as the catalogue records it, with one of its models, and the tables of both.

    `word_index` is the number of its index of words. An upgrade builds the next one. With `then`, its tables are the
    views of the moment that is set (`history`).
    """

    schema: str
    number: int
    name: str
    language: str
    embedding_version: int
    model: ModelSpec
    precision: Precision
    index: VectorIndex
    active: bool = True
    lexical: BM25 | None = BM25()
    tenants: bool = False
    segmentation: int = SEGMENTATION
    word_index: int = 1
    history: bool = False
    then: bool = False

    @once_property
    def _tables(self) -> _CollectionTables:
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
        """The columns that, together with an id or a key, are unique."""
        return ("tenant",) if self.tenants else ()

    def at_then(self) -> Collection:
        """Return the collection of which every table is a view, of the rows that held at the moment that is set."""
        return replace(self, then=True)

    @property
    def embedded_text(self) -> ColumnElement[str]:
        """The text of a chunk that is embedded and indexed, the same as `Chunk.embedded_text`."""
        return func.concat_ws(literal_column(r"E'\n'"), self.chunks.c.header, self.chunks.c.content, type_=Text())

    @property
    def vector_index(self) -> str:
        """The name of the vector index."""
        return f"{self.index_prefix}{self.index.suffix}"

    @property
    def index_prefix(self) -> str:
        """The prefix of the names of the indexes on these vectors, which a renaming of the table leaves as it is."""
        return f"c{self.number}_vectors_{self.embedding_version}_"

    def index_definition(self, *, concurrently: bool = False) -> Index:
        """Return the vector index. It is not one of the table's own, since it is built after a load."""
        of, vectors = self.index, self.vectors.to_metadata(MetaData())
        value = of.expression(vectors.c.embedding, dimensions=self.model.dimensions, precision=self.precision)
        return Index(
            self.vector_index,
            value.label("indexed"),
            postgresql_using=of.method,
            postgresql_ops={"indexed": of.operators(self.precision)},
            postgresql_with=of.options,
            postgresql_concurrently=concurrently,
        )

    def create_statements(self) -> list[Executable]:
        """Return the DDL for the tables, without the vector index, which is built after a load."""
        statements: list[Executable] = []
        for table in (self.documents, self.chunks):
            statements.append(CreateTable(table))
            statements += [CreateIndex(index) for index in sorted(table.indexes, key=lambda index: str(index.name))]
            statements += security(table) if self.tenants else []
        return statements + self.create_vectors_statements()

    def create_vectors_statements(self) -> list[Executable]:
        """Return the DDL for the table of this model's vectors."""
        statements: list[Executable] = [CreateTable(self.vectors)]
        statements += security(self.vectors) if self.tenants else []
        if self._vector_bytes() <= _PAGE_BYTES:
            # With vectors out of line (TOAST), the heap looks tiny, and the planner prefers a sequential scan to the
            # vector index.
            statements.append(ddl("ALTER TABLE %(fullname)s ALTER COLUMN embedding SET STORAGE PLAIN", self.vectors))
        return statements

    def _vector_bytes(self) -> int:
        return 64 + self.model.dimensions * (4 if self.precision == "float32" else 2)


@dataclass(frozen=True, slots=True)
class _CollectionTables:
    """The three tables that every collection has."""

    documents: Table
    chunks: Table
    vectors: Table


def _tables_of(collection: Collection) -> _CollectionTables:
    metadata, prefix = MetaData(schema=collection.schema), f"c{collection.number}{'_then' if collection.then else ''}"
    # When the chunk became what it is.
    since = Column("since", DateTime(timezone=True), nullable=False, server_default=func.now())
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
        *chunk_columns(),
        *([since] if collection.history and not collection.then else []),
        UniqueConstraint(*collection.scope, "id"),
    )
    scope = [chunks.c[name] for name in collection.scope]
    Index(f"{chunks.name}_document", *scope, chunks.c.document_id, chunks.c.chunk_index)
    if not collection.tenants:
        by_path = {"metadata": "jsonb_path_ops"}
        Index(f"{chunks.name}_metadata", chunks.c.metadata, postgresql_using="gin", postgresql_ops=by_path)
    vectors = Table(
        f"{prefix}_{'' if collection.active else 'idle_'}vectors_{collection.embedding_version}",
        metadata,
        *tenant_columns(collection.tenants),
        Column("key", BigInteger, primary_key=True, autoincrement=False),
        Column("embedding", vector_column(collection.model.dimensions, collection.precision), nullable=False),
        ForeignKeyConstraint([*collection.scope, "key"], [*scope, chunks.c.key], ondelete="CASCADE"),
    )
    return _CollectionTables(documents, chunks, vectors)


def default_precision(dimensions: int) -> Precision:
    """Return float32, or float16 past 2,000 dimensions, where no index on float32 can be built."""
    return "float32" if dimensions <= 2000 else "float16"


def quoted(connection: Connection, table: Table) -> str:
    """Return a table's name as `to_regclass` reads it."""
    return connection.dialect.identifier_preparer.format_table(table)


def chunk_columns() -> list[Column[Any]]:
    """Return new columns for what a chunk holds. Its superseded versions have the same."""
    return [
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
    ]
