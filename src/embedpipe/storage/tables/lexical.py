"""The lexical index: what BM25 needs to know of every chunk, kept with the chunks in plain PostgreSQL.

c<n>_lexical           key, length, and the chunk's words: as term numbers, and with their weights
c<n>_lexical_terms     how many chunks hold a term, as of the last fold
c<n>_lexical_deltas    what has changed since, one row a write and bucket

A term is a hash of the lexeme that the collection's text search configuration makes; length and frequencies are those
of `to_tsvector`. Two lexemes with one hash count as one word: of 100,000 words about ten pairs do. Writers only append
to the deltas, so that none waits for another; readers add them up, so that counts are those of the reader's snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pgvector.sqlalchemy import SPARSEVEC
from sqlalchemy import (
    DDL,
    REAL,
    BigInteger,
    Column,
    ColumnElement,
    Float,
    Index,
    Integer,
    MetaData,
    ScalarSelect,
    SmallInteger,
    Table,
    Text,
    case,
    cast,
    func,
    literal,
    literal_column,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, REGCONFIG
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql.base import Executable

from embedpipe.storage.tables.collection import BM25, Collection
from embedpipe.storage.tables.tenancy import security, tenant_columns
from embedpipe.storage.types.once import once

DIMENSIONS = 1 << 29
CHUNKS, LENGTHS = 0, -1
"""In place of a term: the number of chunks, and the sum of their lengths."""

_MASK = literal_column(str(DIMENSIONS - 1), Integer)
_BUCKETS = literal_column("63", Integer)

_ASIAN = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"  # noqa: E501 - one class
"""Scripts without spaces between words: Thai, Lao, Burmese, Khmer, Kana, Han."""


@dataclass(frozen=True, slots=True)
class LexicalTables:
    index: Table
    terms: Table
    deltas: Table


def tables(collection: Collection) -> LexicalTables:
    """The tables of a collection's lexical index."""
    return _tables(collection.schema, collection.number, collection.tenants)


def written(collection: Collection) -> list[Table]:
    """Return every table that a write of the collection touches."""
    words = tables(collection)
    lexical = [words.index, words.terms, words.deltas] if collection.lexical else []
    return [collection.documents, collection.chunks, collection.vectors, *lexical]


@once
def _tables(schema: str, number: int, tenants: bool) -> LexicalTables:
    metadata, name = MetaData(schema=schema), f"c{number}_lexical"
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


def create_statements(collection: Collection) -> list[Executable]:
    """DDL for the tables of the index."""
    made = tables(collection)
    statements: list[Executable] = []
    for table in (made.index, made.terms, made.deltas):
        statements.append(CreateTable(table))
        statements += [CreateIndex(index) for index in table.indexes]
        statements += security(table) if collection.tenants else []
    # Queries read the weights of many rows and the terms of none: those of a long chunk may lie elsewhere.
    storage: Any = DDL("ALTER TABLE %(fullname)s ALTER weights SET STORAGE MAIN, ALTER terms SET STORAGE EXTERNAL")  # type: ignore[no-untyped-call]  # SQLAlchemy leaves DDL untyped
    statements.append(storage.against(made.index))
    return statements


def term_of(lexeme: ColumnElement[Any]) -> ColumnElement[int]:
    """The number of a lexeme, from 1 to `DIMENSIONS`."""
    return func.hashtext(lexeme, type_=Integer()).bitwise_and(_MASK) + literal_column("1", Integer)


def bucket_of(term: ColumnElement[int]) -> ColumnElement[int]:
    """Which rows of the deltas speak of the term."""
    return cast(term.bitwise_and(_BUCKETS), SmallInteger)


def language_of(collection: Collection) -> ColumnElement[Any]:
    return cast(literal(collection.language), REGCONFIG)


def segmented(text: ColumnElement[str]) -> ColumnElement[str]:
    """The text with overlapping pairs of characters for words, where its script has no spaces between words."""
    runs = func.regexp_replace(text, f"([{_ASIAN}]+)", r" \1 ", "g")
    pairs = func.regexp_replace(runs, f"(?<=[{_ASIAN}])([{_ASIAN}])(?=[{_ASIAN}])", r"\1 \1", "g", type_=Text())
    return case((func.octet_length(text) == func.char_length(text), text), else_=pairs)


def tsvector(collection: Collection, text: ColumnElement[str]) -> ColumnElement[Any]:
    """The lexemes of a text with their positions."""
    return func.to_tsvector(language_of(collection), segmented(text))


def occurrences(collection: Collection, text: ColumnElement[str]) -> Any:
    """A select of `term` and `count`, a row for each term of the text."""
    lexemes = func.unnest(tsvector(collection, text)).table_valued("lexeme", "positions", "weights", name="lexemes")
    rows = select(term_of(lexemes.c.lexeme).label("term"), func.cardinality(lexemes.c.positions).label("n")).subquery()
    return select(rows.c.term, func.sum(rows.c.n, type_=Integer()).label("count")).group_by(rows.c.term)


def weighing(collection: Collection) -> BM25:
    """How the collection weighs words."""
    assert collection.lexical is not None  # noqa: S101 - without words there is no lexical index to come here for
    return collection.lexical


def saturation(of: BM25, length: ColumnElement[Any], average: ColumnElement[float]) -> ColumnElement[float]:
    """K of BM25's tf * (k1 + 1) / (tf + K)."""
    return literal(of.k1 * (1 - of.b), Float()) + literal(of.k1 * of.b, Float()) * length / average


def total(of: LexicalTables, term: int) -> ScalarSelect[Any]:
    """The number under `CHUNKS` or `LENGTHS`, 0 where nothing is indexed."""
    number = literal_column(str(term), Integer)
    folded = select(of.terms.c.chunks).where(of.terms.c.term == number)
    here = of.deltas.c.chunks[func.array_position(of.deltas.c.terms, number)]
    since = select(here).where(of.deltas.c.bucket == bucket_of(number))
    rows = union_all(folded, since).subquery()
    return select(func.coalesce(func.sum(rows.c[0]), 0)).scalar_subquery()
