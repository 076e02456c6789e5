from __future__ import annotations

import gzip
import json
import math
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedpipe.errors import ConfigurationError, InputError
from embedpipe.evaluation import (
    EvaluationSet,
    Run,
    compare,
    evaluate,
    excerpt_scores,
    load_beir,
    load_csv,
    load_excerpts,
    load_runs,
    measure,
    save_runs,
)
from embedpipe.evaluation.datasets import Excerpt
from embedpipe.evaluation.runs import randomization_p
from embedpipe.types import SearchResult
from searching import result

DATA = Path(__file__).parents[4] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the labelled data is not beside this checkout")

GRADES = {"q": {"a": 3, "b": 2, "c": 1}}


def write_beir(folder: Path, *, ending: str = "", qrels: str = "qrels.tsv") -> Path:
    files = {
        "corpus.jsonl": '{"_id": "d1", "title": "T", "text": "one\u2028line"}\n'
        '{"_id": "d2", "title": "", "text": "two"}\n',
        "queries.jsonl": '{"_id": "q1", "text": "one?"}\n{"_id": "q2", "text": "unjudged?"}\n',
        qrels: "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\n",
    }
    for name, text in files.items():
        path = folder / f"{name}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()) if ending else text.encode())
    return folder


@pytest.mark.parametrize(("ending", "qrels"), [("", "qrels.tsv"), (".gz", "qrels.tsv"), ("", "qrels/test.tsv")])
def test_beir_folders(tmp_path: Path, ending: str, qrels: str) -> None:
    loaded = load_beir(write_beir(tmp_path / "mine", ending=ending, qrels=qrels))
    assert loaded.name == "mine"
    assert loaded.queries == {"q1": "one?"}
    assert loaded.relevant == {"q1": {"d1": 2}}
    assert [(d.id, d.text, d.metadata) for d in loaded.documents] == [
        ("d1", "T\none\u2028line", {"title": "T"}),
        ("d2", "two", {}),
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("corpus.jsonl", '{"_id": "d1"}', r"corpus.jsonl, line 1"),
        ("corpus.jsonl", "\nnot json", r"corpus.jsonl, line 2"),
        ("qrels.tsv", "q1\td1\tmany", r"qrels.tsv, line 1: the relevance 'many' is not a whole number"),
        ("qrels.tsv", "q1 d1 1", r"qrels.tsv, line 1: 'q1 d1 1' is no judgement"),
        ("qrels.tsv", "q9\td1\t1", r"1 judged queries are missing from queries.jsonl"),
    ],
)
def test_damaged_beir_folders_name_the_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    write_beir(tmp_path)
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        load_beir(tmp_path)


def test_a_folder_without_the_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no corpus.jsonl"):
        load_beir(tmp_path)


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text('\ufeffquery,document_id,relevance\n"a, b?",d1,2\n"a, b?",d2,\nc?,d3,1\n', encoding="utf-8")
    loaded = load_csv(path)
    assert loaded.relevant == {"a, b?": {"d1": 2, "d2": 1}, "c?": {"d3": 1}}
    for text, message in [("query,id\nx,1\n", "line 2"), ("query,document_id\n", "no rows")]:
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            load_csv(path)
    with pytest.raises(InputError, match="does not exist"):
        load_csv(tmp_path / "absent.csv")


def test_measures_have_their_textbook_values() -> None:
    values = measure(GRADES, {"q": ["x", "b", "a"]}, ["nDCG@10", "R@2", "P@2", "RR@10", "AP@10"])
    gain = 2 / math.log2(3) + 3 / math.log2(4)  # linear gains, as trec_eval has them
    ideal = 3 + 2 / math.log2(3) + 1 / math.log2(4)
    expected = {"nDCG@10": gain / ideal, "R@2": 1 / 3, "P@2": 1 / 2, "RR@10": 1 / 2, "AP@10": (1 / 2 + 2 / 3) / 3}
    assert {name: by_query["q"] for name, by_query in values.items()} == pytest.approx(expected)


def test_a_query_without_results_counts_zero() -> None:
    values = measure(GRADES | {"r": {"a": 1}}, {"r": ["a"]}, ["nDCG@10"])
    assert values == {"nDCG@10": {"q": 0.0, "r": 1.0}}


def test_an_unknown_measure_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no measure"):
        measure(GRADES, {}, ["goodness"])


