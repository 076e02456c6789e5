"""The stages that workers run. A `BatchWork` is planned by one worker, embedded by another and written by a third.

A batch that has to be planned again, since another writer changed its documents, stays with the writing worker.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from threading import Event
from typing import Any

from embedpipe.distributed.actors import SharedLimiter, answered
from embedpipe.distributed.sources import Columns
from embedpipe.embedding import EmbeddingGenerator
from embedpipe.errors import ConfigurationError, EmbedPipeError
from embedpipe.ingest import (
    BatchWork,
    DocumentPreparer,
    IngestSettings,
    ProcessingStats,
    SeenIds,
    SourceBatch,
    batches,
    run_batch,
)
from embedpipe.storage import PgVectorStore
from embedpipe.storage.admin import made_at
from embedpipe.types import Document


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a worker needs: the model, the settings, the store, and the actors that all workers share.

    `origin` tells the collection apart from one of the same name in another database.
    """

    generator: EmbeddingGenerator
    settings: IngestSettings
    store: PgVectorStore
    origin: str | None
    columns: Columns
    claims: Any
    limiter: Any


def _work(row: Mapping[str, bytes]) -> BatchWork | ProcessingStats | EmbedPipeError:
    """Unpickle the content of a row between two stages. Arrow has no type for it.

    A report is passed on as it is. An error, too: it ends the run.
    """
    work: BatchWork | ProcessingStats | EmbedPipeError = pickle.loads(row["work"])  # noqa: S301 - another worker of this run has written it
    return work


class WorkerStage:
    """A stage's worker, which opens what it needs at its first batch.

    Where it meets an error of ours, that is passed on in place of the batch: Ray would only pass on its words.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    @cached_property
    def _generator(self) -> EmbeddingGenerator:
        plan = self._plan
        return plan.generator if plan.limiter is None else plan.generator.keeping_to(SharedLimiter(plan.limiter))

    @cached_property
    def _preparer(self) -> DocumentPreparer:
        return DocumentPreparer(self._plan.settings, self._generator.model, self._generator.spec)

    @cached_property
    def _store(self) -> PgVectorStore:
        """Return the store.

        Raises:
            ConfigurationError: If this worker reaches another database than the process that began the run.
        """
        store = self._plan.store
        if store.database.read(made_at, store.database.schema, store.name) != self._plan.origin:
            raise ConfigurationError(
                f"A worker reaches another database than the process that began the ingest: collection "
                f"{store.name!r} is not the same there. Set EMBEDPIPE_DATABASE_URL to one server on every node."
            )
        return store


class CutStage(WorkerStage):
    """Make `BatchWork` of documents: look each batch up and cut what is new."""

    def __call__(self, table: Any) -> dict[str, list[bytes]]:
        try:
            return {"work": [pickle.dumps(work) for work in self._works(table)]}
        except EmbedPipeError as error:
            return {"work": [pickle.dumps(error)]}

    def _works(self, table: Any) -> Iterator[BatchWork | ProcessingStats]:
        columns = self._plan.columns
        unread = columns.errors(table)
        if unread:
            yield ProcessingStats(failures=unread)
        fresh, repeated = self._claimed(columns.documents(table))
        fresh = [document for document in fresh if document.id not in unread]
        with closing(SeenIds()) as seen:
            for batch in batches(fresh, self._plan.settings, seen):
                yield self._planned(batch)
        if repeated:
            yield self._planned(SourceBatch(repeated=repeated))

    def _claimed(self, documents: Sequence[Document]) -> tuple[list[Document], list[str]]:
        """Return the documents that may be taken, and the ids of those whose id came with another content."""
        claims = self._plan.claims
        firsts = {document.id: document for document in reversed(documents)}
        answers = answered(claims.claim.remote([(name, _digest(first)) for name, first in firsts.items()]))
        refused = {name for name, granted in zip(firsts, answers, strict=True) if not granted}
        return [d for d in documents if d.id not in refused], [d.id for d in documents if d.id in refused]

    def _planned(self, batch: SourceBatch) -> BatchWork:
        work = BatchWork.of(batch, self._preparer)
        work.plan(self._store.known_documents(work.document_ids), self._preparer)
        return work


class EmbedStage(WorkerStage):
    """Add the vectors to each `BatchWork`."""

    def __call__(self, row: dict[str, bytes]) -> dict[str, bytes]:
        work = _work(row)
        if not isinstance(work, BatchWork) or not work.unembedded:
            return row
        try:
            generator = self._generator
            work.take(
                generator.attempt_late(work.unembedded_documents) if work.is_late else generator.attempt(work.texts)
            )
            return {"work": pickle.dumps(work)}
        except EmbedPipeError as error:
            return {"work": pickle.dumps(error)}


class WriteStage(WorkerStage):
    """Write each `BatchWork` and make it the report on its documents."""

    def __call__(self, row: dict[str, bytes]) -> dict[str, bytes]:
        work = _work(row)
        if not isinstance(work, BatchWork):
            return {"report": row["work"]}
        try:
            return {"report": pickle.dumps(run_batch(work, self._preparer, self._generator, self._store, Event()))}
        except EmbedPipeError as error:
            return {"report": pickle.dumps(error)}


def _digest(document: Document) -> bytes:
    content = repr((document.text, sorted(document.metadata.items(), key=str)))
    return blake2b(content.encode("utf-8", "surrogatepass"), digest_size=16).digest()
