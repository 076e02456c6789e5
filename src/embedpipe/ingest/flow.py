"""One batch's way as a generator that asks for what it needs and is sent the answers.

Read    what is stored of these documents     -> Known
Embed   the vectors of these texts            -> EmbeddingAttempt
Write   these documents                       -> Written
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Protocol, TypeAlias

import numpy as np

from embedpipe.embedding import EmbeddingAttempt
from embedpipe.errors import AuthenticationError, EmbedPipeError, UnknownCommitError
from embedpipe.ingest.cutting import Cut, about, repetitions
from embedpipe.ingest.report import ProcessingStats
from embedpipe.ingest.source import Batch
from embedpipe.metrics.spans import span
from embedpipe.storage.write.chunks import ChunkRows, take
from embedpipe.storage.write.documents import ConcurrentChangeError, DocumentBatch, DocumentRow, Known, Written
from embedpipe.types import Chunk, Document, ModelSpec, Vectors

logger = logging.getLogger(__name__)

_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Read:
    """Asks for what is stored of these documents."""

    document_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class Embed:
    """Asks for the vectors of these texts."""

    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Write:
    """Asks for these documents to be written."""

    batch: DocumentBatch


Step: TypeAlias = Read | Embed | Write
Flow: TypeAlias = Generator[Step, Any, ProcessingStats]


class Cuts(Protocol):
    """What a `Cutter` answers; see there."""

    @property
    def spec(self) -> ModelSpec: ...

    def rows(
        self, documents: Sequence[Document], failures: dict[str, EmbedPipeError]
    ) -> Iterable[tuple[Document, DocumentRow]]: ...

    def cuts(
        self, stored: Sequence[tuple[Document, DocumentRow]], known: Known, failures: dict[str, EmbedPipeError]
    ) -> Iterable[Cut]: ...


def batch_flow(batch: Batch, cutter: Cuts) -> Flow:
    """Reads, cuts, embeds and writes the documents of a batch, step by step; returns what became of them."""
    stats, vectors = ProcessingStats(failures=repetitions(batch)), dict[str, Vectors]()
    taken = list(cutter.rows(batch.documents, stats.failures))
    for attempt in range(_ATTEMPTS):
        known: Known = yield Read([row.id for _, row in taken])
        if attempt == _ATTEMPTS - 1:  # counts on no stored chunk any more, so that no other writer can take it away
            known = replace(known, chunk_ids=set())
        with span("ingest.cut", documents=len(taken)) as cutting:
            cut = list(cutter.cuts(taken, known, stats.failures))
            cutting.note(results=sum(len(made.chunks) for made in cut))
        missing = {str(c.id): c for c in chain(*(made.chunks for made in cut)) if c.id not in known.chunk_ids}
        yield from _embed([chunk for name, chunk in missing.items() if name not in vectors], vectors, stats)
        whole = [made for made in cut if made.row.id not in stats.failures]
        written = Written(0)
        try:
            if whole:
                written = yield Write(_document_batch(whole, missing, vectors, cutter.spec))
        except ConcurrentChangeError:
            logger.info("Another writer changed the same documents; planning the batch again")
            continue
        except UnknownCommitError:
            if attempt == _ATTEMPTS - 1:
                raise
            now: Known = yield Read([row.id for _, row in taken])
            if any(now.hashes.get(made.row.id) != made.row.hash for made in whole):
                logger.info("The connection was lost before a batch was committed; planning it again")
                continue
            added = sum(chunk.id in missing for made in whole for chunk in made.chunks)
            written = Written(len(known.chunk_ids) + added - len(now.chunk_ids))
        stats.failures |= {name: about(name, error) for name, error in written.refused.items()}
        whole = [made for made in whole if made.row.id not in written.refused]
        stats.kept = sum(known.hashes.get(row.id) == row.hash for _, row in taken)
        _count(stats, whole, known, missing, written.removed)
        break
    stats.failures = {name: stats.failures[name] for name in batch.names() if name in stats.failures}
    return stats


def _embed(chunks: Sequence[Chunk], vectors: dict[str, Vectors], stats: ProcessingStats) -> Generator[Step, Any, None]:
    """Adds the vectors of the chunks by chunk id, and the errors of those that have none by document."""
    if not chunks:
        return
    attempt: EmbeddingAttempt = yield Embed([chunk.embedded_text for chunk in chunks])
    for row, position in enumerate(attempt.positions):
        vectors[str(chunks[position].id)] = attempt.batch.vectors[row]
    for position, error in attempt.errors.items():
        if isinstance(error, AuthenticationError):
            raise error
        name = str(chunks[position].document_id)
        stats.failures.setdefault(name, about(name, error))
    stats.tokens += int(attempt.batch.token_counts.sum())
    stats.cache_hits += int(attempt.batch.cached.sum())
    stats.requests += attempt.requests
    stats.retries += attempt.retries


def _document_batch(
    cut: Sequence[Cut], missing: Mapping[str, Chunk], vectors: Mapping[str, Vectors], model: ModelSpec
) -> DocumentBatch:
    every = ChunkRows(
        *(
            list(chain(*columns))
            for columns in zip(
                *(
                    (made.stored.chunks, made.stored.metadata, made.stored.payload, made.stored.key_order)
                    for made in cut
                ),
                strict=True,
            )
        )
    )
    new = [place for place, chunk in enumerate(every.chunks) if chunk.id in missing]
    kept = [place for place, chunk in enumerate(every.chunks) if chunk.id not in missing]
    found = [vectors[str(every.chunks[place].id)] for place in new]
    array = np.stack(found) if found else np.empty((0, model.dimensions), dtype=np.float32)
    return DocumentBatch([made.row for made in cut], take(every, kept), take(every, new), array)


def _count(stats: ProcessingStats, whole: Sequence[Cut], known: Known, missing: Mapping[str, Chunk], gone: int) -> None:
    chunks = [chunk.id for made in whole for chunk in made.chunks]
    stats.changed = sum(made.row.id in known.hashes for made in whole)
    stats.added = len(whole) - stats.changed
    stats.chunks_embedded = sum(name in missing for name in chunks)
    stats.chunks_kept = len(chunks) - stats.chunks_embedded
    stats.chunks_removed = gone
