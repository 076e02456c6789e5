"""What the doctor finds: each fault is made in the database, and must be named."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from conftest import database_at
from embedpipe.errors import StorageError
from embedpipe.storage import Database, PgVectorStore, VectorIndex
from embedpipe.storage.admin.diagnosis import Diagnosis
from embedpipe.storage.embedded.cluster import packaged_binaries
from embedpipe.storage.tables.index_types import INDEX_FROM
from embedpipe.types import Chunk, ModelSpec

SPEC = ModelSpec(name="unit-test", dimensions=8)


def filled(database: Database, rows: int, **options: Any) -> PgVectorStore:
    store = PgVectorStore(database, model=SPEC, **options)
    vectors = np.random.default_rng(0).standard_normal((rows, 8))
    store.upsert([Chunk.whole(f"chunk number {i}", id=str(i)) for i in range(rows)], vectors)
    return store


def after(database: Database, *statements: str) -> Diagnosis:
    with database.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    return database.diagnose()


async def test_a_whole_collection_has_no_findings(database: Database) -> None:
    assert database.diagnose().findings == []
    filled(database, 3000).create_index(VectorIndex(kind="half"))
    filled(database, 10, collection="plain", lexical=False)
    found = await database.adiagnose()
    assert (found.healthy, found.findings) == (True, [])
    first, second = found.collections
    assert (first.chunks, first.vectors, first.indexed_words, first.index) == (3000, 3000, 3000, "hnsw half")
    assert first.index_serves
    assert first.bytes > first.index_bytes > 8192
    assert (second.language, second.indexed_words, second.index, second.index_serves) == (None, None, None, None)
    await database.aclose()


FAULTS = {
    "3 chunks have no vector": "DELETE FROM embedpipe.c1_vectors_1 WHERE key < 4",
    "2 chunks are not in the index of words": "DELETE FROM embedpipe.c1_lexical WHERE key < 3",
    "1 of its rows belong to no chunk": """
        INSERT INTO embedpipe.c1_lexical
        SELECT 1000, length, reference, weights, terms FROM embedpipe.c1_lexical WHERE key = 1
    """,
    "They count 0 chunks, and 20 are indexed": "DELETE FROM embedpipe.c1_lexical_deltas",
    "For 1 words the number of chunks": "UPDATE embedpipe.c1_lexical SET terms = terms || ARRAY[99] WHERE key = 1",
    "1 migrations are not applied": "DELETE FROM embedpipe.migrations WHERE number = 1",
    "at migration 9999": "INSERT INTO embedpipe.migrations (number) VALUES (9999)",
    "is invalid": """
        UPDATE pg_index SET indisvalid = false
        WHERE indexrelid = 'embedpipe.c1_vectors_1_hnsw_full_16_64'::regclass
    """,
}


@pytest.mark.parametrize("says", FAULTS)
def test_a_fault_is_named(database: Database, says: str) -> None:
    filled(database, 20).create_index()
    assert database.diagnose().findings == []
    found = after(database, FAULTS[says])
    assert not found.healthy
    assert any(says in finding.message for finding in found.findings), found.findings
    assert all(finding.advice for finding in found.findings)


def test_an_index_that_is_missing_or_unused_is_named_where_it_matters(database: Database) -> None:
    store = filled(database, INDEX_FROM)
    found = database.diagnose()
    assert found.healthy
    assert "no vector index" in found.findings[0].message
    store.create_index()
    assert database.diagnose().findings == []
    database.close()
    found = after(database, f"ALTER DATABASE {database.engine.url.database} SET enable_indexscan = off")
    database.close()
    found = database.diagnose()
    assert [finding.wrong for finding in found.findings] == [True]
    assert "planner does not use it" in found.findings[0].message


def test_space_that_is_not_used_and_vectors_of_other_models_are_named(database: Database) -> None:
    store = filled(database, 4000, lexical=False)
    after(database, "ALTER TABLE embedpipe.c1_chunks SET (autovacuum_enabled = off)")
    store.delete([str(i) for i in range(2000)])
    other = ModelSpec(name="other", dimensions=4)
    store.reembed(lambda texts: np.ones((len(texts), 4), dtype=np.float32), model=other)
    found = after(database, "SELECT pg_stat_force_next_flush()")
    said = " ".join(finding.message for finding in found.findings)
    assert found.healthy
    assert "Rows that were rewritten or removed take about" in said
    assert "also vectors of other models: unit-test" in said
    assert found.collections[0].unused_bytes > 0


def test_a_database_without_pgvector_is_named(server_url: str) -> None:
    database = Database(database_at(server_url, "template1"))
    found = database.diagnose()
    assert (found.pgvector_version, found.migration, found.healthy) == (None, None, False)
    assert "pgvector is not in the database" in found.findings[0].message
    database.close()


@pytest.mark.parametrize("suffix", [".sql", ".dump"])
def test_a_dump_brings_everything_back(database: Database, server_url: str, tmp_path: Path, suffix: str) -> None:
    store = filled(database, 50)
    store.create_index(VectorIndex(kind="binary"))
    path = tmp_path / f"copy{suffix}"
    database.dump(path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CREATE DATABASE restored TEMPLATE template0"))
    url = database_at(server_url, "restored")
    program = ["psql", "-v", "ON_ERROR_STOP=1", "-f"] if suffix == ".sql" else ["pg_restore", "--exit-on-error"]
    subprocess.run([packaged_binaries() / program[0], "-d", url, *program[1:], path], check=True, capture_output=True)
    restored = Database(url)
    again = PgVectorStore(restored)
    assert again.find() == store.find()
    assert again.search(np.ones(8), "number 7", mode="hybrid") == store.search(np.ones(8), "number 7", mode="hybrid")
    assert restored.diagnose().healthy
    restored.close()
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("DROP DATABASE restored"))


def test_a_dump_that_fails_leaves_nothing(database_url: str, tmp_path: Path) -> None:
    url = database_url.replace("postgres@", "nobody-there:s3cret@")
    with pytest.raises(StorageError, match="pg_dump failed") as caught:
        Database(url).dump(tmp_path / "copy.sql")
    assert "s3cret" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
