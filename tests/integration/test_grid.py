"""Chunkers, modes and rerankers, each with each, over a set of labelled questions."""

from __future__ import annotations

from typing import Any

import pytest

from embedpipe.chunking import RecursiveChunker, SentenceChunker
from embedpipe.errors import ConfigurationError, InputError
from embedpipe.evaluation import EvaluationSet, ExcerptSet, Grid, Report, Run
from embedpipe.evaluation.datasets import Excerpt
from embedpipe.reranking import LexicalReranker
from embedpipe.storage import Database
from embedpipe.types import Document

TEXTS = {
    "cats": "Cats sleep all day. They wake up when it gets dark.",
    "dogs": "Dogs bark at strangers. They want to go out.",
    "ships": "The harbour lies in the north. Ships wait there for the tide.",
}
DOCUMENTS = [Document(id=name, text=text) for name, text in TEXTS.items()]
QUERIES = {"1": "When do cats wake up?", "2": "What do ships wait for?"}
CHUNKERS = {"whole": None, "sentences": SentenceChunker(max_sentences=1)}


def labelled() -> EvaluationSet:
    relevant = {"1": {"cats": 1}, "2": {"ships": 1}}
    return EvaluationSet(name="pets", queries=QUERIES, relevant=relevant, documents=DOCUMENTS)


def test_each_combination_is_measured_and_leaves_nothing_behind(minilm: Any, database: Database) -> None:
    seen: list[Run] = []
    grid = Grid(
        chunkers=CHUNKERS,
        models=[minilm],
        modes=["dense", "hybrid"],
        rerankers={"none": None, "overlap": LexicalReranker()},
        measures=["RR@10", "R@1"],
    )
    runs = grid.run(labelled(), database, on_run=seen.append)
    assert seen == runs
    assert [(run.settings["chunker"], run.settings["mode"], run.settings["reranker"]) for run in runs] == [
        (chunker, mode, reranker)
        for chunker in ("whole", "sentences")
        for mode in ("dense", "hybrid")
        for reranker in ("none", "overlap")
    ]
    assert {run.mean("R@1") for run in runs} == {1.0}
    assert [run.settings["chunks"] for run in runs] == [3] * 4 + [6] * 4
    assert all(run.settings["tokens"] > 20 and run.settings["cost"] == 0 for run in runs)
    assert database.collections() == []
    report = Report(runs)
    assert report.markdown().count("\n") == 1 + len(runs)
    assert runs[0].name in report._repr_html_()
    assert len(report.plot().axes) == 2


def test_gold_excerpts_are_measured_by_their_characters(minilm: Any, database: Database) -> None:
    text = TEXTS["cats"]
    gold = {"1": [Excerpt("cats", text.index("They"), len(text))]}
    dataset = ExcerptSet(
        name="excerpts", queries={"1": "What happens when it gets dark?"}, gold=gold, documents=DOCUMENTS[:1]
    )
    [run] = Grid(chunkers={"sentences": CHUNKERS["sentences"]}, models=[minilm], modes=["dense"], k=1).run(
        dataset, database
    )
    assert {name: run.mean(name) for name in run.scores} == {"recall": 1.0, "precision": 1.0, "iou": 1.0}


def test_a_document_that_fails_ends_the_grid_and_leaves_nothing_behind(minilm: Any, database: Database) -> None:
    dataset = EvaluationSet(
        name="pets",
        queries=QUERIES,
        relevant={"1": {"cats": 1}},
        documents=[*DOCUMENTS, Document(id="blank", text=" ")],
    )
    with pytest.raises(InputError, match="1 documents of 'pets' could not be ingested"):
        Grid(chunkers={"all": RecursiveChunker()}, models=[minilm]).run(dataset, database)
    assert database.collections() == []


def test_what_cannot_be_measured_is_refused(database: Database) -> None:
    with pytest.raises(ConfigurationError, match="at least one chunker"):
        Grid(chunkers={})
    with pytest.raises(InputError, match="has no documents"):
        Grid(chunkers=CHUNKERS).run(EvaluationSet(name="bare", queries=QUERIES, relevant={}), database)
    with pytest.raises(InputError, match="Pass runs of one set"):
        Report([])
