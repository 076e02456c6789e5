"""Ingest on a local Ray cluster: the same rows as without it, whatever dies on the way."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from cluster_models import REFUSED, TracedModel, reservations
from conftest import fresh_database
from embedpipe import Document, EmbeddingGenerator, RecursiveChunker, SemanticSearchService
from embedpipe.distributed import Columns, Workers, from_documents, ingest, read_files
from embedpipe.distributed.actors import SharedLimiter
from embedpipe.embedding import Limits, RateLimiter
from embedpipe.errors import ConfigurationError, InputError
from embedpipe.files import ReadOptions, read_documents
from embedpipe.storage import Database
from embedpipe.testing import EmbeddingServer, FakeEmbeddingModel

ray: Any = pytest.importorskip("ray")
pytest.importorskip("ray.data")
pyarrow: Any = pytest.importorskip("pyarrow")
psutil: Any = pytest.importorskip("psutil")

pytestmark = pytest.mark.filterwarnings(
    r"ignore:`use_\w+` is deprecated:DeprecationWarning:ray.data"
)  # it warns itself
TWO = Workers(embed=2)
KEY = "a key that must not travel"


@pytest.fixture(scope="module")
def cluster_database(server_url: str) -> Iterator[str]:
    """The database of the cluster, on a node whose environment names it, as an operator would set it."""
    with fresh_database(server_url) as url, pytest.MonkeyPatch.context() as environment:
        environment.setenv("EMBEDPIPE_DATABASE_URL", url)
        environment.setenv("OPENAI_API_KEY", KEY)
        environment.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)  # for cluster_models
        environment.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        with TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:  # a socket's path must be short
            ray.init(
                num_cpus=2,
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
                object_store_memory=100 << 20,
                _temp_dir=folder,
            )
            ray.data.DataContext.get_current().enable_progress_bars = False
            yield url
            ray.shutdown()


@pytest.fixture(autouse=True)
def same_database(cluster_database: str, own_home: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDPIPE_DATABASE_URL", cluster_database)


def service(model: Any, collection: str, **settings: Any) -> SemanticSearchService:
    return SemanticSearchService(model, collection=collection, chunker=RecursiveChunker(chunk_size=200), **settings)


def documents() -> list[Document]:
    """Some of which fail: the model refuses one, one is blank, one comes twice."""
    made = [
        Document(
            id=f"d{i}", text=f"Document {i} speaks of number {i}. " * (5 + i % 20), metadata={"n": i} if i % 2 else {}
        )
        for i in range(400)
    ]
    bad = [Document(id="refused", text=f"This is {REFUSED}."), Document(id="blank", text=" ")]
    again = Document(id="d7", text="The same id, and another text.")
    return [*made[:10], again, *made[10:], *bad]


def rows(service: SemanticSearchService) -> tuple[Any, Any, Any]:
    """All that a collection holds: chunks, vectors and the documents' hashes."""
    ids, vectors = service.store.vectors()
    chunks = service.store.find()
    known = service.store.known_documents(sorted({str(chunk.document_id) for chunk in chunks}))
    return chunks, dict(zip(ids, vectors.tolist(), strict=True)), known.hashes


def counts(report: Any) -> dict[str, Any]:
    names = ("added", "changed", "kept", "removed", "chunks_embedded", "chunks_kept", "chunks_removed", "tokens")
    failures = {name: str(error) for name, error in report.failures.items()}
    return {name: getattr(report, name) for name in names} | {"failures": failures}


def test_the_rows_are_those_of_a_local_ingest(tmp_path: Path) -> None:
    model = TracedModel(tmp_path)
    local, spread = service(model, "local"), service(model, "spread")
    first = local.ingest(documents())
    told: list[int] = []
    report = ingest(
        from_documents(documents(), blocks=4), spread, workers=TWO, on_progress=lambda r: told.append(r.documents)
    )
    assert counts(report) == counts(first)
    assert {"refused", "blank", "d7 (again)"} == report.failures.keys()
    assert rows(spread) == rows(local)
    assert told == sorted(told)
    assert told[-1] == len(documents())

    changed = [Document(id="d1", text="Another text."), *documents()[11:209]]
    before = sum(model.embedded().values())
    second = local.ingest(changed, prune=True)
    again = ingest(from_documents(changed), spread, workers=TWO, prune=True)
    assert counts(again) == counts(second)
    assert (again.changed, again.kept, again.removed, again.chunks_embedded) == (1, 198, 201, 1)
    assert sum(model.embedded().values()) == before + 2
    assert rows(spread) == rows(local)


