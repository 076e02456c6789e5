"""Quantising beside a loop over the vectors, and what each way of compression keeps of real embeddings.

    python benchmarks/compression.py [--repeats 5] [--cache FOLDER]

The speed is that of 100,000 x 384 random vectors. What is kept is measured on the passages and questions of a labelled
set, embedded by all-MiniLM-L6-v2.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from embedpipe.compression import BinaryQuantizer, EmbeddingCompressor, Int8Quantizer, compare
from embedpipe.embedding import EmbeddingGenerator, to_unit_length
from embedpipe.embedding.cache import rounded
from embedpipe.evaluation import load_beir
from embedpipe.types import Vectors

DATA = Path(__file__).parents[2] / "shared" / "data" / "retrieval" / "squad_v11_dev"


def one_by_one(vectors: Vectors, low: Vectors, step: Vectors) -> list[Any]:
    return [np.clip(np.rint((vector - low) / step) - 128, -128, 127).astype(np.int8) for vector in vectors]


def bits_one_by_one(vectors: Vectors) -> list[Any]:
    return [np.packbits(vector > 0) for vector in vectors]


def seconds(function: Callable[[], Any]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def speed(repeats: int) -> None:
    vectors = np.random.default_rng(0).standard_normal((100_000, 384)).astype(np.float32)
    int8, binary = Int8Quantizer.fit(vectors), BinaryQuantizer(384)
    codes = int8.quantize(vectors)
    pairs: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "int8": (lambda: int8.quantize(vectors), lambda: one_by_one(vectors, int8.low, int8.step)),
        "int8 back": (
            lambda: int8.dequantize(codes),
            lambda: [(code.astype(np.float32) + 128) * int8.step + int8.low for code in codes],
        ),
        "binary": (lambda: binary.quantize(vectors), lambda: bits_one_by_one(vectors)),
    }
    print(f"100,000 x 384, n = {repeats}")
    for name, (ours, loop) in pairs.items():
        times = [(seconds(ours), seconds(loop)) for _ in range(repeats)]
        fast, slow = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"  {name:10} {fast * 1e3:8.1f} ms, a loop {slow * 1e3:8.1f} ms: x{slow / fast:.1f}")


def kept(queries: int, cache: Path | None) -> None:
    dataset = load_beir(DATA)
    asked = random.Random(0).sample(sorted(dataset.queries), queries)
    generator = EmbeddingGenerator("all-MiniLM-L6-v2", cache=cache)
    vectors = generator.generate_batch([document.text for document in dataset.documents]).vectors
    questions = generator.generate_batch([dataset.queries[id_] for id_ in asked], kind="query").vectors
    place = {document.id: i for i, document in enumerate(dataset.documents)}
    relevant = [{place[id_]: grade for id_, grade in dataset.relevant[query].items()} for query in asked]
    print(f"\n{len(vectors)} passages, {queries} questions of {DATA.name}")
    print(compare(vectors, questions, relevant=relevant))
    print(f"\nvariance kept by 192 of 384: {EmbeddingCompressor(192).fit(vectors).variance_kept:.3f}")
    cached = to_unit_length(rounded(vectors, "int8"))
    near, found = (np.argsort(-(questions @ each.T), axis=1)[:, :10] for each in (vectors, cached))
    same = np.mean([len(set(one) & set(other)) / 10 for one, other in zip(near, found, strict=True)])
    cosine = (cached * vectors).sum(axis=1).min()
    print(f"as a cache keeps them in bytes: cosine to the whole vector {cosine:.5f} or more, recall@10 {same:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--cache", type=Path, help="a folder of vectors, so that they are embedded once")
    options = parser.parse_args()
    speed(options.repeats)
    kept(options.queries, options.cache)


if __name__ == "__main__":
    main()
