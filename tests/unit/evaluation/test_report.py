"""Runs side by side."""

from __future__ import annotations

import numpy as np
import pytest

from embedpipe.evaluation import Report, Run
from embedpipe.evaluation.report import COLOURS, interval

RNG = np.random.default_rng(0)


def run(name: str, mean: float, *, dataset: str = "set", cost: float = 0.25) -> Run:
    values = np.clip(RNG.normal(mean, 0.05, 40), 0, 1)
    scores = {"nDCG@10": {str(i): float(value) for i, value in enumerate(values)}}
    return Run(name=name, dataset=dataset, scores=scores, latencies_ms={"0": 3.0}, settings={"cost": cost})


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
    assert "nDCG@10: difference to a &lt;b&gt;" in report._repr_html_()


def test_what_has_no_price_has_no_column_of_costs() -> None:
    head, *_ = Report([run("a", 0.4, cost=0), run("b", 0.5, cost=0)]).markdown().splitlines()
    assert head == "| run | nDCG@10 | difference | p | p50 ms | p95 ms |"
    free = Report([run("a", 0.4, cost=0), run("b", 0.5)])
    assert "cost $" in free.markdown()


def colours(report: Report) -> dict[str, str]:
    """By the name beside each dot."""
    _, trade = report.plot().axes
    return {label.get_text(): dot.get_color() for label, dot in zip(trade.texts, trade.lines, strict=True)}


def test_a_mode_has_its_colour_in_every_plot() -> None:
    modes = [run("dense", 0.4), run("lexical", 0.5), run("hybrid", 0.6)]
    reranked = [run("dense, reranked", 0.7), run("small, model, hybrid, lexical", 0.3)]
    assert colours(Report(modes)) == COLOURS
    assert colours(Report([*modes, *reranked])) == COLOURS | {
        "dense, reranked": COLOURS["dense"],
        "small, model, hybrid, lexical": COLOURS["hybrid"],
    }


def test_runs_of_one_mode_have_their_colours_in_the_order_given() -> None:
    runs = [run("small, hybrid", 0.4), run("large, hybrid", 0.2), run("none, hybrid", 0.6)]
    expected = {"small, hybrid": "C0", "large, hybrid": "C1", "none, hybrid": "C2"}
    assert colours(Report(runs)) == expected


def test_runs_of_two_sets_are_not_one_report() -> None:
    with pytest.raises(ValueError, match="Pass runs of one set"):
        Report([run("a", 0.4), run("b", 0.4, dataset="other")])


def test_the_interval_holds_the_mean_and_narrows_with_more_values() -> None:
    few, many = RNG.normal(0, 1, 20).tolist(), RNG.normal(0, 1, 2000).tolist()
    for values in (few, many):
        low, high = interval(values)
        assert low <= np.mean(values) <= high
    assert np.diff(interval(many)) < np.diff(interval(few))
