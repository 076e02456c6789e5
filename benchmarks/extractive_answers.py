"""How often an extractive answer holds the gold answer of SQuAD v1.1 dev, by what its sentences are chosen by.

Each of a sample of questions gets the five paragraphs nearest by all-MiniLM-L6-v2 (exact cosine), and an answer of
one, two or three sentences chosen from them. Printed: the share of answers that hold one of the gold spans word for
word, and the share of questions for which any of the five paragraphs does, which no choice can exceed.

    python benchmarks/extractive_answers.py [questions]
"""

from __future__ import annotations

import gzip
import json
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from embedpipe.answering.extractive import ExtractiveAnswerer
from embedpipe.embedding import EmbeddingGenerator
from embedpipe.retrieval.context import ContextSettings, Passage, build_context
from embedpipe.text import sentence_spans
from embedpipe.types import Chunk, SearchResult, Vectors

DATA = Path(__file__).parents[2] / "shared" / "data" / "retrieval" / "squad_v11_dev"
SIZES = (1, 2, 3)

Choose = Callable[[str, Sequence[Passage], int], list[str]]


def rows(name: str) -> list[dict[str, Any]]:
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def by_words(question: str, sources: Sequence[Passage], size: int) -> list[str]:
    statements = ExtractiveAnswerer(max_sentences=size).statements(question, sources)
    return [statement.citations[0].quote or "" for statement in statements]


def by_similarity(question_vector: Vectors, sentences: dict[str, Vectors]) -> Choose:
    def choose(_question: str, sources: Sequence[Passage], size: int) -> list[str]:
        texts = [s.text[a:b] for s in sources for a, b in sentence_spans(s.text)]
        return sorted(texts, key=lambda text: -float(sentences[text] @ question_vector))[:size]

    return choose


def leading(_question: str, sources: Sequence[Passage], size: int) -> list[str]:
    return [sources[0].text[a:b] for a, b in sentence_spans(sources[0].text)[:size]]


def found(paragraphs: Sequence[str], similarities: Vectors) -> list[Passage]:
    nearest = np.argsort(-similarities)[:5]
    results = [
        SearchResult(
            chunk=Chunk.whole(paragraphs[i], id=str(i), document_id=str(i)),
            score=float(similarities[i]),
            similarity=float(similarities[i]),
        )
        for i in nearest
    ]
    return build_context(results, ContextSettings(max_tokens=None))[0]


def main(questions: int) -> None:
    generator = EmbeddingGenerator("all-MiniLM-L6-v2")
    paragraphs = [row["text"] for row in rows("corpus")]
    asked = random.Random(1).sample(rows("spans"), questions)
    paragraph_vectors = generator.generate_batch(paragraphs).vectors
    texts = sorted({p[a:b] for p in paragraphs for a, b in sentence_spans(p)})
    sentences = dict(zip(texts, generator.generate_batch(texts).vectors, strict=True))
    vectors = generator.generate_batch([row["question"] for row in asked], "query").vectors
    hits: dict[str, list[bool]] = {}
    for row, vector in zip(asked, vectors, strict=True):
        sources = found(paragraphs, paragraph_vectors @ vector)
        gold = [reference["content"] for reference in row["references"]]
        ways: dict[str, Choose] = {
            "first sentences of the best paragraph": leading,
            "similarity of question and sentence": by_similarity(vector, sentences),
            "words, and the source's similarity": by_words,
        }
        for name, choose in ways.items():
            for size in SIZES:
                chosen = choose(row["question"], sources, size)
                hits.setdefault(f"{name}, {size}", []).append(any(g in text for text in chosen for g in gold))
        hits.setdefault("any sentence", []).append(any(g in s.text for s in sources for g in gold))
    for name, values in hits.items():
        print(f"{name:45} {np.mean(values):.3f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1500)
