"""Chunking speed beside the peers: LangChain, semantic-text-splitter, chonkie, LlamaIndex and tiktoken itself.

    python benchmarks/chunking_speed.py [characters|tokens|growth] [--megabytes 4] [--repeats 5]

Needs semantic-text-splitter and chonkie. All sides take turns, each repeat over another part of the text, since some
remember what they have seen; printed are the median speed of each and what ours is of it. The text is English prose,
the same with a space for each line break, and the same with neither; "MB" is a million code points. `growth` is the
time for one long document over that of the same text as 50 KB documents, the chunks kept, and the peak memory, less
the chunks, for each code point.
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


def compare(title: str, rounds: Sequence[Sequence[str]], sides: dict[str, Side], *, ours: Sequence[str]) -> None:
    """Runs all sides in turns over each round's documents; prints the medians, and the ratio of ours to each peer."""
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    for documents in rounds:
        size = sum(len(document) for document in documents) / MILLION
        for name, side in sides.items():
            begun = time.perf_counter()
            for document in documents:
                side(document)
            speeds[name].append(size / (time.perf_counter() - begun))
    medians = {name: statistics.median(taken) for name, taken in speeds.items()}
    print(f"\n{title}: {len(rounds)} rounds of {len(rounds[0])} document(s) of {len(rounds[0][0]):,} code points")
    for name, speed in medians.items():
        ratios = "" if name in ours else "  ".join(f"{mine} x{medians[mine] / speed:.2f}" for mine in ours)
        print(f"  {name:44} {speed:9.2f} MB/s  {ratios}", flush=True)


def cut(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def characters(megabytes: float, repeats: int) -> None:
    same = RecursiveChunker(chunk_size=1000, separators=SEPARATORS).chunk
    own = RecursiveChunker(chunk_size=1000).chunk
    langchain = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=0, add_start_index=True)
    rust = semantic_text_splitter.TextSplitter(1000)
    ours = ("ours", "ours, own separators")
    mine: dict[str, Side] = {"ours": same, "ours, own separators": own}
    sides = mine | {
        "langchain split_text": langchain.split_text,
        "langchain create_documents, start_index": lambda text: langchain.create_documents([text]),
    }
    for title, text in read(megabytes * repeats).items():
        size = len(text) // repeats
        parts = cut(text, min(size, MILLION) if title == "no separators" else size)[:repeats]
        compare(f"characters 1000, {title}", [[part] for part in parts], sides, ours=ours)
    sides = mine | {"semantic-text-splitter": rust.chunks}
    prose = read(20)["prose"]
    documents = cut(prose, 40_000)
    compare("characters 1000", [documents[i::repeats] for i in range(repeats)], sides, ours=ours)
    rounds = [[(prose[i * MILLION :])[: 5 * MILLION]] for i in range(repeats)]
    compare("characters 1000", rounds, sides, ours=ours)


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
    for title, text in read(megabytes * repeats).items():
        few = {name: side for name, side in sides.items() if title != "no separators" or "llama" not in name}
        parts = cut(text, len(text) // repeats)[:repeats]
        compare(f"tokens 256, {title}", [[part] for part in parts], few, ours=ours)


def growth(megabytes: float, repeats: int) -> None:
    prose = (read(20)["prose"] * 3)[: int(megabytes * MILLION)]
    chunkers = {
        "characters": RecursiveChunker(chunk_size=1000),
        "tokens": RecursiveChunker(chunk_size=256, unit="tokens"),
        "sentences": SentenceChunker(chunk_size=1000),
    }
    for name, chunker in chunkers.items():
        ratios = []
        for _ in range(repeats):
            begun = time.perf_counter()
            short = [chunker.chunk(document) for document in cut(prose, 50_000)]
            middle = time.perf_counter()
            del short
            between = time.perf_counter()
            whole = chunker.chunk(prose)
            ratios.append((time.perf_counter() - between) / (middle - begun))
            del whole
        ratio = f"x{statistics.median(ratios):.2f} (n = {repeats})"
        print(f"{name:12} {len(prose) / MILLION:.0f} MB over 50 KB: {ratio}, {memory(chunker, prose)}", flush=True)


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
    parser.add_argument("--megabytes", type=float, help="of a part; 4 where not given, 0.5 for tokens, 50 for growth")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    if not TEXT.exists():
        sys.exit(f"{TEXT.name} lies outside the project and is not there.")
    for part in [given.part] if given.part else parts:
        parts[part](given.megabytes or {"characters": 4, "tokens": 0.5, "growth": 50}[part], given.repeats)


if __name__ == "__main__":
    main()