def test_a_run_whose_workers_are_killed_ends_complete(tmp_path: Path) -> None:
    traces = tmp_path / "traces"
    traces.mkdir()
    model = TracedModel(traces, seconds=0.02)
    local, spread = service(FakeEmbeddingModel(dimensions=16), "undisturbed"), service(model, "killed")
    made = [d for d in documents() if d.text.startswith("Document")]
    table = {
        "key": [document.id for document in made],
        "body": [document.text for document in made],
        "n": [document.metadata.get("n") for document in made],
    }
    pyarrow.parquet.write_table(pyarrow.table(table), tmp_path / "documents.parquet")
    dataset = ray.data.read_parquet(str(tmp_path / "documents.parquet"))
    spread.settings = local.settings = _small_batches(spread.settings)
    killer = Killer(traces, ["CutStage", "EmbedStage", "WriteStage"])
    killer.start()
    report = ingest(dataset, spread, workers=TWO, columns=Columns(id="key", text="body", keys=["n"]))
    killer.join()
    assert len(killer.killed) == 3
    assert report.failures == {}
    assert report.documents == 400
    expected = [Document(id=d.id, text=d.text, metadata={"n": d.metadata.get("n")}) for d in made]
    local.ingest(expected)
    assert rows(spread) == rows(local)
    assert spread.store.count() == len(set(spread.store.vectors().ids))
    last = service(FakeEmbeddingModel(dimensions=16), "killed").ingest(expected)
    assert (last.kept, last.chunks_embedded) == (400, 0)


def _small_batches(settings: Any) -> Any:

    return replace(settings, batch_documents=16)


class Killer(threading.Thread):
    """Kills a worker of each stage in turn, once the work is under way."""

    def __init__(self, traces: Path, stages: list[str]) -> None:
        super().__init__()
        self.traces, self.stages, self.killed = traces, stages, list[int]()

    def run(self) -> None:
        for number, stage in enumerate(self.stages, 1):
            self._until_embedded(200 * number)
            process = next(
                child for child in self._workers() if stage in child.name() or stage in " ".join(child.cmdline())
            )
            process.send_signal(signal.SIGKILL)
            self.killed.append(process.pid)

    def _until_embedded(self, texts: int) -> None:
        while sum(len(trace.read_text().splitlines()) for trace in self.traces.iterdir()) < texts:
            time.sleep(0.01)

    def _workers(self) -> list[Any]:
        return list(psutil.Process().children(recursive=True))


def test_workers_read_the_key_where_they_are() -> None:
    with EmbeddingServer(FakeEmbeddingModel(dimensions=16), api_key=KEY) as server:
        generator = EmbeddingGenerator("some-model", base_url=server.url, dimensions=16, limits=Limits(batch_items=4))
        target = service(generator, "keyed")
        report = ingest(from_documents(documents()[11:111]), target, workers=Workers(embed=1))
    assert (report.added, report.failures) == (100, {})
    assert len(server.requests) == report.requests
    assert KEY.encode() not in pickle.dumps(generator)


def test_workers_keep_to_one_rate_together() -> None:
    limiter = SharedLimiter(ray.remote(num_cpus=0)(RateLimiter).remote(Limits(requests_per_minute=6)))
    asking = ray.remote(num_cpus=0)(reservations)
    waits = [wait for asked in ray.get([asking.remote(limiter, 5) for _ in range(2)]) for wait in asked]
    # Ten requests of ten seconds each: had every worker a limiter of its own, none would wait for more than 40 seconds.
    assert max(waits) > 60
    assert len({round(wait) for wait in waits}) > 8
    limiter.learn({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "60s"})
    limiter.pause(600)
    assert limiter.reserve(1) > 500


