"""The engine over HTTP: 10,000 chunks against a loopback server with 50 ms latency, and its own cost beside counting.

The bound is what rate limit and concurrency allow: the larger of requests / rate and requests / concurrency * latency.
The same chunks are then ingested: cut, embedded and written into an embedded PostgreSQL of the benchmark's own.

    python benchmarks/embedding_http.py [rounds]
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection

import numpy as np

from embedpipe import Document, ProcessingStats, RecursiveChunker, SemanticSearchService
from embedpipe.embedding import EmbeddingGenerator, Limits
from embedpipe.storage.embedded.server import stop_embedded
from embedpipe.testing import EmbeddingServer, FakeEmbeddingModel
from embedpipe.text import token_counter
from embedpipe.types import Kind, Vectors

MODEL = "text-embedding-3-small"
COUNT, LATENCY_S = 10_000, 0.05
WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "a",
    "lazy",
    "dog",
    "while",
    "seventeen",
    "sailors",
    "sing",
    "of",
    "the",
    "sea",
]
TEXTS = [" ".join(random.Random(n).choices(WORDS, k=180)) + f" {n}" for n in range(COUNT)]
DOCUMENTS = [Document(id=str(n), text="\n\n".join(TEXTS[n : n + 10])) for n in range(0, COUNT, 10)]


class Constant(FakeEmbeddingModel):
    """The cheapest server there can be: it does not stand in the way of what is measured."""

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        return np.broadcast_to(super().embed(["a"], kind), (len(texts), self.spec.dimensions))


def serve(pipe: Connection) -> None:
    with EmbeddingServer(Constant(64), latency_s=LATENCY_S) as server:
        pipe.send(server.url)
        pipe.recv()


def reached(url: str, limits: Limits) -> tuple[float, float]:
    """Seconds taken, and seconds that the limits allow at best."""
    generator = _generator(url, limits)
    started = time.perf_counter()
    generator.generate_batch(TEXTS)
    return time.perf_counter() - started, _least(limits)


def ingested(url: str, limits: Limits, *, as_tasks: bool) -> tuple[float, float]:
    """Seconds that an ingest of the same chunks took, and seconds that the limits allow its requests at best."""
    service = SemanticSearchService(_generator(url, limits), chunker=RecursiveChunker(chunk_size=1200))
    service.store.clear()
    started = time.perf_counter()
    stats = asyncio.run(_aingest(service)) if as_tasks else service.ingest(DOCUMENTS)
    taken = time.perf_counter() - started
    assert stats.chunks_embedded == COUNT
    service.close()
    return taken, _least(limits)


async def _aingest(service: SemanticSearchService) -> ProcessingStats:
    stats = await service.aingest(DOCUMENTS)
    await service.aclose()
    return stats


def written() -> float:
    """Seconds that the same ingest takes where vectors cost nothing: cutting and writing alone."""
    service = SemanticSearchService(Constant(64), collection="free", chunker=RecursiveChunker(chunk_size=1200))
    service.store.clear()
    started = time.perf_counter()
    service.ingest(DOCUMENTS)
    taken = time.perf_counter() - started
    service.close()
    return taken


def _generator(url: str, limits: Limits) -> EmbeddingGenerator:
    generator = EmbeddingGenerator(MODEL, base_url=url, api_key="any", dimensions=64, limits=limits)
    generator.generate("warm")
    return generator


def _least(limits: Limits) -> float:
    requests = -(-COUNT // limits.batch_items)
    rate = (limits.requests_per_minute or float("inf")) / 60
    return max(requests / rate, -(-requests // limits.concurrency) * LATENCY_S)


class Free:
    """A backend that costs nothing, with a counter that does."""

    spec = Constant(64).spec
    special_tokens = 0
    counter = token_counter("cl100k_base")
    rows = Constant(64).embed(["a"], "document").repeat(COUNT, axis=0)

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        return self.rows[: len(texts)]


def own_cost() -> tuple[float, float]:
    """Microseconds a text: counting alone, and what the engine adds to it."""
    counting = time.perf_counter()
    Free.counter.count_many(TEXTS)
    counting = time.perf_counter() - counting
    whole = time.perf_counter()
    EmbeddingGenerator(Free()).generate_batch(TEXTS)
    whole = time.perf_counter() - whole
    return counting / COUNT * 1e6, (whole - counting) / COUNT * 1e6


def main(rounds: int) -> None:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    url = ours.recv()
    cases = {
        "by concurrency": Limits(batch_items=25, concurrency=8),
        "by rate": Limits(batch_items=25, concurrency=8, requests_per_minute=3000),
    }
    for name, limits in cases.items():
        shares = [bound / taken for taken, bound in (reached(url, limits) for _ in range(rounds))]
        print(f"{name:15} {statistics.median(shares):.2f} of what the limits allow (wanted .9), n={rounds}")
        for way in ("threads", "tasks"):
            runs = [ingested(url, limits, as_tasks=way == "tasks") for _ in range(rounds)]
            share = statistics.median(bound / taken for taken, bound in runs)
            seconds = statistics.median(taken for taken, _ in runs)
            print(f"{name:15} {share:.2f} as an ingest in {way} ({seconds:.2f} s), n={rounds}")
    print(f"cutting and writing alone {statistics.median(written() for _ in range(rounds)):.2f} s, n={rounds}")
    ours.send("stop")
    process.join()
    costs = [own_cost() for _ in range(rounds)]
    count, own = (statistics.median(column) for column in zip(*costs, strict=True))
    print(
        f"counting {count:.1f} us a text, the engine's own cost {own:.1f} us = {own / count:.2f} (wanted .2), "
        f"n={rounds}"
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        os.environ["EMBEDPIPE_HOME"] = home
        os.environ.pop("EMBEDPIPE_DATABASE_URL", None)
        try:
            main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
        finally:
            stop_embedded()