def test_excerpt_scores_by_hand() -> None:
    gold = [Excerpt("a", 10, 20), Excerpt("a", 30, 40)]
    retrieved = [Excerpt("a", 15, 35), Excerpt("a", 15, 25), Excerpt("b", 10, 20)]
    assert excerpt_scores(gold, retrieved) == pytest.approx((10 / 20, 10 / 40, 10 / (40 + 10)))
    assert excerpt_scores(gold, gold) == (1.0, 1.0, 1.0)
    assert excerpt_scores(gold, []) == (0.0, 0.0, 0.0)


def run(name: str, values: list[float], dataset: str = "set") -> Run:
    return Run(name=name, dataset=dataset, scores={"R@5": {f"q{i}": v for i, v in enumerate(values)}})


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=12))
def test_p_values_are_probabilities_and_do_not_depend_on_the_sign(values: list[float]) -> None:
    differences = np.array(values)
    p = randomization_p(differences)
    assert 0 < p <= 1
    assert p == randomization_p(-differences)


def test_p_values_agree_with_all_sign_flips_counted() -> None:
    generator = np.random.default_rng(3)
    signs = np.array(list(product((-1, 1), repeat=12)))
    for shift in (0.0, 0.1, 0.25):
        differences = generator.normal(shift, 0.3, 12)
        exact = np.mean(abs(signs @ differences) >= abs(differences.sum()) - 1e-12)
        assert randomization_p(differences) == pytest.approx(exact, abs=0.02)


def test_compare() -> None:
    base, other = run("base", [0.0] * 20 + [1.0]), run("other", [1.0] * 20 + [0.0])
    found = compare(base, other, "R@5")
    assert (found.better, found.worse, found.queries) == (20, 1, 21)
    assert found.difference == pytest.approx(19 / 21)
    assert found.p_value < 0.001
    assert compare(base, base, "R@5").p_value == 1.0
    with pytest.raises(InputError, match="share no query"):
        compare(base, run("other", [1.0], dataset="another"), "R@5")


def test_runs_are_evaluated_saved_and_loaded(tmp_path: Path) -> None:
    asked: list[str] = []

    def search(query: str) -> list[SearchResult]:
        asked.append(query)
        return [result(0, 5, id="x"), result(6, 9, id="a"), result(9, 12, id="a"), result(0, 9, id="b")]

    dataset = EvaluationSet(name="set", queries={"q": "why?"}, relevant=GRADES)
    found = evaluate(dataset, search, name="mine", settings={"k": 4}, measures=["RR@10", "R@3"])
    assert asked == ["why?"]
    assert found.mean("RR@10") == 0.5
    assert found.mean("R@3") == pytest.approx(2 / 3)
    assert found.latency_ms(50) > 0
    save_runs([found], tmp_path / "runs.json")
    assert load_runs(tmp_path / "runs.json") == [found]
    for text in ("{}", "nonsense", json.dumps({"format": 99})):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(InputError, match=r"bad.json"):
            load_runs(tmp_path / "bad.json")


def test_excerpts_are_loaded_and_evaluated(tmp_path: Path) -> None:
    (tmp_path / "corpora").mkdir()
    (tmp_path / "corpora" / "a.md").write_text("0123456789" * 5)
    references = '"[{""content"": ""0123456789"", ""start_index"": 10, ""end_index"": 20}]"'
    (tmp_path / "questions.csv").write_text(f"question,references,corpus_id\nwhy?,{references},a\n")
    dataset = load_excerpts(tmp_path)
    found = evaluate(dataset, lambda query: [result(15, 35, document=dataset.documents[0].text, id="a")], name="mine")
    assert {name: found.mean(name) for name in found.scores} == pytest.approx(
        {"recall": 0.5, "precision": 0.25, "iou": 0.2}
    )
    (tmp_path / "questions.csv").write_text("question,references,corpus_id\nwhy?,nothing,a\n")
    with pytest.raises(InputError, match=r"questions.csv cannot be read"):
        load_excerpts(tmp_path)


@needs_data
@pytest.mark.parametrize(
    ("name", "documents", "queries"), [("cranfield", 1400, 225), ("scifact_train", 5183, 809), ("xquad_zh", 240, 1190)]
)
def test_the_real_sets_load(name: str, documents: int, queries: int) -> None:
    loaded = load_beir(DATA / "retrieval" / name)
    assert (len(loaded.documents), len(loaded.queries)) == (documents, queries)


@needs_data
def test_the_gold_excerpts_stand_where_they_say() -> None:
    loaded = load_excerpts(DATA / "chunking")
    assert (len(loaded.documents), len(loaded.queries)) == (3, 276)
    names = {document.id for document in loaded.documents}
    assert all(excerpt.document_id in names for gold in loaded.gold.values() for excerpt in gold)