def test_a_worker_that_reaches_another_database_writes_nothing(
    server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fresh_database(server_url) as other:
        monkeypatch.setenv("EMBEDPIPE_DATABASE_URL", other)
        elsewhere = service(FakeEmbeddingModel(dimensions=16), "elsewhere")
        with pytest.raises(ConfigurationError, match="another database"):
            ingest(from_documents(documents()), elsewhere, workers=Workers(embed=1))
        assert elsewhere.store.count() == 0
        elsewhere.close()


def test_what_cannot_work_is_refused_before_anything_is_written(cluster_database: str) -> None:
    dataset = from_documents(documents()[:3])
    given = service(FakeEmbeddingModel(dimensions=16), "given", database=Database(cluster_database))
    with pytest.raises(ConfigurationError, match="EMBEDPIPE_DATABASE_URL") as raised:
        ingest(dataset, given)
    assert cluster_database not in str(raised.value)
    plain = service(FakeEmbeddingModel(dimensions=16), "plain")
    with pytest.raises(InputError, match="no column 'body'"):
        ingest(dataset, plain, columns=Columns(text="body"))
    with pytest.raises(InputError, match="holds int64, and ids are strings"):
        ingest(ray.data.from_items([{"id": 1, "text": "one"}]), plain)
    with pytest.raises(InputError, match="is a list, no dataset of Ray Data"):
        ingest(documents(), plain)
    own = SemanticSearchService(FakeEmbeddingModel(dimensions=16), collection="plain", chunker=Locked())
    with pytest.raises(ConfigurationError, match="cannot be sent to the workers"):
        ingest(dataset, own)
    with pytest.raises(ConfigurationError, match=r"embed=0 is out of range\. Pass a whole number, 1 or more"):
        Workers(embed=0)
    assert plain.store.count() == 0


class Locked:
    """A chunker that does not pickle."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def chunk(self, text: str) -> list[Any]:
        return []


def test_files_are_the_documents_that_a_local_ingest_takes(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "tea.md").write_text("# Tea")
    (tmp_path / "teas.jsonl").write_text('{"key": "g", "body": "Green tea."}\n{"key": "b", "body": "Black tea."}\n')
    (tmp_path / "binary.txt").write_bytes(b"K\0\xffse")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    options = ReadOptions(text_fields=["body"], id_field="key")
    table = pyarrow.Table.from_pylist(list(read_files(str(tmp_path), options).iter_rows()))
    columns, binary = Columns(), str(tmp_path / "binary.txt")
    taken = {document.id: document for document in columns.documents(table)}
    local = [*read_documents(tmp_path / "below" / "tea.md"), *read_documents(tmp_path / "teas.jsonl", options)]
    assert taken.pop(binary).text == ""
    assert taken == {document.id: document for document in local}
    assert {f"{tmp_path}/teas.jsonl#g", f"{tmp_path}/teas.jsonl#b"} < taken.keys()
    assert "is no text" in str(columns.errors(table)[binary])


def test_a_file_that_cannot_be_read_is_named_and_costs_no_other(tmp_path: Path) -> None:
    (tmp_path / "binary.txt").write_bytes(b"K\0\xffse")
    (tmp_path / "tea.txt").write_text("Green tea.")
    target = service(FakeEmbeddingModel(dimensions=16), "files")
    report = ingest(read_files(str(tmp_path)), target, workers=Workers(embed=1))
    assert (report.added, list(report.failures)) == (1, [str(tmp_path / "binary.txt")])
    assert [chunk.document_id for chunk in target.store.find()] == [str(tmp_path / "tea.txt")]


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ({"id": None, "text": "text"}, "id None in the column"),
        ({"id": "a", "text": 3}, "holds 3, which is no text"),
        ({"id": "a", "text": "text", "metadata": "no JSON"}, "Pass a JSON object"),
        ({"id": "a", "text": "text", "metadata": [1]}, "Pass a mapping"),
    ],
)
def test_rows_that_are_no_documents_are_refused(row: dict[str, Any], error: str) -> None:
    columns = Columns(metadata="metadata" if "metadata" in row else None)
    with pytest.raises(InputError, match=error):
        columns.documents(pyarrow.Table.from_pylist([row]))


def test_metadata_comes_as_json_as_a_map_or_from_columns() -> None:
    mapped = pyarrow.table(
        {
            "id": ["a"],
            "text": [None],
            "metadata": pyarrow.array([[("x", 1)]], pyarrow.map_(pyarrow.string(), pyarrow.int64())),
            "year": [2020],
        }
    )
    assert Columns(keys=["year"]).documents(mapped) == [Document(id="a", text="", metadata={"x": 1, "year": 2020})]
    assert Columns(metadata=None).documents(mapped) == [Document(id="a", text="")]


@pytest.mark.parametrize(
    ("workers", "cpus", "gpus", "remote", "expected"),
    [
        (Workers(), 16, 0, False, (8, 0.0, 1.0)),
        (Workers(), 16, 4, False, (4, 1.0, 1.0)),
        (Workers(num_gpus=0.5), 16, 4, False, (8, 0.5, 1.0)),
        (Workers(), 16, 4, True, (8, 0.0, 1.0)),
        (Workers(embed=2), 2, 0, False, (2, 0.0, 0.5)),
        (Workers(embed=2), 1, 0, False, (2, 0.0, 0.0)),
    ],
)
def test_workers_leave_a_cpu_for_reading(
    workers: Workers, cpus: float, gpus: float, remote: bool, expected: tuple[int, float, float]
) -> None:
    placed = workers.placed(cpus=cpus, gpus=gpus, remote=remote)
    assert (placed.embed, placed.num_gpus, placed.num_cpus) == expected
