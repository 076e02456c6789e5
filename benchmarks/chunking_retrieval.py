"""What chunking does to retrieval: recall, precision and IoU of characters, after Chroma's evaluation.

    python benchmarks/chunking_retrieval.py [--mean-tokens 150] [--chunkers NAME ...] [--hybrid CHARACTERS]

Each chunker's size is set so that its mean chunk has the same number of tokens of all-MiniLM-L6-v2, which also embeds.
The five chunks nearest to a question, out of one collection of all corpora, are compared with the gold excerpts: with H
the gold characters covered, recall = H / gold, precision = H / retrieved (overlap counted twice), IoU = H / (retrieved
+ gold not covered). Printed: means over the questions with their standard error, and the paired difference to
LangChain's splitter. `--hybrid 600` adds what the package is meant for: hybrid search with its defaults over
`RecursiveChunker(chunk_size=600)`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from langchain_text_splitters import RecursiveCharacterTextSplitter
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import Document

from embedpipe import Document as Text
from embedpipe import SemanticSearchService
from embedpipe.chunking import ParagraphChunker, RecursiveChunker, SemanticChunker, SentenceChunker, TokenChunker
from embedpipe.embedding import EmbeddingGenerator
from embedpipe.evaluation import ExcerptSet, excerpt_scores, load_excerpts
from embedpipe.evaluation.datasets import Excerpt
from embedpipe.text import TokenCounter, token_counter
from embedpipe.types import Chunk

DATA = Path(__file__).parents[2] / "shared" / "data" / "chunking"
K = 5

Spans = list[tuple[int, int]]
Cut = Callable[[str], Spans]


@cache
def generator() -> EmbeddingGenerator:
    """With a cache, since every size that is tried cuts the same pieces."""
    return EmbeddingGenerator("all-MiniLM-L6-v2", on_too_long="truncate", cache=tempfile.mkdtemp())


@cache
def counter() -> TokenCounter:
    model: Any = generator().model
    return token_counter(model.counter.name)


def ours(chunker: Any) -> Cut:
    def cut(text: str) -> Spans:
        chunks: list[Chunk] = chunker.chunk(text)
        return [(chunk.start_index, chunk.end_index) for chunk in chunks]

    return cut


def by_tokens(build: Any, **settings: Any) -> Callable[[int], Cut]:
    return lambda size: ours(build(chunk_size=size, tokenizer=counter().name, **settings))


def langchain(size: int) -> Cut:
    splitter = RecursiveCharacterTextSplitter(chunk_size=size, chunk_overlap=0, length_function=counter().count)

    def cut(text: str) -> Spans:
        spans, start = [], 0
        for piece in splitter.split_text(text):
            start = text.index(piece, start)
            spans.append((start, start + len(piece)))
            start += len(piece)
        return spans

    return cut


def llama_index(size: int) -> Cut:
    splitter = SentenceSplitter(chunk_size=size, chunk_overlap=0, tokenizer=lambda text: [0] * counter().count(text))

    def cut(text: str) -> Spans:
        nodes: list[Any] = list(splitter.get_nodes_from_documents([Document(text=text)]))
        return [(node.start_char_idx, node.end_char_idx) for node in nodes]

    return cut


CHUNKERS: dict[str, Callable[[int], Cut]] = {
    "langchain recursive": langchain,
    "llama-index sentence": llama_index,
    "recursive": by_tokens(RecursiveChunker, unit="tokens"),
    "recursive, LangChain's": by_tokens(RecursiveChunker, unit="tokens", separators=("\n\n", "\n", " ", "")),
    "recursive, overlap 50": by_tokens(RecursiveChunker, unit="tokens", chunk_overlap=50),
    "tokens": by_tokens(TokenChunker),
    "sentences": by_tokens(SentenceChunker, unit="tokens"),
    "paragraphs": by_tokens(ParagraphChunker, unit="tokens"),
    "semantic, dynamic": lambda size: by_tokens(SemanticChunker, unit="tokens", model=generator(), piece_size=50)(size),
}


def mean_tokens(cut: Cut, corpora: dict[str, str]) -> float:
    counts = [n for text in corpora.values() for n in counter().count_many([text[a:b] for a, b in cut(text)])]
    return statistics.mean(counts)


def sized(build: Callable[[int], Cut], corpora: dict[str, str], wanted: float) -> tuple[int, Cut]:
    """The size whose mean chunk comes nearest to the wanted one."""
    low, high = int(wanted), int(wanted * 4)
    while high - low > max(low // 50, 1):
        middle = (low + high) // 2
        low, high = (middle, high) if mean_tokens(build(middle), corpora) < wanted else (low, middle)
    return high, build(high)


def scores(cut: Cut, corpora: dict[str, str], questions: ExcerptSet) -> np.ndarray[Any, Any]:
    """(questions, 3): recall, precision and IoU of dense search."""
    chunks = [Excerpt(name, *span) for name, text in corpora.items() for span in cut(text)]
    vectors = generator().generate_batch([corpora[name][start:end] for name, start, end in chunks]).vectors
    asked = generator().generate_batch(list(questions.queries.values()), kind="query").vectors
    nearest = np.argsort(-(asked @ vectors.T), axis=1)[:, :K]
    return compared(questions, [[chunks[i] for i in row] for row in nearest])


def hybrid_scores(characters: int, corpora: dict[str, str], questions: ExcerptSet) -> np.ndarray[Any, Any]:
    """(questions, 3): recall, precision and IoU of hybrid search over RecursiveChunker."""
    service = SemanticSearchService(generator(), chunker=RecursiveChunker(chunk_size=characters), collection="hybrid")
    service.ingest(Text(id=name, text=text) for name, text in corpora.items())
    found = [service.search(text, k=K, mode="hybrid") for text in questions.queries.values()]
    return compared(
        questions, [[Excerpt(str(r.document_id), r.chunk.start_index, r.chunk.end_index) for r in row] for row in found]
    )


def compared(questions: ExcerptSet, found: list[list[Excerpt]]) -> np.ndarray[Any, Any]:
    """(questions, 3): recall, precision and IoU of what each question found."""
    gold = [questions.gold[query] for query in questions.queries]
    return np.array([excerpt_scores(g, row) for g, row in zip(gold, found, strict=True)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mean-tokens", type=float, default=150)
    parser.add_argument("--chunkers", nargs="+", default=list(CHUNKERS), choices=CHUNKERS)
    parser.add_argument("--hybrid", type=int, metavar="CHARACTERS", help="also hybrid search, with chunks of that size")
    given = parser.parse_args()
    if not DATA.exists():
        sys.exit("The chunking evaluation lies outside the project and is not there.")
    questions = load_excerpts(DATA)
    corpora = {document.id: document.text for document in questions.documents}
    asked = len(questions.queries)
    print(f"{asked} questions, {len(corpora)} corpora, top {K}, mean chunk {given.mean_tokens:g} tokens")
    base = None
    for name in given.chunkers:
        size, cut = sized(CHUNKERS[name], corpora, given.mean_tokens)
        reached = scores(cut, corpora, questions)
        base = reached if base is None else base
        show(f"{name:22} size {size:4} mean {mean_tokens(cut, corpora):6.1f}", reached, base)
    if given.hybrid:
        reached = hybrid_scores(given.hybrid, corpora, questions)
        show(f"hybrid, recursive {given.hybrid} characters", reached, reached if base is None else base)


def show(label: str, reached: np.ndarray[Any, Any], base: np.ndarray[Any, Any]) -> None:
    """Print the means with their standard errors, and in brackets the paired differences to the base."""
    error = reached.std(axis=0, ddof=1) / np.sqrt(len(reached))
    gain = reached - base
    gain_error = gain.std(axis=0, ddof=1) / np.sqrt(len(reached))
    cells = "  ".join(
        f"{label} {100 * m:5.1f} ±{100 * e:.1f} ({100 * g:+.1f} ±{100 * x:.1f})"
        for label, m, e, g, x in zip(
            ("recall", "precision", "IoU"), reached.mean(axis=0), error, gain.mean(axis=0), gain_error, strict=True
        )
    )
    print(f"{label}  {cells}", flush=True)


if __name__ == "__main__":
    main()
