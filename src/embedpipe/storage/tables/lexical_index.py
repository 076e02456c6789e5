"""The tables of the lexical index: everything that BM25 needs to know of a chunk, in plain PostgreSQL.

c<n>_lexical           key, length, and the chunk's words: as term numbers, and with their weights
c<n>_lexical_terms     the number of chunks that hold each term, as of the last fold
c<n>_lexical_deltas    the changes of these numbers since, one row for each write and bucket

An upgrade builds the same tables beside them, named c<n>_lexical_<m>. Whoever still uses the former ones then finds no
table, and never words that were taken apart in another way.

A term is a hash of a lexeme of the collection's text search configuration. Length and frequencies are those of
`to_tsvector`, and a piece of a compound counts once (`lexical/terms.py`). Two lexemes with one hash count as one word.
Of 100,000 words, about ten pairs do.

Writers only append to the deltas, so that no writer waits for another. Readers add the deltas up, so that the counts
are those of the reader's own snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass

from pgvector.sqlalchemy import SPARSEVEC
from sqlalchemy import REAL, BigInteger, Column, Index, Integer, MetaData, SmallInteger, Table
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql.base import Executable

from embedpipe.storage.tables.collection import Collection
from embedpipe.storage.tables.ddl import ddl
from embedpipe.storage.tables.once import once
from embedpipe.storage.tables.tenancy import security, tenant_columns

DIMENSIONS = 1 << 29
"""Of a chunk's sparse vector, in which each term has its own."""

CHUNKS, LENGTHS = 0, -1
"""Stand in place of a term: the counts then are the number of chunks, and the sum of their lengths."""


@dataclass(frozen=True, slots=True)
class LexicalTables:
    """The three tables of a collection's lexical index."""

    index: Table
    terms: Table
    deltas: Table


def lexical_tables(collection: Collection) -> LexicalTables:
    """Return the tables of a collection's lexical index."""
    return _tables(collection.schema, _name(collection), collection.tenants)


def written_tables(collection: Collection) -> list[Table]:
    """Return every table that a write of the collection touches."""
    words = lexical_tables(collection)
    lexical = [words.index, words.terms, words.deltas] if collection.lexical else []
    return [collection.documents, collection.chunks, collection.vectors, *lexical]


def _name(collection: Collection) -> str:
    if collection.then:
        return f"c{collection.number}_then_lexical"
    further = "" if collection.word_index == 1 else f"_{collection.word_index}"
    return f"c{collection.number}_lexical{further}"


@once
def _tables(schema: str, name: str, tenants: bool) -> LexicalTables:
    metadata = MetaData(schema=schema)
    index = Table(
        name,
        metadata,
        *tenant_columns(tenants),
        Column("key", BigInteger, primary_key=True, autoincrement=False),
        Column("length", Integer, nullable=False),
        Column("reference", REAL, nullable=False),
        Column("weights", SPARSEVEC(DIMENSIONS), nullable=False),
        Column("terms", ARRAY(Integer), nullable=False),
    )
    if not tenants:
        Index(f"{name}_gin", index.c.terms, postgresql_using="gin")
    terms = Table(
        f"{name}_terms",
        metadata,
        *tenant_columns(tenants),
        Column("term", Integer, primary_key=True, autoincrement=False),
        Column("chunks", BigInteger, nullable=False),
    )
    deltas = Table(
        f"{name}_deltas",
        metadata,
        *tenant_columns(tenants, primary_key=False),
        Column("bucket", SmallInteger, nullable=False),
        Column("terms", ARRAY(Integer), nullable=False),
        Column("chunks", ARRAY(BigInteger), nullable=False),
    )
    Index(f"{name}_deltas_bucket", *([deltas.c.tenant] if tenants else []), deltas.c.bucket)
    return LexicalTables(index, terms, deltas)


def create_lexical_statements(collection: Collection) -> list[Executable]:
    """Return the DDL for the tables of a collection's lexical index."""
    made = lexical_tables(collection)
    statements: list[Executable] = []
    for table in (made.index, made.terms, made.deltas):
        statements.append(CreateTable(table))
        statements += [CreateIndex(index) for index in table.indexes]
        statements += security(table) if collection.tenants else []
    # A query reads the weights of many rows, so these stay in the row if they can (MAIN). It reads the terms of none,
    # so those of a long chunk may lie elsewhere (EXTERNAL).
    storage = "ALTER TABLE %(fullname)s ALTER weights SET STORAGE MAIN, ALTER terms SET STORAGE EXTERNAL"
    return [*statements, ddl(storage, made.index)]
