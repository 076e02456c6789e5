"""One batch of documents on its way into a store: looked up, prepared, embedded, written.

`BatchWork` does no I/O. A driver asks the store and the model, in threads, on an event loop or on other machines, and
hands it their answers. It pickles between any two steps.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, groupby

import numpy as np

from embedpipe.embedding import EmbeddingAttempt
from embedpipe.errors import AuthenticationError, EmbedPipeError, UnknownCommitError
from embedpipe.ingest.preparing import DocumentPreparer, PreparedDocument, about, repetitions
from embedpipe.ingest.source import SourceBatch
from embedpipe.ingest.stats import ProcessingStats
from embedpipe.metrics import span
from embedpipe.storage.write import ChunkRows, DocumentBatch, DocumentRow, Known, Written, select_rows
from embedpipe.types import Chunk, ChunkedText, Document, Vectors

logger = logging.getLogger(__name__)

_MAX_ATTEMPTS = 3


@dataclass(slots=True)
class BatchWork:
    """A batch's documents, the store's state that the work was planned from, and the vectors so far.

    Its steps are `plan`, `take`, a write of what `to_write` returns, and `report`. After a failed write, `retry` leads
    back to `plan`.
    """

    batch: SourceBatch
    rows: Sequence[tuple[Document, DocumentRow]]
    dimensions: int
    stats: ProcessingStats
    known: Known = field(default_factory=lambda: Known({}, set()))
    prepared: Sequence[PreparedDocument] = ()
    missing: Mapping[str, Chunk] = field(default_factory=dict)
    unembedded: Sequence[Chunk] = ()
    vectors: dict[str, Vectors] = field(default_factory=dict)
    written: Written | None = None
    attempts: int = 0
    is_planned: bool = False
    is_uncertain: bool = False
    is_late: bool = False

    @classmethod
    def of(cls, batch: SourceBatch, preparer: DocumentPreparer) -> BatchWork:
        """Begin a batch. Documents that cannot be stored are failures from here on."""
        stats = ProcessingStats(failures=repetitions(batch))
        return cls(
            batch,
            preparer.rows(batch.documents, stats.failures),
            preparer.spec.dimensions,
            stats,
            is_late=preparer.is_late,
        )

    @property
    def document_ids(self) -> list[str]:
        """Return the ids of the documents that the store is to be asked about."""
        return [row.id for _, row in self.rows]

    @property
    def texts(self) -> list[str]:
        """Return the texts that have to be embedded before the write, in the order that `take` expects."""
        return [chunk.embedded_text for chunk in self.unembedded]

    @property
    def unembedded_documents(self) -> list[ChunkedText]:
        """Return the documents whose chunks have to be embedded together, for late chunking. See `texts`."""
        texts = {row.id: document.text for document, row in self.rows}
        of = groupby(self.unembedded, lambda chunk: str(chunk.document_id))
        return [
            ChunkedText(texts[name], [(chunk.start_index, chunk.end_index) for chunk in chunks]) for name, chunks in of
        ]

    def plan(self, known: Known, preparer: DocumentPreparer) -> None:
        """Prepare the documents that are new or changed, given what the store has of the batch."""
        self.is_planned = True
        if self.is_uncertain and self._was_committed(known):
            return
        self.attempts += 1
        if self.attempts == _MAX_ATTEMPTS:  # count on no stored chunk, so that no other writer can take it away
            known = replace(known, chunk_ids=set())
        self.known = known
        with span("ingest.cut", documents=len(self.rows)) as preparing:
            self.prepared = preparer.prepare(self.rows, known, self.stats.failures)
            preparing.details["results"] = sum(len(made.chunks) for made in self.prepared)
        chunks = chain.from_iterable(made.chunks for made in self.prepared)
        self.missing = {str(chunk.id): chunk for chunk in chunks if chunk.id not in known.chunk_ids}
        self.unembedded = [chunk for name, chunk in self.missing.items() if name not in self.vectors]
        if self.is_late:  # a document's chunks are embedded together
            names = {chunk.document_id for chunk in self.unembedded}
            self.unembedded = [chunk for made in self.prepared if made.row.id in names for chunk in made.chunks]

    def take(self, attempt: EmbeddingAttempt) -> None:
        """Take the vectors of `texts`. A document with a text that has none fails; a refused key ends the run."""
        chunks, self.unembedded = self.unembedded, ()
        for row, position in enumerate(attempt.positions):
            self.vectors[str(chunks[position].id)] = attempt.batch.vectors[row]
        for position, error in attempt.errors.items():
            if isinstance(error, AuthenticationError):
                raise error
            name = str(chunks[position].document_id)
            self.stats.failures.setdefault(name, about(name, error))
        self.stats.tokens += int(attempt.batch.token_counts.sum())
        self.stats.cache_hits += int(attempt.batch.cached.sum())
        self.stats.requests += attempt.requests
        self.stats.retries += attempt.retries

    def to_write(self) -> DocumentBatch | None:
        """Return what has to be written in one transaction; None if nothing is new or changed, or all is written."""
        whole = self._without_failures()
        return self._document_batch(whole) if whole and self.written is None else None

    def retry(self, error: EmbedPipeError) -> None:
        """Have the batch planned again after a write that met another writer, or whose outcome is unknown.

        Raises:
            EmbedPipeError: The error itself, after the last attempt.
        """
        if self.attempts == _MAX_ATTEMPTS:
            raise error
        self.is_planned = False
        self.is_uncertain = isinstance(error, UnknownCommitError)
        if not self.is_uncertain:
            logger.info("Another writer changed the same documents; planning the batch again")

    def report(self) -> ProcessingStats:
        """Count what became of the documents, once they are written."""
        stats, known, written = self.stats, self.known, self.written or Written(0)
        stats.failures |= {name: about(name, error) for name, error in written.refused.items()}
        whole = self._without_failures()
        chunks = [str(chunk.id) for made in whole for chunk in made.chunks]
        stats.kept = sum(known.hashes.get(row.id) == row.hash for _, row in self.rows)
        stats.changed = sum(made.row.id in known.hashes for made in whole)
        stats.added = len(whole) - stats.changed
        stats.chunks_embedded = sum(name in self.missing for name in chunks)
        stats.chunks_kept = len(chunks) - stats.chunks_embedded
        stats.chunks_removed = written.removed
        stats.failures = {name: stats.failures[name] for name in self.batch.names() if name in stats.failures}
        return stats

    def _was_committed(self, now: Known) -> bool:
        """Find out whether the write whose outcome is unknown was committed. If so, it counts as written."""
        whole = self._without_failures()
        if any(now.hashes.get(made.row.id) != made.row.hash for made in whole):
            logger.info("The connection was lost before a batch was committed; planning it again")
            return False
        added = sum(chunk.id in self.missing for made in whole for chunk in made.chunks)
        self.written = Written(len(self.known.chunk_ids) + added - len(now.chunk_ids))
        return True

    def _without_failures(self) -> list[PreparedDocument]:
        return [made for made in self.prepared if made.row.id not in self.stats.failures]

    def _document_batch(self, whole: Sequence[PreparedDocument]) -> DocumentBatch:
        columns = [
            (made.stored.chunks, made.stored.metadata, made.stored.payload, made.stored.key_order) for made in whole
        ]
        every = ChunkRows(*(list(chain.from_iterable(column)) for column in zip(*columns, strict=True)))
        new = [place for place, chunk in enumerate(every.chunks) if chunk.id in self.missing]
        kept = [place for place, chunk in enumerate(every.chunks) if chunk.id not in self.missing]
        found = [self.vectors[str(every.chunks[place].id)] for place in new]
        vectors = np.stack(found) if found else np.empty((0, self.dimensions), dtype=np.float32)
        return DocumentBatch([made.row for made in whole], select_rows(every, kept), select_rows(every, new), vectors)
