"""The view by which SQL of one's own reads a collection."""

from __future__ import annotations

from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg import sql
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from conftest import as_ordinary
from embedpipe.storage import Database, PgVectorStore
from embedpipe.storage.tables.view import readable_view
from embedpipe.types import Chunk, ModelSpec

OLD, NEW = ModelSpec(name="old", dimensions=2), ModelSpec(name="new", dimensions=3)
CHUNKS = [Chunk(f"text {i}", i, i + 6, i, {"year": 2020 + i}, "doc", f"c{i}") for i in range(3)]


def rows(database: Database, view: str, columns: str = "*") -> list[Any]:
    with database.engine.connect() as connection:
        return list(connection.execute(text(f"SELECT {columns} FROM {view} ORDER BY id")))  # noqa: S608 - the view's own name


def test_a_view_has_a_row_for_each_chunk_and_is_joined_with_tables_of_one_s_own(database: Database) -> None:
    store = PgVectorStore(database, collection='odd "name"', model=OLD)
    store.upsert(CHUNKS, np.eye(3, 2, dtype=np.float32) + 1)
    [info] = database.collections()
    assert [(row.id, row.document_id, row.content, row.metadata) for row in rows(database, info.view)] == [
        (chunk.id, "doc", chunk.text, chunk.metadata) for chunk in CHUNKS
    ]
    view = readable_view(store.collection)
    with database.engine.connect() as connection:
        connection.execute(text("CREATE TEMPORARY TABLE mine (name text, owner text)"))
        connection.execute(text("INSERT INTO mine VALUES ('doc', 'me')"))
        mine = text("mine.name = document_id AND chunk_index = 1")
        statement = select(view.c.content, text("owner")).select_from(view, text("mine")).where(mine)
        assert connection.execute(statement).one() == ("text 1", "me")
    store.drop()
    with pytest.raises(DBAPIError, match="does not exist"):
        rows(database, info.view)


def test_a_view_shows_the_vectors_of_the_present_model(database: Database) -> None:
    store = PgVectorStore(database, model=OLD)
    store.upsert(CHUNKS, np.ones((3, 2), dtype=np.float32))
    [info] = database.collections()
    dimensions = "id, vector_dims(embedding) AS dimensions"
    assert {row.dimensions for row in rows(database, info.view, dimensions)} == {2}
    renewed = store.reembed(lambda texts: np.ones((len(texts), 3), dtype=np.float32), model=NEW)
    assert {row.dimensions for row in rows(database, info.view, dimensions)} == {3}
    assert renewed.drop_embedding_versions() == 1
    assert [info.view for info in database.collections()] == [info.view]
    assert {row.dimensions for row in rows(database, info.view, dimensions)} == {3}


def test_a_view_shows_a_tenant_its_own_rows_alone(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO embedpipe").format(name))
    database = Database(as_ordinary(database_url), schema="tenants")
    for tenant in ("a", "b"):
        store = PgVectorStore(database, model=OLD, tenant=tenant)
        store.upsert([CHUNKS[0]._replace(text=f"of {tenant}")], np.ones((1, 2), dtype=np.float32))
    [info] = database.collections()
    assert rows(database, info.view) == []
    with database.engine.begin() as transaction:
        transaction.execute(text("SELECT set_config('embedpipe.tenant', 'b', true)"))
        found = transaction.execute(text(f"SELECT content, tenant FROM {info.view}")).all()  # noqa: S608 - as above
    assert found == [("of b", "b")]
    database.close()
