"""The two loops that bring one batch into a store: in a thread, and on an event loop."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event
from typing import Protocol

from embedpipe._threads import in_thread
from embedpipe.embedding import EmbeddingGenerator
from embedpipe.errors import UnknownCommitError
from embedpipe.ingest.batch_work import BatchWork
from embedpipe.ingest.preparing import DocumentPreparer
from embedpipe.ingest.stats import ProcessingStats
from embedpipe.storage.write import ConcurrentChangeError, DocumentBatch, Known, Written


class Store(Protocol):
    """Where documents go: a `PgVectorStore`, or what takes them in its place."""

    def known_documents(self, document_ids: Sequence[str]) -> Known: ...

    def write_documents(self, batch: DocumentBatch) -> Written: ...


class AsyncStore(Protocol):
    """Where documents go on an event loop: an `AsyncPgVectorStore`, or what takes them in its place."""

    async def known_documents(self, document_ids: Sequence[str]) -> Known: ...

    async def write_documents(self, batch: DocumentBatch) -> Written: ...


def run_batch(
    work: BatchWork, preparer: DocumentPreparer, generator: EmbeddingGenerator, store: Store, stopped: Event
) -> ProcessingStats:
    """Bring a batch into the store and return its report. Once `stopped` is set, no further step is begun.

    A batch that was planned or embedded elsewhere goes on from there.
    """
    while not stopped.is_set():
        if not work.is_planned:
            work.plan(store.known_documents(work.document_ids), preparer)
        elif work.unembedded and work.is_late:
            work.take(generator.attempt_late(work.unembedded_documents))
        elif work.unembedded:
            work.take(generator.attempt(work.texts))
        elif (batch := work.to_write()) is None:
            return work.report()
        else:
            try:
                work.written = store.write_documents(batch)
            except (ConcurrentChangeError, UnknownCommitError) as error:
                work.retry(error)
    return ProcessingStats()


async def arun_batch(
    work: BatchWork, preparer: DocumentPreparer, generator: EmbeddingGenerator, store: AsyncStore
) -> ProcessingStats:
    """Do the same as `run_batch`, on the running event loop. Documents are prepared in a thread."""
    while True:
        if not work.is_planned:
            known = await store.known_documents(work.document_ids)
            await in_thread(work.plan, known, preparer)
        elif work.unembedded and work.is_late:
            work.take(await generator.aattempt_late(work.unembedded_documents))
        elif work.unembedded:
            work.take(await generator.aattempt(work.texts))
        elif (batch := await in_thread(work.to_write)) is None:
            return work.report()
        else:
            try:
                work.written = await store.write_documents(batch)
            except (ConcurrentChangeError, UnknownCommitError) as error:
                work.retry(error)
