"""Runs side by side."""

from __future__ import annotations

import numpy as np
import pytest

from embedpipe.evaluation import Report, Run
from embedpipe.evaluation.report import interval

RNG = np.random.default_rng(0)


def run(name: str, mean: float, *, dataset: str = "set") -> Run:
    values = np.clip(RNG.normal(mean, 0.05, 40), 0, 1)
    scores = {"nDCG@10": {str(i): float(value) for i, value in enumerate(values)}}
    return Run(name=name, dataset=dataset, scores=scores, latencies_ms={"0": 3.0}, settings={"cost": 0.25})


def test_the_best_stands_on_top_and_is_compared_with_the_first_given() -> None:
    report = Report([run("a <b>", 0.4), run("better", 0.7), run("much the same", 0.401)])
    assert report.ranked[0].name == "better"
    head, _, *rows = report.markdown().splitlines()
    assert head == "| run | nDCG@10 | difference | p | p50 ms | p95 ms | cost $ |"
    better = [cell.strip() for cell in rows[0].split("|")[1:-1]]
    assert better[0] == "better"
    assert better[2].startswith("+0.3")
    assert better[2].endswith("*")
    assert better[4:] == ["3.0", "3.0", "0.2500"]
    assert "a &lt;b&gt;" in report._repr_html_()


def test_runs_of_two_sets_are_not_one_report() -> None:
    with pytest.raises(ValueError, match="runs over one set"):
        Report([run("a", 0.4), run("b", 0.4, dataset="other")])


def test_the_interval_holds_the_mean_and_narrows_with_more_values() -> None:
    few, many = RNG.normal(0, 1, 20).tolist(), RNG.normal(0, 1, 2000).tolist()
    for values in (few, many):
        low, high = interval(values)
        assert low <= np.mean(values) <= high
    assert np.diff(interval(many)) < np.diff(interval(few))
