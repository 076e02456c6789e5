"""The work of `evaluate`: compare searches on labelled questions."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

import typer
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from embedpipe.cli.choices import chunker_of, generator_named, reranker_named
from embedpipe.cli.commands import check_exists
from embedpipe.cli.ingesting import ingest_with_progress, summary
from embedpipe.cli.render import console, errors, new_table, progress_bar, write_json
from embedpipe.embedding import EmbeddingGenerator
from embedpipe.evaluation import (
    EvaluationSet,
    ExcerptSet,
    Grid,
    Run,
    RunComparison,
    compare,
    evaluate,
    load_beir,
    load_csv,
    load_excerpts,
    load_runs,
    save_runs,
)
from embedpipe.service import SemanticSearchService
from embedpipe.storage import Database, PgVectorStore
from embedpipe.types import Reranker, SearchMode

LabelledSet: TypeAlias = EvaluationSet | ExcerptSet

_CHUNKS = 50
"""How many chunks to search for: enough for ten documents."""
_EXCERPT_CHUNKS = 5


def load_set(path: Path, limit: int | None) -> LabelledSet:
    """Load a CSV, a folder with gold excerpts, or a BEIR folder. Keep the first `limit` queries."""
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
    """Return a collection of its own for a set with documents."""
    return f"evaluate {dataset.name}" if dataset.documents else "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """The combinations to evaluate, by their names on the command line. There is always a run without a reranker."""

    modes: Sequence[SearchMode]
    rerankers: Sequence[str]
    chunkers: Sequence[str]
    models: Sequence[str]
    model_url: str | None = None
    query_prompt: str | None = None
    document_prompt: str | None = None
    rerank_url: str | None = None

    def __post_init__(self) -> None:
        if len(self.models) > 1 and not self.chunkers:
            raise typer.BadParameter(
                "several models need --chunker, since each model gets its own collection. Pass --chunker recursive."
            )

    def generators(self) -> list[EmbeddingGenerator]:
        return [
            generator_named(
                model, url=self.model_url, query_prompt=self.query_prompt, document_prompt=self.document_prompt
            )
            for model in self.models
        ]

    def named_rerankers(self) -> dict[str, Reranker | None]:
        return {"none": None} | {
            _without_login(name): reranker_named(name, url=self.rerank_url) for name in self.rerankers
        }


def evaluate_choices(
    path: Path,
    choices: Choices,
    *,
    limit: int | None,
    save: Path | None,
    against: Path | None,
    collection: str | None,
    database: str | None,
    as_json: bool,
) -> None:
    """Run each combination and compare it with the first one and with its saved run."""
    dataset = load_set(path, limit)
    earlier = load_runs(against) if against else []
    with closing(Database(database)) as opened:
        if choices.chunkers:
            if collection is not None:
                raise typer.BadParameter(
                    "--collection and --chunker exclude each other: each chunker gets a temporary collection."
                )
            runs = _grid_runs(dataset, choices, opened)
        else:
            runs = _collection_runs(dataset, choices, opened, collection or default_collection(dataset))
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


def _collection_runs(dataset: LabelledSet, choices: Choices, database: Database, collection: str) -> list[Run]:
    """Run each mode and reranker on one collection. Ingest the set's documents first if it has any."""
    rerankers = choices.named_rerankers()
    make = partial(SemanticSearchService, choices.generators()[0], database=database, collection=collection)
    if dataset.documents:
        errors.print(summary(ingest_with_progress(make(), dataset.documents)))
    elif isinstance(dataset, EvaluationSet):
        check_exists(collection, database)
        _warn_of_absent(dataset, make().store)
    k = _EXCERPT_CHUNKS if isinstance(dataset, ExcerptSet) else _CHUNKS
    runs = []
    with progress_bar(*Progress.get_default_columns(), transient=True) as progress:
        for mode, (reranker_name, reranker) in product(choices.modes, rerankers.items()):
            name = mode if reranker is None else f"{mode}, {reranker_name}"
            service = make(reranker=reranker)
            task = progress.add_task(name, total=len(dataset.queries))
            settings = {"mode": mode, "reranker": reranker_name, "k": k, "service": repr(service)}
            search = partial(service.search, k=k, mode=mode)
            step = partial(progress.advance, task)
            runs.append(evaluate(dataset, search, name=name, settings=settings, on_query=step))
    return runs


def _warn_of_absent(dataset: EvaluationSet, store: PgVectorStore) -> None:
    """Warn of labelled documents that are not in the collection. They count as misses in each run."""
    labelled = list(dict.fromkeys(name for grades in dataset.relevant.values() for name in grades))
    stored = {chunk.document_id for chunk in store.find(document_ids=labelled)}
    stored |= {chunk.id for chunk in store.get(labelled)}
    absent = [name for name in labelled if name not in stored]
    if absent:
        message = (
            f"{len(absent)} of {len(labelled)} labelled documents are not in {store.name!r}, such as {absent[0]!r}. "
            "They count as misses. A file's id is its absolute path. `search --json` shows ids."
        )
        errors.print(Text(message, style="yellow"))


def _grid_runs(dataset: LabelledSet, choices: Choices, database: Database) -> list[Run]:
    generators = choices.generators()
    grid = Grid(
        chunkers={name: chunker_of(name, generators[0]) for name in choices.chunkers},
        models=generators,
        modes=choices.modes,
        rerankers=choices.named_rerankers(),
    )
    total = len(grid.chunkers) * len(generators) * len(choices.modes) * (len(choices.rerankers) + 1)
    with progress_bar(*Progress.get_default_columns(), transient=True) as progress:
        task = progress.add_task("runs", total=total)
        return grid.run(dataset, database, on_run=lambda run: progress.advance(task))


def _main_measure(run: Run) -> str:
    return next(iter(run.scores))


def runs_table(runs: Sequence[Run]) -> Table:
    """Return a table with a row per run: the mean of each measure, and the search's latency."""
    numbers = (*runs[0].scores, "p50 ms", "p95 ms")
    table = new_table("run", *numbers, right=numbers)
    for run in runs:
        means = [f"{run.mean(name):.4f}" for name in runs[0].scores]
        table.add_row(run.name, *means, f"{run.latency_ms(50):.1f}", f"{run.latency_ms(95):.1f}")
    return table


def _sentence(comparison: RunComparison, *, earlier: bool) -> str:
    base = f"{comparison.base} before" if earlier else comparison.base
    return (
        f"{comparison.other} against {base}: {comparison.difference:+.4f} {comparison.measure} "
        f"(p = {comparison.p_value:.4f}; better on {comparison.better}, worse on {comparison.worse} "
        f"of {comparison.queries} queries)"
    )


def _without_login(name: str) -> str:
    """Return a reranker's name without the login in its address, since reports show it."""
    kind, mark, address = name.partition("://")
    host, slash, path = address.partition("/")
    return f"{kind}{mark}{host.rpartition('@')[2]}{slash}{path}"


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
