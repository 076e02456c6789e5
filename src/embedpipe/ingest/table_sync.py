"""Sync a collection with the table that it follows: the way of ingest, with claimed rows in place of documents."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from threading import Event

from embedpipe.embedding import EmbeddingGenerator
from embedpipe.ingest.batch_loop import run_batch
from embedpipe.ingest.batch_work import BatchWork
from embedpipe.ingest.concurrency import in_threads
from embedpipe.ingest.ingest_settings import IngestSettings
from embedpipe.ingest.preparing import DocumentPreparer
from embedpipe.ingest.source import SourceBatch
from embedpipe.ingest.stats import ProcessingStats, StatsAccumulator
from embedpipe.metrics import span
from embedpipe.storage import PgVectorStore
from embedpipe.storage.attach import Claim

_MOST_AT_ONCE = 8
"""A batch holds one connection while it is embedded, and a second one briefly. The pool has thirty."""


class TableSync:
    """Bring changed rows into a collection, with one model and one set of settings."""

    def __init__(self, generator: EmbeddingGenerator, settings: IngestSettings) -> None:
        self._generator = generator
        self._settings = settings.fitted(generator.model)
        self._at_once = min(generator.limits.concurrency + 2, _MOST_AT_ONCE)

    def sync(self, store: PgVectorStore, accumulator: StatsAccumulator, *, every_failure: bool) -> None:
        """Write all rows that wait, and remove the documents of rows that are gone, each batch in one transaction.

        Rows that another process works at are left to it.

        Args:
            store: Of a collection that follows a table.
            accumulator: Adds up the reports of the batches.
            every_failure: Whether rows that failed are tried now, or only those whose time has come.
        """
        preparer = DocumentPreparer(self._settings, self._generator.model, self._generator.spec)
        with accumulator.logged():
            store.retry_changes(every=every_failure)
            # What a batch leaves of its buckets is claimed in the next round, when nobody holds them.
            while self._round(preparer, store, accumulator):
                pass

    def _round(self, preparer: DocumentPreparer, store: PgVectorStore, accumulator: StatsAccumulator) -> bool:
        """Take batches until none is left that could be claimed. Return whether there were any."""
        none_left, any_taken = Event(), False
        with closing(
            in_threads(self._batch, _until(none_left), preparer, store, none_left, at_once=self._at_once)
        ) as reports:
            for report in reports:
                if report is not None:
                    any_taken = True
                    accumulator.add(report)
        return any_taken

    def _batch(
        self, _: SourceBatch, stopped: Event, preparer: DocumentPreparer, store: PgVectorStore, none_left: Event
    ) -> ProcessingStats | None:
        """Claim a batch and write it. None if there was none."""
        with span("ingest.batch", collection=store.name):
            report = store.take_changes(self._write, preparer, stopped)
        if report is None:
            none_left.set()
        return report

    def _write(self, claim: Claim, preparer: DocumentPreparer, stopped: Event) -> ProcessingStats:
        work = BatchWork.of(SourceBatch(list(claim.documents)), preparer)
        report = run_batch(work, preparer, self._generator, claim, stopped)
        if not stopped.is_set():
            report.removed, chunks = claim.finish(report.failures)
            report.chunks_removed += chunks
        return report


def _until(none_left: Event) -> Iterator[SourceBatch]:
    """Yield an empty batch for each that is to be claimed, until there is none left."""
    while not none_left.is_set():
        yield SourceBatch()
