from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest
from sqlalchemy import text

from conftest import opened_as_ordinary
from embedpipe import Database, Document, PgVectorStore, SemanticSearchService
from embedpipe.compression import Int8Quantizer
from embedpipe.errors import CollectionNotFoundError, InputError, StorageError
from embedpipe.export import export_collection, load_export
from embedpipe.storage.types.pg_types import Precision
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Chunk, ModelSpec, Vectors

D = 24
SPEC = ModelSpec(name="unit-test", dimensions=D, query_prompt="q: ", max_tokens=None)
METADATA: dict[str, Any] = {
    "text": 'Käse 🧀 "quoted" \\ line\nbreak',
    "numbers": [1, 1.0, -0.5, 2**70, 1e-7],
    "nested": {"none": None, "yes": True, "": {}},
}


def vectors(count: int, seed: int = 0) -> Vectors:
    return np.random.default_rng(seed).standard_normal((count, D)).astype(np.float32)


def chunk(number: int) -> Chunk:
    return Chunk(
        f"text {number} \t𝔘\r\n",
        number,
        number + 9,
        number % 7,
        METADATA if number % 2 else {},
        f"doc {number // 7}" if number % 3 else None,
        f"id {number}",
        {"node": [number]} if number % 5 == 0 else None,
        f"header {number}" if number % 4 == 0 else None,
    )


def filled(database: Database, count: int, *, precision: Precision = "float32") -> PgVectorStore:
    store = PgVectorStore(database, collection="out", model=SPEC, precision=precision, language="german")
    store.create()
    if count:
        store.upsert([chunk(number) for number in range(count)], vectors(count))
    return store


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_what_comes_back_equals_what_was_stored(database: Database, tmp_path: Path, precision: Precision) -> None:
    store = filled(database, 4500, precision=precision)
    report = export_collection(store, tmp_path / "out")
    assert (report.collection, report.chunks, report.documents, report.vectors) == ("out", 4500, 0, "float32")
    assert report.bytes == sum(file.stat().st_size for file in (tmp_path / "out").iterdir())
    export = load_export(tmp_path / "out")
    assert (export.collection, export.model, export.language, export.chunks) == ("out", SPEC, "german", 4500)
    batches = list(export.batches())
    assert len(batches) > 1
    chunks = {str(each.id): each for part, _ in batches for each in part}
    stored = store.vectors()
    assert list(chunks.values()) == store.get(list(chunks))
    of_stored = dict(zip(stored.ids, stored.vectors, strict=True))
    exported = np.concatenate([part for _, part in batches])
    np.testing.assert_array_equal(exported, np.stack([of_stored[name] for name in chunks]))
    other = PgVectorStore(database, collection="in", model=export.model, precision=precision)
    for part, numbers in export.batches():
        other.upsert(part, numbers)
    assert other.find() == store.find()
    np.testing.assert_array_equal(other.vectors().vectors, stored.vectors)


def test_bytes_are_half_a_step_off_at_most(database: Database, tmp_path: Path) -> None:
    store = filled(database, 2500)
    assert export_collection(store, tmp_path / "int8", vectors="int8").vectors == "int8"
    export = load_export(tmp_path / "int8")
    assert export.quantizer is not None
    ids, stored = store.vectors()
    expected = Int8Quantizer.fit(stored)
    np.testing.assert_array_equal(export.quantizer.low, expected.low)
    np.testing.assert_array_equal(export.quantizer.step, expected.step)
    found = {each.id: vector for part, numbers in export.batches() for each, vector in zip(part, numbers, strict=True)}
    error = np.abs(np.stack([found[name] for name in ids]) - stored)
    assert (error <= expected.step * 0.501).all()
    export_collection(store, tmp_path / "float32")
    small, large = ((tmp_path / name / "chunks.parquet").stat().st_size for name in ("int8", "float32"))
    assert small < large - 2 * stored.size


def test_documents_come_with_their_text(database: Database, tmp_path: Path) -> None:
    service = SemanticSearchService(FakeEmbeddingModel(), database=database)
    documents = [Document(id=f"d{n}", text=f"Tea number {n}.", metadata={"n": n}) for n in range(3)]
    service.ingest(documents)
    report = export_collection(service.store, tmp_path / "out")
    assert (report.documents, report.chunks) == (3, 3)
    found = list(load_export(tmp_path / "out").iter_documents())
    assert service.store.documents(["d2", "nowhere", "d0"]) == [found[2], found[0]]
    assert [(each.id, each.text, each.metadata) for each in found] == [(d.id, d.text, d.metadata) for d in documents]


