"""The engine over HTTP: 10,000 chunks against a loopback server with 50 ms latency, and its own cost beside counting.

The bound is what rate limit and concurrency allow: the larger of requests / rate and requests / concurrency * latency.

    python benchmarks/embedding_http.py [rounds]
"""

from __future__ import annotations

import multiprocessing
import random
import statistics
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection

import numpy as np

from embedpipe.embedding import EmbeddingGenerator, Limits
from embedpipe.testing import EmbeddingServer, FakeEmbeddingModel
from embedpipe.text.tokens import token_counter
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
    generator = EmbeddingGenerator(MODEL, base_url=url, api_key="any", dimensions=64, limits=limits)
    generator.generate("warm")
    started = time.perf_counter()
    generator.generate_batch(TEXTS)
    taken = time.perf_counter() - started
    requests = -(-COUNT // limits.batch_items)
    rate = (limits.requests_per_minute or float("inf")) / 60
    return taken, max(requests / rate, -(-requests // limits.concurrency) * LATENCY_S)


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
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,))
    process.start()
    url = ours.recv()
    cases = {
        "by concurrency": Limits(batch_items=25, concurrency=8),
        "by rate": Limits(batch_items=25, concurrency=8, requests_per_minute=3000),
    }
    for name, limits in cases.items():
        shares = [bound / taken for taken, bound in (reached(url, limits) for _ in range(rounds))]
        print(f"{name:15} {statistics.median(shares):.2f} of what the limits allow (wanted .9), n={rounds}")
    ours.send("stop")
    process.join()
    costs = [own_cost() for _ in range(rounds)]
    count, own = (statistics.median(column) for column in zip(*costs, strict=True))
    print(
        f"counting {count:.1f} us a text, the engine's own cost {own:.1f} us = {own / count:.2f} (wanted .2), "
        f"n={rounds}"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
