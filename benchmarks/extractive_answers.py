"""How often an extractive answer holds the gold answer of SQuAD v1.1 dev, and how often it rightly gives none.

    python benchmarks/extractive_answers.py choice [questions]
    python benchmarks/extractive_answers.py refusal [questions] [--sets squad_v11_dev xquad_de ...]

`choice`: each of a sample of questions gets the five paragraphs that a search finds, and an answer of one, two or three
sentences chosen from them. Printed for dense and for hybrid search: the share of answers that hold one of the gold
spans word for word, and the share of questions for which any of the five paragraphs does, which no choice can exceed.
The weights were chosen on every second article. The sample is of the other articles.

`refusal`: each question is asked twice, of all documents and of all but its own article. Printed for several values of
`least_share`: how many questions of each kind are answered, and for SQuAD how many answers hold a gold span.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from embedpipe.answering import Cosines, ExtractiveAnswerer
from embedpipe.embedding import EmbeddingGenerator
from embedpipe.retrieval.context import ContextSettings, Passage, build_context
from embedpipe.storage import Database, PgVectorStore
from embedpipe.storage.embedded.server import embedded_url
from embedpipe.text import sentence_spans
from embedpipe.types import Chunk, SearchMode, Vectors
from storage import fresh

DATA = Path(__file__).parents[2] / "shared" / "data" / "retrieval"
SQUAD = "squad_v11_dev"
SIZES = (1, 2, 3)
MODES: tuple[SearchMode, ...] = ("dense", "hybrid")
SHARES = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
MODEL = "all-MiniLM-L6-v2"


class Asked(NamedTuple):
    """A question with its article, and its gold spans, if the set has them."""

    text: str
    article: str
    gold: tuple[str, ...]


class Paragraphs:
    """The paragraphs of a set in a store of their own."""

    def __init__(self, url: str, name: str, generator: EmbeddingGenerator) -> None:
        self.generator = generator
        self.rows = _rows(name, "corpus")
        self.store = PgVectorStore(Database(url), collection=name, model=generator.spec)
        vectors = generator.generate_batch([row["text"] for row in self.rows]).vectors
        chunks = [
            Chunk.whole(row["text"], id=row["_id"], document_id=row["_id"], metadata={"article": _article(row["_id"])})
            for row in self.rows
        ]
        self.store.upsert(chunks, vectors)
        self.store.refresh_statistics()

    def found(self, asked: Asked, vector: Vectors, mode: SearchMode, *, without_own: bool = False) -> list[Passage]:
        condition = {"article": {"$ne": asked.article}} if without_own else None
        by_words = mode == "lexical"
        results = self.store.search(None if by_words else vector, asked.text, mode=mode, k=5, filter=condition)
        return build_context(results, ContextSettings(max_tokens=None))[0]


def _rows(name: str, part: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in _text(DATA / name / f"{part}.jsonl").split("\n") if line]


def _text(path: Path) -> str:
    return path.read_text("utf-8") if path.exists() else gzip.decompress(Path(f"{path}.gz").read_bytes()).decode()


def _article(paragraph: str) -> str:
    return paragraph.partition("-")[0]


def questions(name: str, count: int) -> list[Asked]:
    """Return a sample of questions, of SQuAD only on the articles that the weights were not chosen on."""
    if name == SQUAD:
        rows = _rows(name, "spans")
        held_out = set(sorted({row["corpus_id"] for row in rows})[1::2])
        found = [
            Asked(row["question"], row["corpus_id"], tuple(span["content"] for span in row["references"]))
            for row in rows
            if row["corpus_id"] in held_out
        ]
    else:
        own: defaultdict[str, str] = defaultdict(str)
        lines = _text(DATA / name / "qrels.tsv").splitlines()
        own.update((query, _article(paragraph)) for query, paragraph, _ in (line.split("\t") for line in lines))
        found = [Asked(row["text"], own[row["_id"]], ()) for row in _rows(name, "queries")]
    return random.Random(1).sample(found, min(count, len(found)))


def _first_sentences(sources: Sequence[Passage], size: int) -> list[str]:
    return [sources[0].text[a:b] for a, b in sentence_spans(sources[0].text)[:size]]


def _quoted(
    answerer: ExtractiveAnswerer, asked: Asked, sources: Sequence[Passage], cosines: Cosines | None = None
) -> list[str]:
    return [statement.citations[0].quote or "" for statement in answerer.statements(asked.text, sources, cosines)]


def _holds(texts: Sequence[str], asked: Asked) -> bool:
    return any(gold in text for text in texts for gold in asked.gold)


def choice(paragraphs: Paragraphs, asked: Sequence[Asked], vectors: Vectors) -> Iterator[str]:
    for mode in MODES:
        hits: defaultdict[str, list[float]] = defaultdict(list)
        for each, vector in zip(asked, vectors, strict=True):
            sources = paragraphs.found(each, vector, mode)
            for size in SIZES:
                every = _quoted(ExtractiveAnswerer(max_sentences=size, margin=10, least_share=0), each, sources)
                hits[f"embedpipe, {size}"].append(_holds(every, each))
                hits[f"first sentences of the best paragraph, {size}"].append(
                    _holds(_first_sentences(sources, size), each)
                )
            quoted = _quoted(ExtractiveAnswerer(least_share=0), each, sources)
            hits["embedpipe, as many as are nearly as good"].append(_holds(quoted, each))
            hits["... and how many these are"].append(len(quoted))
            hits["any sentence"].append(_holds([source.text for source in sources], each))
        yield from (f"{mode:7} {name:45} {np.mean(values):.3f}" for name, values in hits.items())


def refusal(paragraphs: Paragraphs, asked: Sequence[Asked], vectors: Vectors, mode: SearchMode) -> Iterator[str]:
    cosines = paragraphs.store.cosines()
    answered: defaultdict[float, list[tuple[bool, bool, bool]]] = defaultdict(list)
    for each, vector in zip(asked, vectors, strict=True):
        own, others = (paragraphs.found(each, vector, mode, without_own=flag) for flag in (False, True))
        for share in SHARES:
            answerer = ExtractiveAnswerer(max_sentences=1, least_share=share)
            quoted = _quoted(answerer, each, own, cosines)
            wrongly = _quoted(answerer, each, others, cosines)
            answered[share].append((bool(quoted), _holds(quoted, each), bool(wrongly)))
    for share, rows in answered.items():
        given, right, wrongly = np.mean(rows, axis=0)
        correct = f", of these right {right / max(given, 1e-9):.3f}" if any(each.gold for each in asked) else ""
        yield f"{share:.1f}  answered {given:.3f}{correct}; without the article {wrongly:.3f}"


def main(arguments: argparse.Namespace) -> None:
    generator = EmbeddingGenerator(MODEL)
    with tempfile.TemporaryDirectory() as folder:
        server = embedded_url(Path(folder) / "server").replace("embedpipe@", "postgres@")
        for name in arguments.sets if arguments.measure == "refusal" else [SQUAD]:
            paragraphs = Paragraphs(fresh(server, name), name, generator)
            asked = questions(name, arguments.questions)
            vectors = generator.generate_batch([each.text for each in asked], "query").vectors
            # The model knows English alone: elsewhere the search is by words.
            mode: SearchMode = "hybrid" if name == SQUAD else "lexical"
            print(name, len(asked), "questions", flush=True)
            if arguments.measure == "choice":
                lines = choice(paragraphs, asked, vectors)
            else:
                lines = refusal(paragraphs, asked, vectors, mode)
            for line in lines:
                print(line, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measure", choices=["choice", "refusal"])
    parser.add_argument("questions", type=int, nargs="?", default=1500)
    parser.add_argument("--sets", nargs="+", default=[SQUAD, "xquad_de", "xquad_es", "xquad_vi", "xquad_zh"])
    main(parser.parse_args())
