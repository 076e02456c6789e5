"""Resident memory of the engine over 1,000,000 short chunks of a model without weights, a thousand at a time.

python benchmarks/embedding_memory.py [chunks]
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

from embedpipe.embedding import EmbeddingGenerator
from embedpipe.testing import FakeEmbeddingModel

STEP, SETTLED = 1_000, 20_000


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def main(chunks: int) -> None:
    generator = EmbeddingGenerator(FakeEmbeddingModel(64))
    settled = highest = 0
    started = time.perf_counter()
    for start in range(0, chunks, STEP):
        attempt = generator.attempt([f"a short chunk of text, number {n}" for n in range(start, start + STEP)])
        assert len(attempt.positions) == STEP
        resident = resident_bytes()
        if start + STEP == SETTLED:
            settled = resident
        if start >= SETTLED:
            highest = max(highest, resident)
    seconds = time.perf_counter() - started
    grown = (highest - settled) / 2**20
    print(
        f"{chunks:,} chunks in {seconds:.0f} s; after the first {SETTLED:,} memory grew by {grown:.1f} MB (wanted 30)"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
