"""What a newer embedpipe has recorded is refused by name, also where only a field or a value is new."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from embedpipe.errors import InputError, SchemaError
from embedpipe.export import export_collection, load_export
from embedpipe.storage import Database, PgVectorStore
from embedpipe.types import Chunk, ModelSpec

SPEC = ModelSpec(name="unit-test", dimensions=4)
NEWER = {
    "a model's field": ("model", 'model || \'{"pooling": "cls"}\'', "pooling"),
    "a model's value": ("model", "model || '{\"dimensions\": [4, 8]}'", r"dimensions is \[4, 8\]"),
    "a model's truth": ("model", 'model || \'{"normalized": "l2"}\'', "normalized is 'l2'"),
    "a model that is no object": ("model", "'[1]'", "it is"),
    "a model without its name": ("model", "model - 'name'", "name"),
    "an index's field": ("index", "index || '{\"pages\": 3}'", "pages"),
    "an index's kind": ("index", 'index || \'{"kind": "ternary"}\'', "ternary"),
    "an index's method": ("index", 'index || \'{"method": "diskann"}\'', "diskann"),
    "an index's number": ("index", 'index || \'{"m": "auto"}\'', "m is 'auto'"),
    "a field of how words are weighed": ("lexical", "lexical || '{\"delta\": 1}'", "delta"),
    "a value of how words are weighed": ("lexical", "lexical || '{\"k1\": null}'", "k1 is None"),
    "a range of how words are weighed": ("lexical", "lexical || '{\"b\": 7}'", "7"),
}


@pytest.fixture
def store(database: Database) -> PgVectorStore:
    made = PgVectorStore(database, collection="Käse", model=SPEC)
    made.upsert([Chunk.whole("text", id="a")], np.ones((1, 4)))
    return made


def record(database: Database, column: str, value: str) -> None:
    """Write the record as another version might have."""
    table = "collections" if column == "lexical" else "vector_sets"
    with database.engine.begin() as connection:
        connection.execute(text(f"UPDATE embedpipe.{table} SET {column} = {value}"))  # noqa: S608 - the test's own


@pytest.mark.parametrize("case", NEWER)
def test_a_record_of_a_newer_version_is_refused_by_name(store: PgVectorStore, case: str) -> None:
    column, value, says = NEWER[case]
    database = store.database
    record(database, column, value)
    opened = PgVectorStore(database, collection="Käse", model=SPEC)
    for use in (lambda: opened.collection, opened.count, opened.drop, database.collections):
        with pytest.raises(SchemaError, match=f"'Käse' was recorded by a newer embedpipe: .*{says}.*Upgrade embedpipe"):
            use()
    assert opened.exists()
    health, diagnosis = opened.health(), database.diagnose()
    for findings in (health.findings, diagnosis.findings):
        assert [(finding.collection, finding.wrong) for finding in findings] == [("Käse", True)]
        assert "Upgrade embedpipe" in findings[0].message
    assert (health.database, health.exists) == (True, True)


def test_every_record_of_this_version_is_read(store: PgVectorStore) -> None:
    for column, value in (("lexical", '\'{"k1": 2, "b": 1}\''), ("model", "model || '{\"max_tokens\": null}'")):
        record(store.database, column, value)
        assert PgVectorStore(store.database, collection="Käse").collection.name == "Käse"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("ALTER TABLE embedpipe.vector_sets DROP CONSTRAINT vector_sets_precision_check", "'bit'"),
        ("ALTER TABLE embedpipe.metadata_indexes DROP CONSTRAINT metadata_indexes_type_check", "'date'"),
    ],
)
def test_columns_that_take_more_in_a_newer_version_are_refused_too(
    store: PgVectorStore, change: str, says: str
) -> None:
    with store.database.engine.begin() as connection:
        connection.execute(text(change))
        connection.execute(text("UPDATE embedpipe.vector_sets SET precision = 'bit'" if "bit" in says else _DATES))
    opened = PgVectorStore(store.database, collection="Käse")
    with pytest.raises(SchemaError, match=f"{says}.*Upgrade embedpipe"):
        opened.metadata_indexes()


_DATES = "INSERT INTO embedpipe.metadata_indexes VALUES (1, 1, ARRAY['day'], 'date')"


def test_an_export_of_a_newer_version_is_refused_by_name(store: PgVectorStore, tmp_path: Path) -> None:
    export_collection(store, tmp_path / "out")
    description = tmp_path / "out" / "collection.json"
    found = json.loads(description.read_text(encoding="utf-8"))
    found["model"]["pooling"] = "cls"
    description.write_text(json.dumps(found), encoding="utf-8")
    with pytest.raises(InputError, match=r"pooling.*Upgrade embedpipe"):
        load_export(tmp_path / "out")
