"""Resident memory over 1,000,000 short chunks of a model without weights, after the first 20,000.

The engine alone, a thousand texts at a time; then `AsyncBatchProcessor`, whose documents are one chunk each, and hold a
hundred.

python benchmarks/embedding_memory.py [chunks]
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from embedpipe import AsyncBatchProcessor, Document, EmbeddingGenerator, RecursiveChunker
from embedpipe.testing import FakeEmbeddingModel

STEP, SETTLED = 1_000, 20_000


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def by_engine(chunks: int) -> AsyncIterator[int]:
    """How many chunks each step gave."""
    generator = EmbeddingGenerator(FakeEmbeddingModel(64))
    for start in range(0, chunks, STEP):
        attempt = generator.attempt([f"a short chunk of text, number {n}" for n in range(start, start + STEP)])
        yield len(attempt.positions)


async def by_processor(chunks: int, *, in_a_document: int) -> AsyncIterator[int]:
    """How many chunks each document gave."""

    def documents() -> Iterator[Document]:
        for start in range(0, chunks, in_a_document):
            texts = (f"a short chunk of text, number {n}" for n in range(start, start + in_a_document))
            yield Document(id=f"document {start}", text="\n\n".join(texts))

    processor = AsyncBatchProcessor(FakeEmbeddingModel(64), chunker=RecursiveChunker(chunk_size=40))
    async for document in processor.stream(documents()):
        yield len(document.vectors)


async def measured(name: str, steps: AsyncIterator[int], chunks: int) -> None:
    done = settled = highest = 0
    started = time.perf_counter()
    async for step in steps:
        done += step
        if done % STEP == 0:
            resident = resident_bytes()
            settled = resident if done <= SETTLED else settled
            highest = max(highest, resident)
    assert done == chunks
    print(
        f"{name:32} {chunks:,} chunks in {time.perf_counter() - started:.0f} s; after the first {SETTLED:,} memory "
        f"grew by {(highest - settled) / 2**20:.1f} MB (wanted 30)"
    )


async def main(chunks: int) -> None:
    await measured("engine", by_engine(chunks), chunks)
    for in_a_document in (1, 100):
        steps = by_processor(chunks, in_a_document=in_a_document)
        await measured(f"processor, {in_a_document} in a document", steps, chunks)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
