"""Ingest on a local Ray cluster: what a second worker is worth, beside an ingest without a cluster.

    python benchmarks/distributed.py workers [--documents 8000] [--repeats 3]
    python benchmarks/distributed.py bytes [--documents 1200]

The model takes 20 ms for 8 texts and does nothing else, as an accelerator would seem to a processor: one worker cannot
embed more than 400 texts a second. Runs with one worker and with two alternate on one cluster of two CPUs; times are of
the whole run, with the start of its processes and the building of an index, which no second worker shortens, and from
the first batch written to the last. The rows of every run are compared with those of a local ingest. `bytes` prints
what a chunk of up to 500 characters takes in each table, and how long an index takes: what the arithmetic of
`docs/how-to/distributed.md` starts from. Needs ray.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import ray
import ray.data
from sqlalchemy import text

from embedpipe import Document, ProcessingStats, RecursiveChunker, SemanticSearchService
from embedpipe.distributed import Workers, from_documents, ingest
from embedpipe.embedding import Limits
from embedpipe.storage.embedded.server import embedded_url
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Kind, Vectors


class TimedModel:
    """A fake model that takes 20 ms for every 8 texts, one pass at a time."""

    def __init__(self) -> None:
        self.model = FakeEmbeddingModel(dimensions=384)
        self.spec = self.model.spec
        self.limits = Limits(batch_items=8, batch_tokens=None, concurrency=1)

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        time.sleep(0.02)
        return self.model.embed(texts, kind)


def documents(count: int) -> list[Document]:
    return [Document(id=f"d{i}", text=f"Document {i} says what number {i} is. " * 18) for i in range(count)]


def service(collection: str) -> SemanticSearchService:
    return SemanticSearchService(TimedModel(), collection=collection, chunker=RecursiveChunker(chunk_size=400))


def rows(made: SemanticSearchService) -> tuple[object, ...]:
    ids, vectors = made.store.vectors()
    return made.store.find(), ids, vectors.tobytes()


class Clock:
    """When a run's first batch was reported, when its last, and how many chunks came after the first."""

    def __init__(self) -> None:
        self.times: list[tuple[float, int]] = []

    def __call__(self, report: ProcessingStats) -> None:
        self.times.append((time.perf_counter(), report.chunks))

    def rate(self) -> float:
        (first, done), (last, every) = self.times[0], self.times[-1]
        return (every - done) / (last - first)


def run(count: int, workers: int) -> tuple[float, float, tuple[object, ...]]:
    """Seconds of the whole run, chunks a second from the first batch to the last, and the rows."""
    made = service(f"spread over {workers}")
    made.store.clear()
    made.store.drop_index()
    dataset = from_documents(documents(count), blocks=max(count // 64, 1))
    clock, started = Clock(), time.perf_counter()
    report = ingest(dataset, made, workers=Workers(embed=workers), on_progress=clock)
    seconds = time.perf_counter() - started
    assert report.added == count, report
    return seconds, clock.rate(), rows(made)


def sizes(count: int) -> None:
    """The reference of Python, several times over, without a cluster."""
    from pydoc_data.topics import topics

    texts = sorted(topics.values())
    made = SemanticSearchService(
        FakeEmbeddingModel(dimensions=384), collection="sizes", chunker=RecursiveChunker(chunk_size=500)
    )
    copies = ((i, texts[i % len(texts)]) for i in range(count))
    made.ingest(Document(id=f"d{i}", text=copy.replace("\n\n", f" {i}\n\n")) for i, copy in copies)
    made.store.drop_index()
    chunks = made.store.count()
    started = time.perf_counter()
    made.store.create_index()
    seconds = time.perf_counter() - started
    mean = statistics.fmean(len(chunk.text) for chunk in made.store.find())
    print(f"{chunks:,} chunks of {mean:.0f} characters; index of 384 dimensions: {chunks / seconds:,.0f} chunks/s")
    query = text(
        "SELECT relname, pg_total_relation_size(pg_class.oid) FROM pg_class JOIN pg_namespace ON "
        "pg_namespace.oid = relnamespace WHERE nspname = 'embedpipe' AND relkind = 'r' AND relname LIKE 'c1%'"
    )
    for name, size in made.store.database.read(lambda connection: connection.execute(query).all()):
        print(f"  {name:20} {size / chunks:8.0f} bytes a chunk, with its indexes")
    made.close()


def workers(count: int, repeats: int) -> None:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    ray.data.DataContext.get_current().enable_progress_bars = False
    local = service("local")
    started = time.perf_counter()
    local.ingest(documents(count))
    print(f"{count:,} documents, {local.store.count():,} chunks, load {os.getloadavg()[0]:.1f}")
    print(f"local, one process: {time.perf_counter() - started:.1f} s")
    expected, whole, steady = rows(local), [], []
    for repeat in range(repeats):
        one, two = run(count, 1), run(count, 2)
        assert one[2] == two[2] == expected
        whole.append(one[0] / two[0])
        steady.append(two[1] / one[1])
        print(
            f"{repeat + 1}: one worker {one[0]:.1f} s, {one[1]:.0f} chunks/s; two {two[0]:.1f} s, "
            f"{two[1]:.0f} chunks/s: x{whole[-1]:.2f} whole, x{steady[-1]:.2f} steady"
        )
    print(f"median of {repeats}: x{statistics.median(whole):.2f} whole run, ", end="")
    print(f"x{statistics.median(steady):.2f} steady; the rows of every run are those of the local ingest")
    ray.shutdown()
    local.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["workers", "bytes"])
    parser.add_argument("--documents", type=int)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["EMBEDPIPE_DATABASE_URL"] = embedded_url(Path(folder) / "server")
        if options.part == "bytes":
            sizes(options.documents or 1_200)
        else:
            workers(options.documents or 8_000, options.repeats)


if __name__ == "__main__":
    main()
