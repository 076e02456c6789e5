"""Chunking speed beside the peers: LangChain, semantic-text-splitter, chonkie, LlamaIndex and tiktoken itself.

    python benchmarks/chunking_speed.py [characters|tokens|growth] [--megabytes 4] [--repeats 5]

Needs semantic-text-splitter and chonkie. All sides take turns within each repeat; printed are the median speed of each
and what one of ours is of it. The text is English prose, the same with a space for each line break, and the same with
neither; "MB" is a million code points. `growth` is the time for a megabyte of one 50 MB document over that of 50 KB
documents, and the memory at the peak, less the chunks, for each code point.
"""

from __future__ import annotations

import argparse
import gzip
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import chonkie
import semantic_text_splitter
import tiktoken
from langchain_text_splitters import RecursiveCharacterTextSplitter
from llama_index.core.node_parser import SentenceSplitter

from embedpipe.chunking import RecursiveChunker, SentenceChunker, TokenChunker
from embedpipe.types import Chunk

TEXT = Path(__file__).parents[2] / "shared" / "data" / "text" / "english_books_20mb.txt.gz"
SEPARATORS = ("\n\n", "\n", " ", "")
MILLION = 1_000_000

Side = Callable[[str], Any]


def read(megabytes: float) -> dict[str, str]:
    with gzip.open(TEXT, "rt", encoding="utf-8", newline="") as file:
        prose = file.read(int(megabytes * MILLION))
    flat = " ".join(prose.split("\n"))
    return {"prose": prose, "no line breaks": flat, "no separators": "".join(flat.split())}


def compare(title: str, documents: Sequence[str], sides: dict[str, Side], *, ours: Sequence[str], repeats: int) -> None:
    """Runs all sides in turns and prints the medians, and the ratio of each of ours to each peer."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, side in sides.items():
            begun = time.perf_counter()
            for document in documents:
                side(document)
            times[name].append(time.perf_counter() - begun)
    size = sum(len(document) for document in documents) / MILLION
    speeds = {name: size / statistics.median(taken) for name, taken in times.items()}
    print(f"\n{title}: {size:.1f} MB in {len(documents)} document(s), {repeats} repeats")
    for name, speed in speeds.items():
        ratios = "" if name in ours else "  ".join(f"{mine} x{speeds[mine] / speed:.2f}" for mine in ours)
        print(f"  {name:44} {speed:9.2f} MB/s  {ratios}")


def cut(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def characters(megabytes: float, repeats: int) -> None:
    same = RecursiveChunker(chunk_size=1000, separators=SEPARATORS).chunk
    own = RecursiveChunker(chunk_size=1000).chunk
    langchain = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=0, add_start_index=True)
    ours = ("ours", "ours, own separators")
    sides: dict[str, Side] = {
        "ours": same,
        "ours, own separators": own,
        "langchain split_text": langchain.split_text,
        "langchain create_documents, start_index": lambda text: langchain.create_documents([text]),
    }
    texts = read(megabytes)
    for title, text in texts.items():
        document = text[:MILLION] if title == "no separators" else text
        compare(f"characters 1000, {title}", [document], sides, ours=ours, repeats=repeats)
    rust = semantic_text_splitter.TextSplitter(1000)
    sides = {"ours": same, "ours, own separators": own, "semantic-text-splitter": rust.chunks}
    compare("characters 1000, 40 KB documents", cut(texts["prose"], 40_000), sides, ours=ours, repeats=repeats)
    compare("characters 1000, one document", [read(5)["prose"]], sides, ours=ours, repeats=repeats)


def tokens(megabytes: float, repeats: int) -> None:
    encoding = tiktoken.get_encoding("cl100k_base")
    langchain = RecursiveCharacterTextSplitter.from_tiktoken_encoder("cl100k_base", chunk_size=256, chunk_overlap=0)
    llama_index = SentenceSplitter(chunk_size=256, chunk_overlap=0, tokenizer=encoding.encode_ordinary)
    ours = ("recursive", "tokens")
    sides: dict[str, Side] = {
        "recursive": RecursiveChunker(chunk_size=256, unit="tokens", separators=SEPARATORS).chunk,
        "tokens": TokenChunker(chunk_size=256).chunk,
        "sentences": SentenceChunker(chunk_size=256, unit="tokens").chunk,
        "tiktoken encode_ordinary": encoding.encode_ordinary,
        "langchain from_tiktoken_encoder": langchain.split_text,
        "llama-index SentenceSplitter": llama_index.split_text,
        "chonkie RecursiveChunker": chonkie.RecursiveChunker(tokenizer=encoding, chunk_size=256).chunk,
    }
    for title, text in read(megabytes).items():
        few = {name: side for name, side in sides.items() if title != "no separators" or "llama" not in name}
        compare(f"tokens 256, {title}", [text[:MILLION]], few, ours=ours, repeats=repeats)


def growth(_megabytes: float, repeats: int) -> None:
    prose = (read(20)["prose"] * 3)[: 50 * MILLION]
    chunkers = {
        "characters": RecursiveChunker(chunk_size=1000),
        "tokens": RecursiveChunker(chunk_size=256, unit="tokens"),
        "sentences": SentenceChunker(chunk_size=1000),
    }
    for name, chunker in chunkers.items():
        ratios = []
        for _ in range(repeats):
            begun = time.perf_counter()
            for document in cut(prose, 50_000):
                chunker.chunk(document)
            middle = time.perf_counter()
            chunker.chunk(prose)
            ratios.append((time.perf_counter() - middle) / (middle - begun))
        print(f"{name:12} 50 MB over 50 KB: x{statistics.median(ratios):.2f} (n = {repeats}), {memory(chunker, prose)}")


def memory(chunker: Any, text: str) -> str:
    text = text[: 10 * MILLION]
    tracemalloc.start()
    chunks: list[Chunk] = chunker.chunk(text)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return f"{(peak - held) / len(text):.2f} bytes a code point over {len(chunks)} chunks"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = {"characters": characters, "tokens": tokens, "growth": growth}
    parser.add_argument("part", nargs="?", choices=parts)
    parser.add_argument("--megabytes", type=float, default=4)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    if not TEXT.exists():
        sys.exit(f"{TEXT.name} lies outside the project and is not there.")
    for part in [given.part] if given.part else parts:
        parts[part](given.megabytes, given.repeats)


if __name__ == "__main__":
    main()
