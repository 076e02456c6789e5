"""Run a search over an evaluation set, save the scores, and compare two runs query by query."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from embedpipe._checks import checked_kind, checked_path, checked_text, checked_texts
from embedpipe.errors import InputError
from embedpipe.evaluation.datasets import EvaluationSet, ExcerptSet
from embedpipe.evaluation.measures import DEFAULT_MEASURES, ExcerptScores, excerpt_scores, measure, ranking, spans
from embedpipe.types import SearchResult

Search: TypeAlias = Callable[[str], Sequence[SearchResult]]

_FORMAT = 1
_RESAMPLES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The scores of one search: `scores[measure][query_id]`, and its `latencies_ms[query_id]`."""

    name: str
    dataset: str
    scores: Mapping[str, Mapping[str, float]]
    latencies_ms: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def mean(self, name: str) -> float:
        """Return the mean of a measure over all judged queries."""
        return float(np.mean(list(self.scores[name].values())))

    def latency_ms(self, percentile: float) -> float:
        """Return a percentile (0 to 100) of the searches' latency in milliseconds. NaN if none was timed."""
        values = list(self.latencies_ms.values())
        return float(np.percentile(values, percentile)) if values else float("nan")


def evaluate(
    dataset: EvaluationSet | ExcerptSet,
    search: Search,
    *,
    name: str,
    measures: Sequence[str] = DEFAULT_MEASURES,
    settings: Mapping[str, Any] | None = None,
    on_query: Callable[[], None] = lambda: None,
) -> Run:
    """Search for each query of a set, one after the other, and score the results.

    Args:
        dataset: The questions. For an `EvaluationSet`, the results' documents are scored by `measures`. For an
            `ExcerptSet`, their characters are scored by recall, precision and iou.
        search: Maps a query to results, best first.
        name: The name of the run.
        measures: The measures, as ir-measures names them.
        settings: Kept with the run.
        on_query: Called after each query.

    Raises:
        ConfigurationError: If ir-measures does not know a measure.
        Exception: Whatever `search` raises.
    """
    if not isinstance(dataset, EvaluationSet | ExcerptSet):
        raise InputError(f"dataset is a {type(dataset).__name__}. Pass an EvaluationSet or an ExcerptSet.")
    name, measures = checked_text("name", name), checked_texts("measures", measures)
    if not measures:
        raise InputError("measures is empty. Name one, such as 'nDCG@10'.")
    checked_kind("search", search, Callable)  # type: ignore[arg-type]
    checked_kind("on_query", on_query, Callable)  # type: ignore[arg-type]
    found: dict[str, Sequence[SearchResult]] = {}
    latencies: dict[str, float] = {}
    for query_id, query in dataset.queries.items():
        started = time.perf_counter()
        found[query_id] = search(query)
        latencies[query_id] = (time.perf_counter() - started) * 1000
        on_query()
    scores = _scores(dataset, found, measures)
    return Run(name=name, dataset=dataset.name, scores=scores, latencies_ms=latencies, settings=settings or {})


def _scores(
    dataset: EvaluationSet | ExcerptSet, found: Mapping[str, Sequence[SearchResult]], measures: Sequence[str]
) -> dict[str, dict[str, float]]:
    if isinstance(dataset, EvaluationSet):
        return measure(dataset.relevant, {query_id: ranking(results) for query_id, results in found.items()}, measures)
    scores = {query_id: excerpt_scores(dataset.gold[query_id], spans(results)) for query_id, results in found.items()}
    return {
        name: {query_id: float(getattr(score, name)) for query_id, score in scores.items()}
        for name in ExcerptScores._fields
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class RunComparison:
    """A comparison of two runs by one measure.

    Attributes:
        measure: The measure.
        base: The name of the first run.
        other: The name of the second run.
        difference: The mean of `other` minus that of `base`.
        p_value: The two-sided p-value, paired by query.
        better: How many queries are better in `other`.
        worse: How many queries are worse in `other`.
        queries: How many queries both runs have.
    """

    measure: str
    base: str
    other: str
    difference: float
    p_value: float
    better: int
    worse: int
    queries: int


def compare(base: Run, other: Run, name: str) -> RunComparison:
    """Compare two runs by a measure, on the queries that both have.

    The p-value is that of Fisher's paired randomisation test (Smucker et al. 2007) with 10,000 sign flips and a fixed
    seed.

    Args:
        base: The run to compare with.
        other: The run to compare.
        name: The measure.

    Raises:
        InputError: If the runs share no query with this measure.
    """
    shared = sorted(base.scores.get(name, {}).keys() & other.scores.get(name, {}).keys())
    if base.dataset != other.dataset or not shared:
        raise InputError(f"{base.name} ({base.dataset}) and {other.name} ({other.dataset}) share no query with {name}.")
    differences = np.array([other.scores[name][query_id] - base.scores[name][query_id] for query_id in shared])
    return RunComparison(
        measure=name,
        base=base.name,
        other=other.name,
        difference=float(differences.mean()),
        p_value=randomization_p(differences),
        better=int((differences > 0).sum()),
        worse=int((differences < 0).sum()),
        queries=len(shared),
    )


def randomization_p(differences: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    """Return the share of random sign flips whose mean is at least as far from 0. From 1e-4 to 1."""
    # Equal queries do not change the sum, whatever their sign.
    nonzero = differences[differences != 0]
    if nonzero.size == 0:
        return 1.0
    generator = np.random.default_rng(0)
    # A small tolerance, since sums in another order round differently.
    observed = abs(nonzero.sum()) - 1e-9 * abs(nonzero).sum()
    as_far = 0
    for _ in range(0, _RESAMPLES, 500):
        signs = generator.integers(0, 2, (500, nonzero.size), dtype=np.int8) * 2 - 1
        as_far += int((abs(signs @ nonzero) >= observed).sum())
    # The observed signs count as one of the resamples, so that p is never 0.
    return (as_far + 1) / (_RESAMPLES + 1)


def save_runs(runs: Sequence[Run], path: Path | str) -> None:
    """Write runs with the values of each query to a JSON file. `load_runs` reads it."""
    content = {"format": _FORMAT, "runs": [asdict(run) for run in runs]}
    checked_path("path", path).write_text(json.dumps(content, indent=1), encoding="utf-8")


def load_runs(path: Path | str) -> list[Run]:
    """Read the runs of a file written by `save_runs`.

    Raises:
        InputError: If the file cannot be read or is of another format.
    """
    path = checked_path("path", path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            raise InputError(f"{path} has format {content['format']}. This version reads format {_FORMAT}.")
        return [Run(**run) for run in content["runs"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} holds no saved runs: {error}.") from error
