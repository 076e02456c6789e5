"""The ingest as a generator that asks for what it needs and is sent the answers.

Read    what is stored of these documents     -> Known
Embed   the vectors of these texts            -> EmbeddingAttempt
Write   these documents                       -> chunks that went
Prune   all documents but these               -> documents and chunks that went
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeAlias

import numpy as np

from embedpipe.embedding import EmbeddingAttempt
from embedpipe.errors import AuthenticationError, ConfigurationError, EmbedPipeError, InputError
from embedpipe.ingest.report import ProcessingStats
from embedpipe.storage.documents import ConcurrentChangeError, DocumentBatch, DocumentRow, Known
from embedpipe.storage.json import dumps, storable_text
from embedpipe.storage.operations import checked_id, checked_rows
from embedpipe.text.clean import clean_text
from embedpipe.types import Chunk, Chunker, Document, ModelSpec, Vectors

logger = logging.getLogger(__name__)

_ATTEMPTS = 5
_REFUSED = re.compile(r"[\x00\ud800-\udfff]")

Progress: TypeAlias = Callable[[ProcessingStats], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestSettings:
    """How documents are taken.

    `chunker` None stores each document as one chunk. `keep_text` False leaves the documents' own text out of the
    database. `clean_text` cleans each chunk's text, while its offsets point into the text that was given. `prune`
    removes documents that were ingested before and did not come now. A batch is written in one transaction.
    """

    chunker: Chunker | None
    clean_text: bool = False
    keep_text: bool = True
    prune: bool = False
    batch_documents: int = 256
    batch_characters: int = 200_000

    def __post_init__(self) -> None:
        if self.batch_documents < 1 or self.batch_characters < 1:
            raise ConfigurationError("batch_documents and batch_characters expected positive numbers.")


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


@dataclass(frozen=True, slots=True)
class Prune:
    """Asks for all documents but these to be removed."""

    seen: Sequence[str]


Step: TypeAlias = Read | Embed | Write | Prune
Flow: TypeAlias = Generator[Step, Any, ProcessingStats]


@dataclass(frozen=True, slots=True)
class _Cut:
    """A document that is new or changed, with its chunks."""

    row: DocumentRow
    chunks: list[Chunk]


def ingest_flow(
    documents: Iterable[Document], settings: IngestSettings, model: ModelSpec, on_progress: Progress | None
) -> Flow:
    """The ingest, step by step; returns the report."""
    stats, started, seen = ProcessingStats(), time.monotonic(), dict[str, None]()
    for batch in _batches(documents, settings):
        fresh = _first_of_each(batch, seen, stats)
        yield from _ingest_batch(fresh, settings, model, stats)
        stats.seconds = time.monotonic() - started
        if on_progress is not None:
            on_progress(stats)
    if settings.prune and not seen:
        raise InputError("prune=True with no documents would remove every document. To do that, call store.clear().")
    if settings.prune:
        stats.removed, chunks = yield Prune(list(seen))
        stats.chunks_removed += chunks
    for name, error in stats.failures.items():
        logger.warning("Document %r was not ingested: %s", name, error)
    stats.seconds = time.monotonic() - started
    return stats


def _ingest_batch(
    documents: Sequence[Document], settings: IngestSettings, model: ModelSpec, stats: ProcessingStats
) -> Generator[Step, Any, None]:
    vectors: dict[str, Vectors] = {}
    rows = list(_rows(documents, settings, model, stats))
    for attempt in range(_ATTEMPTS):
        known: Known = yield Read([row.id for _, row in rows])
        cuts = list(_cut(rows, known, settings, stats))
        missing = {str(c.id): c for c in chain(*(cut.chunks for cut in cuts)) if c.id not in known.chunk_ids}
        yield from _embed([chunk for name, chunk in missing.items() if name not in vectors], vectors, stats)
        whole = _without_failed(cuts, missing, vectors, stats)
        try:
            gone = (yield Write(_document_batch(whole, missing, vectors, model))) if whole else 0
        except ConcurrentChangeError:
            if attempt == _ATTEMPTS - 1:
                raise
            logger.info("Another writer changed the same documents; planning the batch again")
            continue
        _count(stats, rows, whole, known, missing, gone)
        return


def _batches(documents: Iterable[Document], settings: IngestSettings) -> Iterator[list[Document]]:
    if isinstance(documents, (Document, str)):
        raise InputError(f"ingest expected several documents, got one {type(documents).__name__}. Put it into a list.")
    batch: list[Document] = []
    characters = 0
    for document in documents:
        if not isinstance(document, Document):
            raise InputError(f"ingest expected documents of type Document, got {type(document).__name__}.")
        if type(document.id) is not str or type(document.text) is not str:
            raise InputError(f"ingest expected Documents whose id and text are str, got {document!r:.200}.")
        batch.append(document)
        characters += len(document.text)
        if len(batch) >= settings.batch_documents or characters >= settings.batch_characters:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _first_of_each(batch: Sequence[Document], seen: dict[str, None], stats: ProcessingStats) -> list[Document]:
    fresh = []
    for document in batch:
        if document.id in seen:
            error = InputError(f"Document {document.id!r} came twice in one ingest; its first text was taken.")
            stats.failures.setdefault(f"{document.id} (again)", error)
            continue
        seen[document.id] = None
        fresh.append(document)
    return fresh


def _rows(
    documents: Sequence[Document], settings: IngestSettings, model: ModelSpec, stats: ProcessingStats
) -> Iterator[tuple[Document, DocumentRow]]:
    """Each document that can be stored, with its row; the others go to the failures."""
    cutting = f"{model.fingerprint} {settings.chunker!r} {settings.clean_text} {settings.keep_text}"
    for document in documents:
        what = f"Document {document.id!r:.200}"
        try:
            checked_id(document.id, what)
            text = storable_text(_storable(document.text) if settings.clean_text else document.text, what)
            _check_not_blank(text, what)
            metadata = dumps(document.metadata, what=f"{what}, metadata") or "{}"
        except InputError as error:
            stats.failures[document.id] = error
            continue
        digest = _digest(cutting, metadata, text)
        yield document, DocumentRow(document.id, text if settings.keep_text else None, digest, metadata)


def _storable(text: str) -> str:
    """The text with a replacement character for each one that PostgreSQL refuses, so that no offset shifts."""
    return _REFUSED.sub("\ufffd", text)


def _check_not_blank(text: str, what: str) -> None:
    if not text.strip():
        raise InputError(f"{what}: expected text, got {'only white space' if text else 'an empty text'}.")


def _cut(
    rows: Sequence[tuple[Document, DocumentRow]], known: Known, settings: IngestSettings, stats: ProcessingStats
) -> Iterator[_Cut]:
    """The documents that are new or changed, cut into chunks."""
    for document, row in rows:
        if known.hashes.get(row.id) == row.hash or row.id in stats.failures:
            continue
        try:
            chunks = settings.chunker.chunk(document.text) if settings.chunker else [Chunk.whole(document.text)]
        except EmbedPipeError as error:
            stats.failures[row.id] = error
            continue
        yield _Cut(row, _identified(document, _cleaned(chunks) if settings.clean_text else chunks))


def _cleaned(chunks: Sequence[Chunk]) -> list[Chunk]:
    cleaned = (chunk._replace(text=clean_text(chunk.text)) for chunk in chunks)
    return [chunk for chunk in cleaned if chunk.text]


def _identified(document: Document, chunks: Sequence[Chunk]) -> list[Chunk]:
    """The chunks under the document's id and metadata, each with an id made of document, text and occurrence."""
    occurrences: Counter[str] = Counter()
    identified = []
    for chunk in chunks:
        occurrences[chunk.text] += 1
        name = _digest(document.id, chunk.text, str(occurrences[chunk.text])).hex()
        metadata: Mapping[str, Any] = {**document.metadata, **chunk.metadata} if chunk.metadata else document.metadata
        identified.append(chunk._replace(id=name, document_id=document.id, metadata=metadata))
    return identified


