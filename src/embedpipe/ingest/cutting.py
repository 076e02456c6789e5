"""From documents to what is stored of them: rows with their hashes, chunks with their ids."""

from __future__ import annotations

import copy
import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from embedpipe.errors import EmbeddingError, EmbedPipeError, InputError
from embedpipe.ingest.settings import IngestSettings
from embedpipe.ingest.source import Batch
from embedpipe.storage.documents import DocumentRow, Known
from embedpipe.storage.json import dumps, storable_text
from embedpipe.storage.operations import checked_id
from embedpipe.text.clean import clean_text
from embedpipe.types import Chunk, Document, ModelSpec

_REFUSED = re.compile(r"[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Cut:
    """A document that is new or changed, with its chunks."""

    row: DocumentRow
    chunks: list[Chunk]


def repetitions(batch: Batch) -> dict[str, EmbedPipeError]:
    """The error of each document that came once more."""
    return {
        name: InputError(f"{named(document_id)} came twice in one ingest; its first text was taken.")
        for name, document_id in zip(batch.names()[len(batch.documents) :], batch.repeated, strict=True)
    }


def rows(
    documents: Sequence[Document], settings: IngestSettings, model: ModelSpec, failures: dict[str, EmbedPipeError]
) -> Iterator[tuple[Document, DocumentRow]]:
    """Each document that can be stored, with its row; the errors of the others go to `failures`."""
    cutting = f"{model.fingerprint} {settings.chunker!r} {settings.clean_text} {settings.keep_text}"
    for document in documents:
        what = named(document.id)
        try:
            checked_id(document.id, what)
            text = storable_text(_storable(document.text) if settings.clean_text else document.text, what)
            _check_not_blank(text, what)
            metadata = dumps(document.metadata, what=f"{what}, metadata") or "{}"
        except InputError as error:
            failures[document.id] = error
            continue
        digest = _digest(cutting, metadata, text)
        yield document, DocumentRow(document.id, text if settings.keep_text else None, digest, metadata)


def cuts(
    stored: Sequence[tuple[Document, DocumentRow]],
    known: Known,
    settings: IngestSettings,
    failures: dict[str, EmbedPipeError],
) -> Iterator[Cut]:
    """The documents that are new or changed, cut into chunks."""
    for document, row in stored:
        if known.hashes.get(row.id) == row.hash or row.id in failures:
            continue
        try:
            chunks = _chunks(document.text, settings)
        except EmbedPipeError as error:
            failures[row.id] = about(row.id, error)
            continue
        yield Cut(row, _identified(document, _cleaned(chunks) if settings.clean_text else chunks))


def about(document_id: str, error: EmbedPipeError) -> EmbedPipeError:
    """The error with the document in its message; positions in a batch, which tell its reader nothing, are left out."""
    told = copy.copy(error)
    told.args = (f"{named(document_id)}: {error}",)
    told.__cause__ = error.__cause__
    if isinstance(told, EmbeddingError):
        told.inputs = ()
    return told


def named(document_id: str) -> str:
    """What a message calls the document."""
    return f"Document {document_id!r:.200}"


def _storable(text: str) -> str:
    """The text with a replacement character for each one that PostgreSQL refuses, so that no offset shifts."""
    return _REFUSED.sub("\ufffd", text)


def _check_not_blank(text: str, what: str) -> None:
    if not text.strip():
        raise InputError(f"{what}: expected text, got {'only white space' if text else 'an empty text'}.")


def _chunks(text: str, settings: IngestSettings) -> Sequence[Chunk]:
    if settings.chunker is None:
        return [Chunk.whole(text)]
    try:
        return settings.chunker.chunk(text)
    except EmbedPipeError:
        raise
    except Exception as error:
        raise InputError(f"the chunker failed with {type(error).__name__}: {error}") from error


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


def _digest(*parts: str) -> bytes:
    """16 bytes over the parts and where they end."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.digest()
