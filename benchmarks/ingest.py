"""Ingesting again what is unchanged, and how ingest goes as documents grow many.

    python benchmarks/ingest.py again [--documents 20000] [--model all-MiniLM-L6-v2]
    python benchmarks/ingest.py growth [--documents 200000]

Documents are passages of about 290 characters from books. Without `--model` the model costs nothing. `growth` prints
documents a second and the process's memory for each 20,000 documents. Needs psutil and what `lexical.py` needs.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from embedpipe import Document, ProcessingStats, SemanticSearchService
from embedpipe.storage.embedded.server import embedded_url
from embedpipe.testing import FakeEmbeddingModel
from lexical import passages
from storage import timed

STEP = 20_000


def documents(count: int) -> Iterator[Document]:
    texts = passages(min(count, STEP))
    for i in range(count):
        yield Document(id=f"d{i}", text=f"{texts[i % len(texts)]} {i}", metadata={"number": i})


def again(service: SemanticSearchService, count: int, repeats: int) -> None:
    every = list(documents(count))
    first = timed(lambda: service.ingest(every))
    unchanged = statistics.median(timed(lambda: service.ingest(every)) for _ in range(repeats))
    print(f"{count:,} documents, {service.generator.spec.name}, n = {repeats}")
    print(f"  first {first:.2f} s, unchanged {unchanged:.3f} s: x{first / unchanged:.1f}")


def growth(service: SemanticSearchService, count: int) -> None:
    done, since = 0, time.perf_counter()

    def tell(stats: ProcessingStats) -> None:
        nonlocal done, since
        if stats.added >= done + STEP:
            now, memory = time.perf_counter(), psutil.Process().memory_info().rss / 1e6
            print(
                f"{stats.added:9,} {(stats.added - done) / (now - since):7,.0f} documents/s {memory:6.0f} MB",
                flush=True,
            )
            done, since = stats.added, now

    service.ingest(documents(count), on_progress=tell)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["again", "growth"])
    parser.add_argument("--documents", type=int)
    parser.add_argument("--model", help="a model's name; without one the model costs nothing")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or FakeEmbeddingModel(dimensions=384)
        service = SemanticSearchService(model, database=embedded_url(Path(folder) / "server"), collection="ingest")
        if options.part == "again":
            again(service, options.documents or STEP, options.repeats)
        else:
            growth(service, options.documents or 10 * STEP)
        service.close()


if __name__ == "__main__":
    main()
