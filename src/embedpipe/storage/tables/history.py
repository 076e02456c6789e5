"""What a collection with history has beside its tables: those of superseded rows, and views of any moment.

c<n>_past_documents      documents as they were, with the times `updated_at` and `until` between which they were so
c<n>_past_chunks         chunks as they were, with `since` and `until`; their keys are negative
c<n>_past_vectors_<m>    the vectors of these chunks
c<n>_past_lexical        their rows of the index of words
c<n>_then_...            a view for each table that a search reads: the rows that held at the setting `embedpipe.as_of`

Triggers on documents and chunks fill the past (`migrations/0012_history.sql`), so every writer does, in SQL too, and
collections without history pay nothing. A search of the past is the usual statement over the views, see
`Collection.at_then`. The views count words anew, since the counts of the present are of no use for another moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pgvector.sqlalchemy import SPARSEVEC
from sqlalchemy import (
    ARRAY,
    REAL,
    BigInteger,
    Column,
    ColumnElement,
    DateTime,
    ForeignKeyConstraint,
    FromClause,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    SmallInteger,
    Table,
    Text,
    and_,
    cast,
    false,
    func,
    literal_column,
    null,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement
from sqlalchemy.sql.base import Executable

from embedpipe.storage.tables.collection import Collection, chunk_columns
from embedpipe.storage.tables.ddl import ddl
from embedpipe.storage.tables.lexical_index import CHUNKS, DIMENSIONS, LENGTHS, lexical_tables
from embedpipe.storage.tables.once import once
from embedpipe.storage.tables.tenancy import security, tenant_columns
from embedpipe.storage.types import vector_column

AS_OF = "embedpipe.as_of"
"""The setting that says which moment the views show."""


@dataclass(frozen=True, slots=True)
class PastTables:
    """The tables of superseded rows. `lexical` is empty in a collection without an index of words."""

    documents: Table
    chunks: Table
    vectors: Table
    lexical: Table

    def of(self, collection: Collection) -> list[Table]:
        """Return those that the collection has, each before those that refer to it."""
        return [self.documents, self.chunks, self.vectors, *([self.lexical] if collection.lexical else [])]


@once
def past_tables(collection: Collection) -> PastTables:
    """Return the tables of a collection's superseded rows."""
    metadata, prefix, tenants = MetaData(schema=collection.schema), f"c{collection.number}_past", collection.tenants
    documents = Table(
        f"{prefix}_documents",
        metadata,
        *tenant_columns(tenants),
        Column("key", BigInteger, Identity(always=True), primary_key=True),
        Column("id", Text, nullable=False),
        Column("content", Text),
        Column("hash", LargeBinary, nullable=False),
        Column("metadata", JSONB, nullable=False),
        Column("key_order", JSONB(none_as_null=True)),
        Column("updated_at", DateTime(timezone=True), nullable=False),
        Column("until", DateTime(timezone=True), nullable=False),
    )
    Index(f"{documents.name}_id", *[documents.c[name] for name in collection.scope], documents.c.id)
    chunks = Table(
        f"{prefix}_chunks",
        metadata,
        *tenant_columns(tenants),
        # Below 0, so that no key is also that of a present chunk.
        Column("key", BigInteger, Identity(always=True, start=-1, increment=-1), primary_key=True),
        *chunk_columns(),
        Column("since", DateTime(timezone=True), nullable=False),
        Column("until", DateTime(timezone=True), nullable=False),
    )
    Index(f"{chunks.name}_document", *[chunks.c[name] for name in collection.scope], chunks.c.document_id)
    scope = [*collection.scope, "key"]
    vectors = Table(
        f"{prefix}_vectors_{collection.embedding_version}",
        metadata,
        *tenant_columns(tenants),
        Column("key", BigInteger, primary_key=True, autoincrement=False),
        Column("embedding", vector_column(collection.model.dimensions, collection.precision), nullable=False),
        ForeignKeyConstraint(scope, [chunks.c[name] for name in scope], ondelete="CASCADE"),
    )
    lexical = Table(
        f"{prefix}_lexical",
        metadata,
        *tenant_columns(tenants),
        Column("key", BigInteger, primary_key=True, autoincrement=False),
        Column("length", Integer, nullable=False),
        Column("reference", REAL, nullable=False),
        Column("weights", SPARSEVEC(DIMENSIONS), nullable=False),
        Column("terms", ARRAY(Integer), nullable=False),
        ForeignKeyConstraint(scope, [chunks.c[name] for name in scope], ondelete="CASCADE"),
    )
    return PastTables(documents, chunks, vectors, lexical)


