"""Evaluate all combinations of chunkers, models, search modes and rerankers on one evaluation set."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

from embedpipe._checks import Bounds, check_fields
from embedpipe.embedding import EmbeddingGenerator, catalogue
from embedpipe.errors import ConfigurationError, InputError
from embedpipe.evaluation.datasets import EvaluationSet, ExcerptSet
from embedpipe.evaluation.measures import DEFAULT_MEASURES
from embedpipe.evaluation.runs import Run, evaluate
from embedpipe.ingest import ProcessingStats
from embedpipe.service import SemanticSearchService
from embedpipe.storage import MAX_K, Database
from embedpipe.types import Chunker, EmbeddingModel, SearchMode

_MODES: tuple[SearchMode, ...] = ("dense", "lexical", "hybrid")
_DOCUMENTS, _EXCERPTS = 50, 5
"""How many chunks a search returns: enough for ten documents, and as many as in Chroma's evaluation."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The combinations to evaluate.

    Attributes:
        chunkers: The chunkers by name. None stores each document as one chunk. Runs are named after them.
        models: The embedding models, as for `SemanticSearchService`.
        modes: The search modes.
        rerankers: The rerankers by name. None uses none.
        measures: The measures, as ir-measures names them.
        k: How many chunks a search returns. None means 50, or 5 if the set has gold excerpts.

    Raises:
        ConfigurationError: If there is no chunker, model, mode or reranker.
    """

    chunkers: Mapping[str, Chunker | None]
    models: Sequence[str | EmbeddingModel | EmbeddingGenerator] = ("all-MiniLM-L6-v2",)
    modes: Sequence[SearchMode] = _MODES
    rerankers: Mapping[str, object | None] | None = None
    measures: Sequence[str] = DEFAULT_MEASURES
    k: int | None = None

    def __post_init__(self) -> None:
        check_fields(self, {"k": Bounds(1, MAX_K)})
        if not self.chunkers or not self.models or not self.modes or self.rerankers == {}:
            raise ConfigurationError("The grid is empty. Pass at least one chunker, model, mode and reranker.")

    def run(
        self,
        dataset: EvaluationSet | ExcerptSet,
        database: Database | str | None = None,
        *,
        on_run: Callable[[Run], None] = lambda run: None,
    ) -> list[Run]:
        """Ingest the documents and evaluate each combination.

        Each pair of chunker and model gets a collection of its own, which is dropped afterwards.

        Args:
            dataset: The questions and documents.
            database: A `Database`, a postgresql:// URL, or None for the embedded PostgreSQL.
            on_run: Called after each run.

        Returns:
            The runs in the order of the settings. A run's `settings` have its chunker, model, mode, reranker and `k`,
            the `chunks` and `tokens` embedded, the `seconds` this took, and the `cost` in US dollars at the model's
            list price (0 for local models).

        Raises:
            InputError: If the set has no documents, or if a document cannot be ingested.
            EmbedPipeError: Whatever else the service raises.
        """
        if not dataset.documents:
            raise InputError(f"The set {dataset.name!r} has no documents. A grid needs documents to chunk and ingest.")
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
        raise InputError(
            f"{len(stats.failures)} documents of {dataset.name!r} could not be ingested: {stats.failures}."
        )
    model = service.generator.spec.name
    known = catalogue.find(model)
    return {
        "model": model,
        "chunks": stats.chunks_embedded,
        "tokens": stats.tokens,
        "seconds": stats.seconds,
        "cost": stats.tokens * ((known.price_per_million or 0.0) if known else 0.0) / 1e6,
    }


def _collection(*parts: str) -> str:
    return "evaluation-" + hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
