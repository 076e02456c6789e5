"""The one way of ingest: documents in batches, several under way at once, their reports added up in order."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import groupby
from threading import Event

import numpy as np

from embedpipe._threads import in_thread
from embedpipe.embedding import EmbeddingGenerator
from embedpipe.errors import InputError
from embedpipe.ingest.batch_loop import arun_batch, run_batch
from embedpipe.ingest.batch_work import BatchWork
from embedpipe.ingest.concurrency import InTasks, in_threads
from embedpipe.ingest.framework_documents import AnyDocument
from embedpipe.ingest.ingest_settings import IngestSettings
from embedpipe.ingest.preparing import DocumentPreparer
from embedpipe.ingest.source import AsyncBatches, Documents, SeenIds, SourceBatch, batches
from embedpipe.ingest.stats import ProcessedDocument, ProcessingStats, StatsAccumulator
from embedpipe.metrics import Observers, span
from embedpipe.storage import INDEX_FROM, AsyncPgVectorStore, PgVectorStore
from embedpipe.storage.write import DocumentBatch, Known, Written, checked_rows

_STATISTICS_FROM = 0.05
"""An ingest that embeds a larger share of the collection than this has PostgreSQL's statistics updated."""


class Ingestor:
    """Take documents with one model and one set of settings, into a store or as a stream."""

    def __init__(
        self, generator: EmbeddingGenerator, settings: IngestSettings, *, metrics: Observers | None = None
    ) -> None:
        self._metrics = metrics
        self._generator = generator
        self._settings = settings.fitted(generator.model)
        self._at_once = settings.concurrency or generator.limits.concurrency + 2

    def _preparer(self) -> DocumentPreparer:
        """Make the preparer for one run. Only now must the model's spec be known, for which a server may be asked."""
        return DocumentPreparer(self._settings, self._generator.model, self._generator.spec)

    def ingest(
        self, documents: Iterable[AnyDocument], store: PgVectorStore, accumulator: StatsAccumulator, *, prune: bool
    ) -> None:
        """Bring the documents into the store, each batch in one transaction.

        Args:
            documents: Read as batches become free, never all at once.
            store: Where they go. Its collection is created if it is not there.
            accumulator: Adds up the reports of the batches.
            prune: Whether documents that did not come are removed at the end.

        Raises:
            InputError: For an item that is no document, and for `prune` without documents.
        """
        preparer = self._preparer()
        store.create()  # once, before several threads ask for it
        with accumulator.logged(), closing(SeenIds()) as seen:
            source = batches(documents, self._settings, seen)
            with closing(in_threads(self._ingest_batch, source, preparer, store, at_once=self._at_once)) as reports:
                for report in reports:
                    accumulator.add(report)
            if prune:
                accumulator.add_pruned(*store.prune_documents(_some(seen)))

    async def aingest(
        self, documents: Documents, store: AsyncPgVectorStore, accumulator: StatsAccumulator, *, prune: bool
    ) -> None:
        """Do the same as `ingest`, on the running event loop."""
        preparer = await in_thread(self._preparer)
        await store.create()
        with accumulator.logged(), closing(SeenIds()) as seen:
            source = AsyncBatches(documents, self._settings, seen)
            async with InTasks(self._aingest_batch, source, preparer, store, at_once=self._at_once) as reports:
                while (report := await reports.next()) is not None:
                    accumulator.add(report)
            if prune:
                accumulator.add_pruned(*await store.prune_documents(await in_thread(_some, seen)))

    async def stream(
        self, documents: Documents, accumulator: StatsAccumulator
    ) -> AsyncGenerator[ProcessedDocument, None]:
        """Yield the documents with their vectors, in their order, as their batches are embedded."""
        preparer = await in_thread(self._preparer)
        with closing(SeenIds()) as seen:
            source = AsyncBatches(documents, self._settings, seen)
            async with InTasks(self._process_batch, source, preparer, at_once=self._at_once) as finished:
                while (batch := await finished.next()) is not None:
                    report, processed = batch
                    accumulator.add(report)
                    for document in processed:
                        yield document

    def _ingest_batch(
        self, batch: SourceBatch, stopped: Event, preparer: DocumentPreparer, store: PgVectorStore
    ) -> ProcessingStats:
        with span("ingest.batch", collection=store.name, documents=len(batch.documents)):
            return run_batch(BatchWork.of(batch, preparer), preparer, self._generator, store, stopped)

    async def _aingest_batch(
        self, batch: SourceBatch, preparer: DocumentPreparer, store: AsyncPgVectorStore
    ) -> ProcessingStats:
        with span("ingest.batch", collection=store.name, documents=len(batch.documents)):
            work = await in_thread(BatchWork.of, batch, preparer)
            return await arun_batch(work, preparer, self._generator, store)

    async def _process_batch(
        self, batch: SourceBatch, preparer: DocumentPreparer
    ) -> tuple[ProcessingStats, list[ProcessedDocument]]:
        taken = _Taken(preparer.spec.dimensions)
        with span("ingest.batch", to=self._metrics, documents=len(batch.documents)):
            work = await in_thread(BatchWork.of, batch, preparer)
            report = await arun_batch(work, preparer, self._generator, taken)
        return report, list(_processed(batch, report, taken.batch))


class _Taken:
    """A store that knows no document, and keeps the batch that is written to it."""

    def __init__(self, dimensions: int) -> None:
        nothing = checked_rows([])
        self.batch = DocumentBatch([], nothing, nothing, np.empty((0, dimensions), dtype=np.float32))

    async def known_documents(self, document_ids: Sequence[str]) -> Known:
        return Known({}, set())

    async def write_documents(self, batch: DocumentBatch) -> Written:
        self.batch = batch
        return Written(0)


def _processed(batch: SourceBatch, report: ProcessingStats, written: DocumentBatch) -> Iterator[ProcessedDocument]:
    """Yield the documents one by one, each with its rows of the batch's vectors. Repeated ones come last."""
    of = {name: list(group) for name, group in groupby(written.new.chunks, lambda chunk: chunk.document_id)}
    start = 0
    for name in batch.names():
        chunks = of.get(name, [])
        vectors = written.vectors[start : start + len(chunks)]
        start += len(chunks)
        yield ProcessedDocument(document_id=name, chunks=chunks, vectors=vectors, error=report.failures.get(name))


def after_ingest(store: PgVectorStore, stats: ProcessingStats) -> None:
    """Update the planner's statistics if the ingest embedded much of the collection, and index a large load."""
    if stats.chunks_embedded > _STATISTICS_FROM * store.count():
        store.refresh_statistics()
    if stats.chunks_embedded:
        store.ensure_index(min_rows=INDEX_FROM)


async def aafter_ingest(store: AsyncPgVectorStore, stats: ProcessingStats) -> None:
    """Do the same as `after_ingest`, on the running event loop."""
    if stats.chunks_embedded > _STATISTICS_FROM * await store.count():
        await store.refresh_statistics()
    if stats.chunks_embedded:
        await store.ensure_index(min_rows=INDEX_FROM)


def _some(seen: SeenIds) -> list[str]:
    ids = list(seen)
    if not ids:
        raise InputError("prune=True without documents would remove every document. To do that, call store.clear().")
    return ids