def test_anyone_with_a_parquet_reader_can_read_it(database: Database, tmp_path: Path) -> None:
    store = filled(database, 10)
    export_collection(store, tmp_path / "out", vectors="int8")
    table = parquet.read_table(tmp_path / "out" / "chunks.parquet")
    assert table.num_rows == 10
    description = json.loads(table.schema.metadata[b"embedpipe"])
    assert description["model"]["name"] == "unit-test"
    assert len(description["scales"]["low"]) == len(table.column("vector")[0]) == D
    assert json.loads(table.column("metadata")[1].as_py()) == METADATA


@pytest.mark.parametrize("stored", ["float32", "int8"])
def test_an_empty_collection_has_no_rows(database: Database, tmp_path: Path, stored: Any) -> None:
    store = filled(database, 0)
    assert store.count() == 0
    assert export_collection(store, tmp_path / "out", vectors=stored).chunks == 0
    assert list(load_export(tmp_path / "out").batches()) == []


def test_others_may_write_meanwhile(database: Database, tmp_path: Path) -> None:
    store = filled(database, 4100)

    def write(written: int) -> None:
        if written < 4100:
            store.delete([f"id {number}" for number in range(4000, 4100)])
            store.upsert([chunk(9000)], vectors(1))

    export_collection(store, tmp_path / "out", on_progress=write)
    found = [str(each.id) for part, _ in load_export(tmp_path / "out").batches() for each in part]
    assert sorted(found) == sorted(f"id {number}" for number in range(4100))
    assert store.count() == 4001


def test_a_failure_leaves_nothing_behind(database: Database, tmp_path: Path) -> None:
    store = filled(database, 3000)

    def stop(written: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_collection(store, tmp_path / "out", on_progress=stop)
    with database.engine.begin() as connection:
        connection.execute(text("DELETE FROM embedpipe.c1_vectors_1 WHERE key = 1"))
    with pytest.raises(StorageError, match=r"has no vector\. Run `embedpipe doctor`"):
        export_collection(store, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_or_read_is_refused(database: Database, tmp_path: Path) -> None:
    store = filled(database, 1)
    (tmp_path / "there").mkdir()
    (tmp_path / "file").write_text("x")
    for folder in ("there", "file"):
        with pytest.raises(InputError, match=f"{folder} is there already"):
            export_collection(store, tmp_path / folder)
    with pytest.raises(InputError, match="cannot be written"):
        export_collection(store, tmp_path / "file" / "out")
    with pytest.raises(InputError, match=r"vectors='binary' is not known\. Pass 'float32' or 'int8'"):
        export_collection(store, tmp_path / "out", vectors="binary")  # type: ignore[arg-type]
    with pytest.raises(CollectionNotFoundError, match="nowhere"):
        export_collection(PgVectorStore(database, collection="nowhere"), tmp_path / "out")
    with pytest.raises(InputError, match="there holds no export"):
        load_export(tmp_path / "there")
    export_collection(store, tmp_path / "out")
    (tmp_path / "out" / "chunks.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"chunks\.parquet cannot be read"):
        list(load_export(tmp_path / "out").batches())
    description = json.loads((tmp_path / "out" / "collection.json").read_text())
    (tmp_path / "out" / "collection.json").write_text(json.dumps({**description, "format": 2}))
    with pytest.raises(InputError, match="has format 2; this version reads 1"):
        load_export(tmp_path / "out")


def test_a_tenant_exports_its_own(database_url: str, tmp_path: Path) -> None:
    with opened_as_ordinary(database_url) as ordinary:
        for tenant in ("one", "two"):
            store = PgVectorStore(ordinary, collection="shared", model=SPEC, tenant=tenant)
            store.upsert([Chunk.whole(f"of {tenant}", id=tenant)], vectors(1))
        export_collection(PgVectorStore(ordinary, collection="shared", tenant="two"), tmp_path / "out")
    assert [each.text for part, _ in load_export(tmp_path / "out").batches() for each in part] == ["of two"]


def test_without_the_extra_the_message_names_it() -> None:
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from embedpipe.errors import MissingExtraError\n"
        "from embedpipe.export import load_export\n"
        "try:\n    load_export('x')\nexcept MissingExtraError as error:\n    print(error)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'embedpipe[export]'" in ended.stdout
