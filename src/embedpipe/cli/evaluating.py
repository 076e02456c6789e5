"""What `evaluate` does: modes of search side by side on labelled questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from rich.progress import Progress
from rich.table import Table

from embedpipe.cli.ingesting import ingest_with_progress, summary
from embedpipe.cli.render import console, errors, new_table, write_json
from embedpipe.evaluation import (
    Comparison,
    EvaluationSet,
    ExcerptSet,
    Run,
    compare,
    evaluate,
    load_beir,
    load_csv,
    load_excerpts,
    load_runs,
    save_runs,
)
from embedpipe.types import SearchMode

if TYPE_CHECKING:
    from embedpipe.service import SemanticSearchService

LabelledSet: TypeAlias = EvaluationSet | ExcerptSet

_CHUNKS = 50
"""How many chunks are searched for, so that ten documents come of them."""
_EXCERPT_CHUNKS = 5


def load_set(path: Path, limit: int | None) -> LabelledSet:
    """A CSV, a folder with gold excerpts, or a BEIR folder; only its first `limit` queries."""
    dataset: LabelledSet
    if not path.is_dir():
        dataset = load_csv(path)
    elif (path / "corpora").is_dir():
        dataset = load_excerpts(path)
    else:
        dataset = load_beir(path)
    if limit is None:
        return dataset
    kept = dict(list(dataset.queries.items())[:limit])
    if isinstance(dataset, ExcerptSet):
        return replace(dataset, queries=kept)
    return replace(dataset, queries=kept, relevant={query_id: dataset.relevant[query_id] for query_id in kept})


def default_collection(dataset: LabelledSet) -> str:
    """One of its own for a set that brings its documents."""
    return f"evaluate {dataset.name}" if dataset.documents else "default"


def evaluate_modes(
    service: SemanticSearchService,
    dataset: LabelledSet,
    *,
    modes: Sequence[SearchMode],
    save: Path | None,
    against: Path | None,
    as_json: bool,
) -> None:
    """A run for each mode, the first one and the runs saved before being what the others are compared with."""
    earlier = load_runs(against) if against else []
    if dataset.documents:
        errors.print(summary(ingest_with_progress(service, dataset.documents)))
    runs = [_run(service, dataset, mode) for mode in modes]
    if save:
        save_runs(runs, save)
    pairs = [(runs[0], run) for run in runs[1:]] + [
        (old, new) for old in earlier for new in runs if old.name == new.name
    ]
    comparisons = [compare(base, other, _main_measure(base)) for base, other in pairs]
    if as_json:
        write_json(
            {
                "runs": [_run_json(run) for run in runs],
                "comparisons": [asdict(comparison) for comparison in comparisons],
            }
        )
        return
    console.print(runs_table(runs))
    for comparison, (base, _) in zip(comparisons, pairs, strict=True):
        console.print(_sentence(comparison, earlier=base in earlier))


def _run(service: SemanticSearchService, dataset: LabelledSet, mode: SearchMode) -> Run:
    k = _EXCERPT_CHUNKS if isinstance(dataset, ExcerptSet) else _CHUNKS
    search = partial(service.search, k=k, mode=mode)
    settings = {"mode": mode, "k": k, "service": repr(service)}
    with Progress(console=errors, transient=True) as progress:
        task = progress.add_task(mode, total=len(dataset.queries))
        return evaluate(dataset, search, name=mode, settings=settings, on_query=lambda: progress.advance(task))


def _main_measure(run: Run) -> str:
    return next(iter(run.scores))


def runs_table(runs: Sequence[Run]) -> Table:
    """A row a run: the mean of each measure, and the search's latency."""
    table = new_table()
    table.add_column("run")
    for name in (*runs[0].scores, "p50 ms", "p95 ms"):
        table.add_column(name, justify="right")
    for run in runs:
        means = [f"{run.mean(name):.4f}" for name in runs[0].scores]
        table.add_row(run.name, *means, f"{run.latency_ms(50):.1f}", f"{run.latency_ms(95):.1f}")
    return table


def _sentence(comparison: Comparison, *, earlier: bool) -> str:
    base = f"{comparison.base} before" if earlier else comparison.base
    return (
        f"{comparison.other} against {base}: {comparison.difference:+.4f} {comparison.measure} "
        f"(p = {comparison.p_value:.4f}; better on {comparison.better}, worse on {comparison.worse} "
        f"of {comparison.queries} queries)"
    )


def _run_json(run: Run) -> dict[str, Any]:
    means = {name: run.mean(name) for name in run.scores}
    return {
        "name": run.name,
        "dataset": run.dataset,
        "measures": means,
        "p50_ms": run.latency_ms(50),
        "p95_ms": run.latency_ms(95),
        "settings": run.settings,
    }