def create_history_statements(collection: Collection) -> list[Executable]:
    """Return the DDL for the tables of superseded rows, the triggers that fill them, and the views of a moment."""
    past, statements = past_tables(collection), list[Executable]()
    for table in past.of(collection):
        statements.append(CreateTable(table))
        statements += [CreateIndex(index) for index in table.indexes]
        statements += security(table) if collection.tenants else []
    kept = [past.chunks.name, collection.vectors.name, past.vectors.name]
    if collection.lexical:
        kept += [lexical_tables(collection).index.name, past.lexical.name]
    statements.append(_trigger(collection.documents, "keep_document", [past.documents.name]))
    statements.append(_trigger(collection.chunks, "keep_chunk", kept))
    return statements + [CreateThenView(collection, name) for name in _views(collection)]


def _trigger(table: Table, function: str, names: list[str]) -> Executable:
    """Return the DDL for a trigger whose arguments are names of tables, all of our own making."""
    arguments = ", ".join(f"'{name}'" for name in names)
    made = (
        "CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON %(fullname)s FOR EACH ROW EXECUTE FUNCTION %(schema)s.%(made)s"
        "(%(arguments)s)"
    )
    return ddl(made, table, made=function, arguments=arguments)


class CreateThenView(ExecutableDDLElement):
    """DDL that makes the view of one table at a moment."""

    def __init__(self, collection: Collection, name: str) -> None:
        self.collection = collection
        self.name = name


@compiles(CreateThenView)
def _create_view(element: CreateThenView, compiler: Any, **_: Any) -> str:
    rows = compiler.sql_compiler.process(_views(element.collection)[element.name], literal_binds=True)
    view = compiler.preparer.format_table(Table(element.name, MetaData(schema=element.collection.schema)))
    options = " WITH (security_invoker)" if element.collection.tenants else ""  # see `view`
    return f"CREATE VIEW {view}{options} AS {rows}"


def drop_history_statements(collection: Collection) -> list[Executable]:
    """Return the DDL that drops the views and the tables of superseded rows."""
    views = [Table(name, MetaData(schema=collection.schema)) for name in reversed(_views(collection))]
    tables = reversed(past_tables(collection).of(collection))
    dropped = [ddl("DROP VIEW IF EXISTS %(fullname)s", view) for view in views]
    return dropped + [ddl("DROP TABLE IF EXISTS %(fullname)s", table) for table in tables]


def _views(collection: Collection) -> dict[str, Any]:
    """Return the rows of each view, by its name, each before those that read it."""
    past, then = past_tables(collection), collection.at_then()
    columns = [column.name for column in then.chunks.c]
    chunks = union_all(
        select(*[collection.chunks.c[name] for name in columns]).where(_held(collection.chunks)),
        select(*[past.chunks.c[name] for name in columns]).where(_held(past.chunks)),
    )
    views: dict[str, Any] = {
        str(then.chunks.name): chunks,
        str(then.vectors.name): _of_chunks(collection, collection.vectors, past.vectors),
    }
    if collection.lexical:
        words = lexical_tables(then)
        views[str(words.index.name)] = _of_chunks(collection, lexical_tables(collection).index, past.lexical)
        views[str(words.terms.name)] = _counts(words.index)
        # No change of a count is to be added to counts that are taken anew.
        views[str(words.deltas.name)] = select(
            cast(null(), SmallInteger).label("bucket"),
            cast(null(), ARRAY(Integer)).label("terms"),
            cast(null(), ARRAY(BigInteger)).label("chunks"),
        ).where(false())
    return views


def _moment() -> Any:
    # A subquery is evaluated once, and the bare function for each row.
    return select(cast(func.current_setting(literal_column(f"'{AS_OF}'")), DateTime(timezone=True))).scalar_subquery()


def _held(chunks: Table) -> ColumnElement[bool]:
    """Return whether a chunk, present or past, held at the moment."""
    began = chunks.c.since <= _moment()
    return and_(began, chunks.c.until > _moment()) if "until" in chunks.c else began


def _of_chunks(collection: Collection, present: Table, past: Table) -> Any:
    """Return the rows, present and past, of the chunks that held at the moment."""
    names, past_chunks = [column.name for column in past.c], past_tables(collection).chunks

    def rows(table: Table, chunks: Table) -> Select[Any]:
        found = select(*[table.c[name] for name in names]).join_from(table, chunks, chunks.c.key == table.c.key)
        return found.where(_held(chunks))

    return union_all(rows(present, collection.chunks), rows(past, past_chunks))


def _counts(index: FromClause) -> Any:
    """Return the number of chunks that hold each term, of all chunks, and the sum of their lengths."""
    term = select(func.unnest(index.c.terms, type_=Integer()).label("term")).subquery()
    return union_all(
        select(term.c.term, func.count().label("chunks")).group_by(term.c.term),
        select(literal_column(str(CHUNKS), Integer), func.count()).select_from(index),
        select(literal_column(str(LENGTHS), Integer), func.coalesce(func.sum(index.c.length), 0)),
    )