def _embed(chunks: Sequence[Chunk], vectors: dict[str, Vectors], stats: ProcessingStats) -> Generator[Step, Any, None]:
    """Adds the vectors of the chunks by chunk id, and the errors of those that have none by document."""
    if not chunks:
        return
    attempt: EmbeddingAttempt = yield Embed([chunk.text for chunk in chunks])
    for row, position in enumerate(attempt.positions):
        vectors[str(chunks[position].id)] = attempt.batch.vectors[row]
    for position, error in attempt.errors.items():
        if isinstance(error, AuthenticationError):
            raise error
        stats.failures.setdefault(str(chunks[position].document_id), error)
    stats.tokens += int(attempt.batch.token_counts.sum())
    stats.cache_hits += int(attempt.batch.cached.sum())
    stats.requests += attempt.requests
    stats.retries += attempt.retries


def _without_failed(
    cuts: Sequence[_Cut], missing: Mapping[str, Chunk], vectors: Mapping[str, Vectors], stats: ProcessingStats
) -> list[_Cut]:
    whole = []
    for cut in cuts:
        if all(chunk.id in vectors for chunk in cut.chunks if chunk.id in missing):
            whole.append(cut)
        elif cut.row.id not in stats.failures:
            stats.failures[cut.row.id] = InputError(f"Document {cut.row.id!r} has chunks without a vector.")
    return whole


def _document_batch(
    cuts: Sequence[_Cut], missing: Mapping[str, Chunk], vectors: Mapping[str, Vectors], model: ModelSpec
) -> DocumentBatch:
    chunks = [chunk for cut in cuts for chunk in cut.chunks]
    new = [chunk for chunk in chunks if chunk.id in missing]
    rows = [vectors[str(chunk.id)] for chunk in new]
    array = np.stack(rows) if rows else np.empty((0, model.dimensions), dtype=np.float32)
    kept = checked_rows([chunk for chunk in chunks if chunk.id not in missing])
    return DocumentBatch([cut.row for cut in cuts], kept, checked_rows(new), array)


def _count(
    stats: ProcessingStats,
    rows: Sequence[tuple[Document, DocumentRow]],
    whole: Sequence[_Cut],
    known: Known,
    missing: Mapping[str, Chunk],
    gone: int,
) -> None:
    changed = sum(cut.row.id in known.hashes for cut in whole)
    chunks = [chunk.id for cut in whole for chunk in cut.chunks]
    embedded = sum(name in missing for name in chunks)
    stats.changed += changed
    stats.added += len(whole) - changed
    stats.kept += sum(known.hashes.get(row.id) == row.hash for _, row in rows)
    stats.chunks_embedded += embedded
    stats.chunks_kept += len(chunks) - embedded
    stats.chunks_removed += gone


def _digest(*parts: str) -> bytes:
    """16 bytes over the parts and where they end."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.digest()
