"""`ingest`: bring a dataset into a collection, by the workers of a Ray cluster."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from embedpipe._checks import MOST_COUNT, Bounds, check_fields, checked_flag
from embedpipe._optional import require
from embedpipe.distributed.actors import Claims, answered
from embedpipe.distributed.sources import Columns
from embedpipe.distributed.stages import CutStage, EmbedStage, Plan, WriteStage
from embedpipe.embedding import RateLimiter, RemoteModel
from embedpipe.errors import ConfigurationError, EmbedPipeError, InputError
from embedpipe.ingest import ContextualHeader, IngestSettings, ProcessingStats, Progress, StatsAccumulator, after_ingest
from embedpipe.metrics import span
from embedpipe.service import SemanticSearchService
from embedpipe.storage.admin import made_at

if TYPE_CHECKING:
    from ray.data import Dataset

logger = logging.getLogger(__name__)

_COLUMNS = Columns()


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """How many processes do each step, and what they reserve.

    Args:
        embed: How many processes hold the model. None for one on each GPU, or one for every second CPU without GPUs.
        num_gpus: How many GPUs each of these reserves. None for one where the cluster has GPUs and the model is local.
        num_cpus: How many CPUs each of these reserves. None for a share that leaves one CPU for reading.
        cut: How many processes cut documents. They reserve nothing.
        write: How many processes write to the database. They reserve nothing.
    """

    embed: int | None = None
    num_gpus: float | None = None
    num_cpus: float | None = None
    cut: int = 1
    write: int = 1

    def __post_init__(self) -> None:
        share = Bounds(0, MOST_COUNT)
        check_fields(self, {"num_gpus": share, "num_cpus": share})

    def placed(self, *, cpus: float, gpus: float, remote: bool) -> Workers:
        """Replace every None, for a cluster with these CPUs and GPUs, and for a remote or a local model."""
        per_gpu = self.num_gpus if self.num_gpus is not None else float(gpus >= 1 and not remote)
        embed = self.embed or (max(int(gpus / per_gpu), 1) if per_gpu else max(int(cpus) // 2, 1))
        share = min(1.0, max(cpus - 1, 0.0) / embed)
        per_cpu = self.num_cpus if self.num_cpus is not None else share
        return Workers(embed=embed, num_gpus=per_gpu, num_cpus=per_cpu, cut=self.cut, write=self.write)


def ingest(
    documents: Dataset,
    service: SemanticSearchService,
    *,
    columns: Columns = _COLUMNS,
    workers: Workers | None = None,
    context: ContextualHeader | None = None,
    late_chunking: bool = False,
    prune: bool = False,
    on_progress: Progress | None = None,
) -> ProcessingStats:
    """Ingest a dataset of Ray Data. The collection then holds what a local ingest would have written.

    A worker that dies is replaced, and its batches are taken again. A run that ends early leaves whole documents, and
    the next one embeds only what is missing. Of two documents with one id and different contents, the first is taken
    and the other is a failure. The rates in the generator's `Limits` hold for all workers together.

    Args:
        documents: A row for each document.
        service: Its database must be named by EMBEDPIPE_DATABASE_URL on every node. All its parts must pickle.
        columns: Which columns make a document.
        workers: How many processes do each step. None to fit the cluster.
        context: See `SemanticSearchService.ingest`. Each process that cuts documents has its budget, its concurrency
            and, without `cache`, a folder of headers of its own.
        late_chunking: See `SemanticSearchService.ingest`.
        prune: Whether documents that did not come are removed at the end. All ids are then held in memory.
        on_progress: Called after each batch with the report so far.

    Returns:
        The report over all workers. If a node was lost, some documents that it had written may count as kept.

    Raises:
        ConfigurationError: If the service's database was given by URL, if a part of it does not pickle, or if a worker
            reaches another database.
        InputError: If `documents` is no dataset, a column is missing, or a row has no id.
        EmbedPipeError: Any error that a worker meets and that concerns more than single documents, such as
            `StorageError`.
    """
    prune, accumulator = checked_flag("prune", prune), StatsAccumulator(on_progress)
    ray = require("ray", extra="ray")
    if not isinstance(documents, require("ray.data", extra="ray").Dataset):
        raise InputError(
            f"documents is a {type(documents).__name__}, no dataset of Ray Data. Make one with from_documents."
        )
    plan = _plan(ray, service, service.ingest_settings(context, late_chunking=late_chunking), columns.fitted(documents))
    _check_travels(ray, plan)
    remote = isinstance(service.generator.model, RemoteModel)
    resources = ray.cluster_resources()
    placed = (workers or Workers()).placed(cpus=resources.get("CPU", 0), gpus=resources.get("GPU", 0), remote=remote)
    with span("ingest", to=service.metrics, collection=service.store.name), accumulator.logged():
        for report in _reports(_pipeline(documents, plan, placed)):
            accumulator.add(report)
        if prune:
            accumulator.add_pruned(*service.store.prune_documents(_seen(plan)))
        after_ingest(service.store, accumulator.stats)
    return accumulator.stats


def _plan(ray: Any, service: SemanticSearchService, settings: IngestSettings, columns: Columns) -> Plan:
    store, generator = service.store, service.generator
    store.create()  # here, before several workers ask for it
    origin = store.database.read(made_at, store.database.schema, store.name)
    limiter = None
    if isinstance(generator.model, RemoteModel):
        limiter = _here(ray, RateLimiter).remote(generator.limits)
    return Plan(generator, settings, store, origin, columns, _here(ray, Claims).remote(), limiter)


def _here(ray: Any, actor: type) -> Any:
    """Make the class an actor on this node, where it lives as long as this process."""
    strategy = require("ray.util.scheduling_strategies", extra="ray").NodeAffinitySchedulingStrategy
    node = ray.get_runtime_context().get_node_id()
    return ray.remote(num_cpus=0, scheduling_strategy=strategy(node, soft=False))(actor)


def _check_travels(ray: Any, plan: Plan) -> None:
    for part in (plan.store, plan.settings, plan.generator):
        try:
            ray.cloudpickle.dumps(part)
        except EmbedPipeError:
            raise
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise ConfigurationError(
                f"{part!r:.200} cannot be sent to the workers: {error}. Make its parts picklable, such as a "
                "chunker, a model or a cache of your own."
            ) from error


def _pipeline(documents: Dataset, plan: Plan, workers: Workers) -> Dataset:
    """Add the stages to the dataset, each with its own pool of workers: Ray would merge two with one pool."""
    pool = require("ray.data", extra="ray").ActorPoolStrategy
    own = {"fn_constructor_args": (plan,), "num_cpus": 0}
    at_once = plan.generator.limits.concurrency if isinstance(plan.generator.model, RemoteModel) else 1
    embedding = pool(
        min_size=1,  # with more, Ray warns about small inputs
        max_size=workers.embed,
        initial_size=workers.embed,
        max_concurrent_calls_per_actor=at_once,
        enable_true_multi_threading=at_once > 1,
    )
    blocks = documents.repartition(target_num_rows_per_block=plan.settings.batch_documents)
    cut = blocks.map_batches(
        CutStage,
        batch_size=plan.settings.batch_documents,
        batch_format="pyarrow",
        compute=pool(min_size=1, max_size=workers.cut, initial_size=workers.cut),
        **own,
    )
    embedded = cut.map(
        EmbedStage,
        fn_constructor_args=(plan,),
        compute=embedding,
        num_cpus=workers.num_cpus,
        num_gpus=workers.num_gpus or None,
    )
    writing = pool(min_size=1, max_size=workers.write, initial_size=workers.write)
    return cast("Dataset", embedded.map(WriteStage, compute=writing, **own))


def _reports(dataset: Dataset) -> Iterator[ProcessingStats]:
    """Yield the reports as they come. An error of ours that a worker met is raised here."""
    for row in dataset.iter_rows():
        report = pickle.loads(row["report"])  # noqa: S301 - a worker of this run has written it
        if isinstance(report, EmbedPipeError):
            raise report
        yield report


def _seen(plan: Plan) -> list[str]:
    ids: list[str] = answered(plan.claims.ids.remote())
    if not ids:
        raise InputError("prune=True without documents would remove every document. To do that, call store.clear().")
    return ids
