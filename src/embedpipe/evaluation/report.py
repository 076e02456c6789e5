"""Compare runs in a table with paired tests, and in plots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from embedpipe._optional import require
from embedpipe.errors import InputError
from embedpipe.evaluation.runs import Run, RunComparison, compare

_SIGNIFICANT = 0.05
_RESAMPLES = 1000

COLOURS = {"dense": "#4878a8", "lexical": "#e0a030", "hybrid": "#3a7d44"}
"""The colour of each search mode in all plots."""


@dataclass(frozen=True)
class Report:
    """A comparison of runs on one evaluation set. It shows as a table in a notebook and as Markdown elsewhere.

    The runs are ordered by their first measure, best first. Each is compared with `runs[0]`.

    Raises:
        InputError: If there are no runs, or if they are of several sets.
    """

    runs: Sequence[Run]

    def __post_init__(self) -> None:
        if not self.runs or len({run.dataset for run in self.runs}) != 1:
            raise InputError(
                f"The runs are of the sets {sorted({run.dataset for run in self.runs})}. Pass runs of one set."
            )

    @property
    def measure(self) -> str:
        """Return the first measure, by which runs are ordered and compared."""
        return next(iter(self.runs[0].scores))

    @property
    def ranked(self) -> list[Run]:
        """Return the runs, best first."""
        return sorted(self.runs, key=lambda run: -run.mean(self.measure))

    def compared(self, run: Run) -> RunComparison:
        """Compare a run with `runs[0]` by the first measure."""
        return compare(self.runs[0], run, self.measure)

    def markdown(self) -> str:
        """Return the table: means, difference to the first run with its p-value, latency, and embedding cost."""
        head, *rows = self._cells()
        lines = [head, ["---"] * len(head), *rows]
        return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)

    def plot(self, measure: str | None = None) -> Any:
        """Draw the mean of each run with its 95 % interval, and the mean against the p50 latency.

        The interval is a bootstrap over the queries with 1,000 resamples and a fixed seed. A run has the colour of the
        search mode in its name. If all runs have the same mode, each has a colour of its own.

        Args:
            measure: The measure to draw. None draws the first.

        Returns:
            A matplotlib figure.
        """
        pyplot = require("matplotlib.pyplot", extra="notebook")
        measure = measure or self.measure
        figure, (bars, trade) = pyplot.subplots(1, 2, figsize=(12, 1.5 + 0.35 * len(self.runs)), layout="constrained")
        ranked, colours = self.ranked[::-1], self._colours()
        for place, run in enumerate(ranked):
            low, high = interval(list(run.scores[measure].values()))
            mean, colour = run.mean(measure), colours[run.name]
            bars.barh(place, mean, xerr=[[mean - low], [high - mean]], color=colour, capsize=3)
            trade.plot(run.latency_ms(50), mean, "o", color=colour)
            trade.annotate(run.name, (run.latency_ms(50), mean), xytext=(6, 4), textcoords="offset points", fontsize=9)
        bars.set(yticks=range(len(ranked)), yticklabels=[run.name for run in ranked], xlabel=measure)
        trade.set(xlabel="p50 of a search, ms", ylabel=measure)
        trade.margins(0.1)
        trade.grid(visible=True, alpha=0.3)
        pyplot.close(figure)  # otherwise a notebook shows it twice
        return figure

    def _colours(self) -> dict[str, str]:
        modes = {run.name: _mode(run) for run in self.runs}
        if len(set(modes.values())) > 1:
            return {name: COLOURS.get(mode or "", "grey") for name, mode in modes.items()}
        return {name: f"C{place % 10}" for place, name in enumerate(modes)}

    def _cells(self) -> Iterator[list[str]]:
        priced = any(run.settings.get("cost") for run in self.runs)
        yield ["run", *self.runs[0].scores, "difference", "p", "p50 ms", "p95 ms", *(["cost $"] if priced else [])]
        for run in self.ranked:
            beside = None if run is self.runs[0] else self.compared(run)
            yield [
                run.name,
                *(f"{run.mean(name):.4f}" for name in run.scores),
                "" if beside is None else f"{beside.difference:+.4f}{'*' if beside.p_value < _SIGNIFICANT else ''}",
                "" if beside is None else f"{beside.p_value:.4f}",
                f"{run.latency_ms(50):.1f}",
                f"{run.latency_ms(95):.1f}",
                *([_cost(run)] if priced else []),
            ]

    def _repr_html_(self) -> str:
        head, *rows = self._cells()
        body = "".join(f"<tr>{_row(cells, 'td')}</tr>" for cells in rows)
        note = f"{escape(self.measure)}: difference to {escape(self.runs[0].name)}; * p &lt; {_SIGNIFICANT}"
        return f"<table><thead><tr>{_row(head, 'th')}</tr></thead><tbody>{body}</tbody></table><small>{note}</small>"

    def __repr__(self) -> str:
        return self.markdown()


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the mean."""
    generator = np.random.default_rng(0)
    array = np.asarray(values, dtype=np.float64)
    means = array[generator.integers(0, array.size, (_RESAMPLES, array.size))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def _mode(run: Run) -> str | None:
    return next((part for part in run.name.split(", ") if part in COLOURS), None)


def _cost(run: Run) -> str:
    return f"{run.settings['cost']:.4f}" if "cost" in run.settings else ""


def _row(cells: Sequence[str], tag: str) -> str:
    return "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells)
