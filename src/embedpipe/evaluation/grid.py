"""Chunkers, models, modes of search and rerankers, each with each, over one evaluation set."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

from embedpipe.embedding import EmbeddingGenerator, catalogue
from embedpipe.errors import ConfigurationError, InputError
from embedpipe.evaluation.datasets import EvaluationSet, ExcerptSet
from embedpipe.evaluation.measures import DEFAULT_MEASURES
from embedpipe.evaluation.runs import Run, evaluate
from embedpipe.ingest import ProcessingStats
from embedpipe.service import SemanticSearchService
from embedpipe.storage import Database
from embedpipe.types import Chunker, EmbeddingModel, SearchMode

_MODES: tuple[SearchMode, ...] = ("dense", "lexical", "hybrid")
_DOCUMENTS, _EXCERPTS = 50, 5
"""How many chunks a search brings: enough for ten documents, and as many as Chroma's evaluation takes."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """What is tried with what.

    `chunkers` by the names that the runs take (None stores each document as one chunk), `models` as
    `SemanticSearchService` takes them, `rerankers` by name (None for none). `k` is how many chunks a search brings;
    None means 50, or 5 where the set has gold excerpts.
    """

    chunkers: Mapping[str, Chunker | None]
    models: Sequence[str | EmbeddingModel | EmbeddingGenerator] = ("all-MiniLM-L6-v2",)
    modes: Sequence[SearchMode] = _MODES
    rerankers: Mapping[str, object | None] | None = None
    measures: Sequence[str] = DEFAULT_MEASURES
    k: int | None = None

    def __post_init__(self) -> None:
        if not self.chunkers or not self.models or not self.modes or self.rerankers == {}:
            raise ConfigurationError("A grid expected at least one chunker, model, mode and reranker.")

    def run(
        self,
        dataset: EvaluationSet | ExcerptSet,
        database: Database | str | None = None,
        *,
        on_run: Callable[[Run], None] = lambda run: None,
    ) -> list[Run]:
        """A run for each combination, in the order of the settings; `on_run` is called after each.

        Every pair of chunker and model has a collection in the database while it is measured. A run's `settings` hold
        its chunker, model, mode and reranker, the `chunks` and `tokens` embedded, the `seconds` that took, and the
        `cost` in dollars after the model's list price, 0 for local models. Raises `InputError` for a set without
        documents or with a document that cannot be ingested, and what the service raises.
        """
        if not dataset.documents:
            raise InputError(f"The set {dataset.name!r} has no documents to ingest, which a grid of chunkers needs.")
        database = database if isinstance(database, Database) else Database(database)
        runs: list[Run] = []
        for (chunker_name, chunker), model in product(self.chunkers.items(), self.models):
            generator = model if isinstance(model, EmbeddingGenerator) else EmbeddingGenerator(model)
            name = f"{chunker_name}, {generator.spec.name}"
            make = partial(
                SemanticSearchService,
                generator,
                database=database,
                collection=_collection(name, dataset.name),
                chunker=chunker,
            )
            service = make()
            try:
                filled = _filled(service, dataset) | {"chunker": chunker_name}
                for run in self._runs(make, dataset, name, filled):
                    runs.append(run)
                    on_run(run)
            finally:
                service.store.drop()
        return runs

    def _runs(
        self,
        make: Callable[..., SemanticSearchService],
        dataset: EvaluationSet | ExcerptSet,
        name: str,
        settings: Mapping[str, Any],
    ) -> Iterator[Run]:
        k = self.k or (_EXCERPTS if isinstance(dataset, ExcerptSet) else _DOCUMENTS)
        rerankers = {"none": None} if self.rerankers is None else self.rerankers
        for mode, (reranker_name, reranker) in product(self.modes, rerankers.items()):
            reranked = f", {reranker_name}" if reranker is not None else ""
            search = partial(make(reranker=reranker).search, k=k, mode=mode)
            yield evaluate(
                dataset,
                search,
                name=f"{name}, {mode}{reranked}",
                measures=self.measures,
                settings={**settings, "mode": mode, "reranker": reranker_name, "k": k},
            )


def _filled(service: SemanticSearchService, dataset: EvaluationSet | ExcerptSet) -> dict[str, Any]:
    service.store.create()
    service.store.clear()
    stats: ProcessingStats = service.ingest(dataset.documents)
    if stats.failures:
        raise InputError(f"{len(stats.failures)} documents of {dataset.name!r} were not ingested: {stats.failures}.")
    model = service.generator.spec.name
    known = catalogue.find(model)
    return {
        "model": model,
        "chunks": stats.chunks_embedded,
        "tokens": stats.tokens,
        "seconds": stats.seconds,
        "cost": stats.tokens * (known.price_per_million if known else 0.0) / 1e6,
    }


def _collection(*parts: str) -> str:
    return "evaluation-" + hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
