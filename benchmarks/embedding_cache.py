"""The file cache against LangChain's CacheBackedEmbeddings on files: 20,000 unit vectors of 384 dimensions.

Needs langchain-classic and lmdb. Sides alternate; medians over the rounds and ratios are printed.

    python benchmarks/embedding_cache.py [rounds]
"""

from __future__ import annotations

import gc
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from langchain_classic.embeddings import CacheBackedEmbeddings
from langchain_classic.storage import LocalFileStore
from langchain_core.embeddings import Embeddings

from embedpipe.embedding import EmbeddingGenerator
from embedpipe.langchain.embeddings import EmbedPipeEmbeddings
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Kind, Vectors

COUNT, DIMENSIONS = 20_000, 384
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
TEXTS = [" ".join(random.Random(n).choices(WORDS, k=60)) + f" {n}" for n in range(COUNT)]
VECTORS = FakeEmbeddingModel(DIMENSIONS).embed(TEXTS, "document")
LISTS: list[list[float]] = VECTORS.tolist()


class Ready(Embeddings):
    """Costs nothing: both sides get ready vectors, so that what is timed is the cache."""

    spec = FakeEmbeddingModel(DIMENSIONS).spec

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        return VECTORS[: len(texts)]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return LISTS[: len(texts)]

    def embed_query(self, text: str) -> list[float]:
        return LISTS[0]


class Core:
    """The same without LangChain's methods."""

    spec = Ready.spec
    embed = Ready.embed


def timed(work: Callable[[], object]) -> float:
    gc.collect()
    started = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - started
    del result
    return COUNT / seconds


def size(folder: Path) -> float:
    return sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file()) / COUNT


def main(rounds: int) -> None:
    speeds: dict[str, list[float]] = {}
    sizes: dict[str, float] = {}
    for _ in range(rounds):
        home = Path(tempfile.mkdtemp())
        peer = CacheBackedEmbeddings.from_bytes_store(
            Ready(), LocalFileStore(home / "peer"), namespace="m", key_encoder="sha256"
        )
        engine = EmbeddingGenerator(Core(), cache=home / "ours")
        ours = EmbedPipeEmbeddings(engine)
        steps = {
            "peer put": lambda: peer.embed_documents(TEXTS),  # noqa: B023 - run at once
            "ours put": lambda: engine.generate_batch(TEXTS),  # noqa: B023
            "peer hit": lambda: peer.embed_documents(TEXTS),  # noqa: B023
            "ours hit, lists": lambda: ours.embed_documents(TEXTS),  # noqa: B023
            "ours hit, arrays": lambda: engine.generate_batch(TEXTS),  # noqa: B023
        }
        for name, step in steps.items():
            speeds.setdefault(name, []).append(timed(step))
        sizes = {"peer": size(home / "peer"), "ours": size(home / "ours")}
        shutil.rmtree(home)
    speeds["tolist alone"] = [timed(VECTORS.tolist) for _ in range(rounds)]
    median = {name: statistics.median(values) for name, values in speeds.items()}
    for name, value in median.items():
        print(f"{name:18} {value:10,.0f} vectors/s  (n={rounds})")
    print(f"put x{median['ours put'] / median['peer put']:.1f} (wanted 20)")
    print(f"hit, lists x{median['ours hit, lists'] / median['peer hit']:.1f} (wanted 18)")
    print(f"hit, arrays x{median['ours hit, arrays'] / median['peer hit']:.1f} (wanted 40)")
    print(f"bytes a vector: peer {sizes['peer']:,.0f}, ours {sizes['ours']:,.0f}", end=" ")
    print(
        f"= {sizes['ours'] / sizes['peer']:.2f} of it (wanted .25), {sizes['ours'] / 4 / DIMENSIONS:.2f} of the "
        f"vector's"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
