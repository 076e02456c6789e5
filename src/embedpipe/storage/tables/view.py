"""The view of a collection for those who read it in SQL and join it: a row for each chunk, with its present vector.

The tables change their names when a collection changes its model. The view keeps its name, its columns and their types.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, MetaData, Select, Table, cast, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import ExecutableDDLElement

from embedpipe.storage.tables.collection import Collection
from embedpipe.storage.types import VectorColumn

_COLUMNS = (
    "id",
    "document_id",
    "chunk_index",
    "content",
    "header",
    "start_index",
    "end_index",
    "metadata",
)


class CreateView(ExecutableDDLElement):
    """DDL that makes the view of a collection, or has the existing one show the present vectors."""

    def __init__(self, collection: Collection) -> None:
        self.collection = collection


@compiles(CreateView)
def _create_view(element: CreateView, compiler: Any, **_: Any) -> str:
    view = compiler.preparer.format_table(readable_view(element.collection))
    rows = compiler.sql_compiler.process(_rows(element.collection), literal_binds=True)
    # With it, row security is checked for the reader, and not for the view's owner.
    options = " WITH (security_invoker)" if element.collection.tenants else ""
    return f"CREATE OR REPLACE VIEW {view}{options} AS {rows}"


class DropView(ExecutableDDLElement):
    """DDL that removes the view of a collection, if there is one."""

    def __init__(self, collection: Collection) -> None:
        self.collection = collection


@compiles(DropView)
def _drop_view(element: DropView, compiler: Any, **_: Any) -> str:
    return f"DROP VIEW IF EXISTS {compiler.preparer.format_table(readable_view(element.collection))}"


def readable_view(collection: Collection) -> Table:
    """Return the view as a table to select from and join: `collection_<number>` in the collection's schema."""
    columns = [Column(column.name, column.type) for column in _rows(collection).selected_columns]
    return Table(f"collection_{collection.number}", MetaData(schema=collection.schema), *columns)


def _rows(collection: Collection) -> Select[Any]:
    chunks, vectors = collection.chunks, collection.vectors
    # The type is cast to one without a dimension, so that it stays the same when another model comes.
    embedding = cast(vectors.c.embedding, VectorColumn()).label("embedding")
    names = (*_COLUMNS, "tenant") if collection.tenants else _COLUMNS
    return select(*[chunks.c[name] for name in names], embedding).join_from(
        chunks, vectors, vectors.c.key == chunks.c.key
    )
