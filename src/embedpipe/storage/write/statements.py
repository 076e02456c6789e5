"""Statements that write: builders that take a collection and return a statement. The operations bind the values."""

from __future__ import annotations

from typing import Any, TypeAlias

from sqlalchemy import (
    CTE,
    BindParameter,
    ColumnClause,
    ColumnElement,
    Delete,
    Integer,
    LargeBinary,
    Select,
    Text,
    Update,
    and_,
    bindparam,
    column,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, Insert, insert
from sqlalchemy.types import TypeEngine

from embedpipe.storage.database import by_id
from embedpipe.storage.search import CHUNK_COLUMNS
from embedpipe.storage.tables import Collection, once

Rows: TypeAlias = "Select[*tuple[Any, ...]]"

_STAGED: dict[str, TypeEngine[Any]] = {
    "id": Text(),
    "document_id": Text(),
    "chunk_index": Integer(),
    "content": Text(),
    "start_index": Integer(),
    "end_index": Integer(),
    "metadata": JSONB(),
    "payload": JSONB(),
    "header": Text(),
    "key_order": JSONB(),
}


def _staged(collection: Collection, *, with_vectors: bool) -> CTE:
    """Build rows of the bound arrays, one array for each column."""
    types = dict(_STAGED)
    if with_vectors:
        types["embedding"] = collection.vectors.c.embedding.type
    return _bound_rows(types).cte("staged").prefix_with("MATERIALIZED")


def _bound_rows(types: dict[str, TypeEngine[Any]]) -> Rows:
    arrays: list[BindParameter[Any]] = [bindparam(f"staged_{name}") for name in types]
    columns: list[ColumnClause[Any]] = [column(name, type_) for name, type_ in types.items()]
    rows = func.unnest(*arrays).table_valued(*columns, name="rows").render_derived()
    return select(*[rows.c[name] for name in types])


@once
def upsert(collection: Collection) -> Insert:
    """Write the staged chunks and their vectors by chunk id, locked in the order of the ids, new or not."""
    staged = _staged(collection, with_vectors=True)
    chunks, vectors = collection.chunks, collection.vectors
    rows = insert(chunks).from_select(
        CHUNK_COLUMNS, select(*[staged.c[name] for name in CHUNK_COLUMNS]).order_by(by_id(staged.c.id))
    )
    changed = {name: rows.excluded[name] for name in CHUNK_COLUMNS if name != "id"}
    written = (
        rows.on_conflict_do_update(index_elements=[*collection.scope, "id"], set_=changed)
        .returning(chunks.c.key, chunks.c.id)
        .cte("written")
    )
    pairs = select(written.c.key, staged.c.embedding).join_from(written, staged, written.c.id == staged.c.id)
    into = insert(vectors).from_select(["key", "embedding"], pairs)
    unique = [*collection.scope, "key"]
    return into.on_conflict_do_update(index_elements=unique, set_={"embedding": into.excluded.embedding})


@once
def move(collection: Collection) -> Update:
    """Rewrite place and metadata of staged chunks that are there already, where they differ. Vectors stay."""
    staged = _staged(collection, with_vectors=False)
    chunks = collection.chunks
    columns = [name for name in CHUNK_COLUMNS if name != "id"]
    differs = or_(*[chunks.c[name].is_distinct_from(staged.c[name]) for name in columns])
    return update(chunks).where(chunks.c.id == staged.c.id, differs).values({name: staged.c[name] for name in columns})


def fill(collection: Collection) -> Insert:
    """Add the staged vectors of chunks that still have the staged text and no vector. Lock each against writers.

    In the order of the ids, as writers lock them. Who rewrites a chunk at the same time either comes first, and the
    text differs; or waits, and removes the vector.
    """
    embedding = collection.vectors.c.embedding.type
    rows = _bound_rows({"id": Text(), "content": Text(), "embedding": embedding})
    staged = rows.cte("staged").prefix_with("MATERIALIZED")
    chunks = collection.chunks
    same = and_(chunks.c.id == staged.c.id, collection.embedded_text == staged.c.content)
    pairs = select(chunks.c.key, staged.c.embedding).join_from(staged, chunks, same).order_by(by_id(chunks.c.id))
    into = insert(collection.vectors).from_select(["key", "embedding"], pairs.with_for_update(read=True, of=chunks))
    return into.on_conflict_do_nothing()


@once
def upsert_documents(collection: Collection) -> Insert:
    """Write the bound documents by id, in the order of the ids, so that the second writer waits for the first."""
    types: dict[str, TypeEngine[Any]] = {
        "id": Text(),
        "content": Text(),
        "hash": LargeBinary(),
        "metadata": JSONB(),
        "key_order": JSONB(),
    }
    names, rows = list(types), _bound_rows(types).subquery("staged")
    documents = collection.documents
    into = insert(documents).from_select(names, select(*[rows.c[name] for name in names]).order_by(by_id(rows.c.id)))
    changed = {name: into.excluded[name] for name in names if name != "id"}
    unique = [*collection.scope, "id"]
    return into.on_conflict_do_update(index_elements=unique, set_=changed | {"updated_at": func.now()})


def lock_chunks(collection: Collection, condition: ColumnElement[bool]) -> Select[int, str]:
    """Select key and id of the chunks under the condition, locked in the order of their ids."""
    chunks = collection.chunks
    return select(chunks.c.key, chunks.c.id).where(condition).order_by(by_id(chunks.c.id)).with_for_update()


def lock_documents(collection: Collection, condition: ColumnElement[bool]) -> Select[str]:
    """Select the ids of the documents under the condition, locked in the order of their ids."""
    documents = collection.documents
    return select(documents.c.id).where(condition).order_by(by_id(documents.c.id)).with_for_update(of=documents)


def delete_chunks(collection: Collection, condition: ColumnElement[bool]) -> Delete:
    """Delete the chunks under the condition, locked in the order of their ids. Their vectors go with them."""
    locked = lock_chunks(collection, condition).cte("locked")
    return delete(collection.chunks).where(collection.chunks.c.key.in_(select(locked.c.key)))


def delete_documents(collection: Collection, condition: ColumnElement[bool]) -> Delete:
    """Delete the documents under the condition, locked in the order of their ids. Their chunks stay."""
    locked = lock_documents(collection, condition).cte("locked")
    return delete(collection.documents).where(collection.documents.c.id.in_(select(locked.c.id)))
