"""Runs of one way to search over an evaluation set, kept in a file, and compared query by query."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from embedpipe.errors import InputError
from embedpipe.evaluation.datasets import EvaluationSet, ExcerptSet
from embedpipe.evaluation.measures import DEFAULT_MEASURES, ExcerptScores, excerpt_scores, measure, ranking, spans
from embedpipe.types import SearchResult

Search: TypeAlias = Callable[[str], Sequence[SearchResult]]

_FORMAT = 1
_RESAMPLES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one way to search reached: `scores[measure][query_id]`, and `latencies_ms[query_id]`."""

    name: str
    dataset: str
    scores: Mapping[str, Mapping[str, float]]
    latencies_ms: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def mean(self, name: str) -> float:
        """Over all judged queries."""
        return float(np.mean(list(self.scores[name].values())))

    def latency_ms(self, percentile: float) -> float:
        """Of one search; NaN where none was timed."""
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
    """The run of all the set's queries, one after the other; `on_query` is called after each.

    In an `EvaluationSet` a result counts for its document, by `measures`; in an `ExcerptSet` for its characters, by
    recall, precision and iou. Whatever the search raises ends the run.
    """
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
    """`difference` is the mean of `other` less that of `base`; `p_value` is two-sided, paired by query."""

    measure: str
    base: str
    other: str
    difference: float
    p_value: float
    better: int
    worse: int
    queries: int


def compare(base: Run, other: Run, name: str) -> RunComparison:
    """The two runs on the queries that both have.

    The p-value is that of Fisher's paired randomisation test with 10,000 sign flips (Smucker et al. 2007), the same
    each time. `InputError` where they share no query.
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
    """The share of random sign flips whose mean is at least as far from 0; from 1e-4 to 1."""
    nonzero = differences[differences != 0]
    if nonzero.size == 0:
        return 1.0
    generator = np.random.default_rng(0)
    observed = abs(nonzero.sum()) - 1e-9 * abs(nonzero).sum()
    as_far = 0
    for _ in range(0, _RESAMPLES, 500):
        signs = generator.integers(0, 2, (500, nonzero.size), dtype=np.int8) * 2 - 1
        as_far += int((abs(signs @ nonzero) >= observed).sum())
    return (as_far + 1) / (_RESAMPLES + 1)


def save_runs(runs: Sequence[Run], path: Path | str) -> None:
    """A JSON file with every query's values, which `load_runs` reads."""
    content = {"format": _FORMAT, "runs": [asdict(run) for run in runs]}
    Path(path).write_text(json.dumps(content, indent=1), encoding="utf-8")


def load_runs(path: Path | str) -> list[Run]:
    """The runs of a file of `save_runs`; `InputError` where it is none."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            raise InputError(f"{path} has format {content['format']}; this version reads {_FORMAT}.")
        return [Run(**run) for run in content["runs"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} holds no saved runs ({error}).") from error
