"""Make of documents what is stored: rows with their hashes, and chunks with their ids."""

from __future__ import annotations

import copy
import hashlib
import operator
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from embedpipe._threads import check_stopped
from embedpipe.errors import EmbeddingError, EmbedPipeError, InputError
from embedpipe.ingest.contextual_header import ContextualHeader
from embedpipe.ingest.headers import Headers, model_counter
from embedpipe.ingest.ingest_settings import IngestSettings
from embedpipe.ingest.source import SourceBatch
from embedpipe.storage.types import dumps, dumps_value, order_record, storable_text
from embedpipe.storage.write import ChunkRows, DocumentRow, Known, check_size, checked_id, checked_rows
from embedpipe.text import PAGE_BREAK, clean_text, pages_at
from embedpipe.types import LOCATIONS, Chunk, Document, EmbeddingModel, Location, Metadata, ModelSpec

_REFUSED = re.compile(r"[\x00\ud800-\udfff]")
_MOST_LISTED = 500
"""How many further locations of a chunk are listed at most. Its citations have the range of a chunk with more."""


class PreparedDocument(NamedTuple):
    """A document that is new or changed, with its chunks."""

    row: DocumentRow
    stored: ChunkRows

    @property
    def chunks(self) -> Sequence[Chunk]:
        return self.stored.chunks


def repetitions(batch: SourceBatch) -> dict[str, EmbedPipeError]:
    """Return an error for each document whose id came again."""
    return {
        name: InputError(
            f"{named(document_id)} came twice in one ingest. Its first text was taken. Give each an id of its own."
        )
        for name, document_id in zip(batch.names()[len(batch.documents) :], batch.repeated, strict=True)
    }


class DocumentPreparer:
    """Prepare documents as the settings say, for one model.

    A document's hash covers its text, metadata and locations, these settings and the model. It decides whether the
    document is new, changed or as it was.
    """

    def __init__(self, settings: IngestSettings, model: EmbeddingModel, spec: ModelSpec) -> None:
        self.spec = spec
        self._settings = settings
        self._headers = Headers.of(model) if settings.headers else None
        self._model = model
        self._recipe = f"{spec.fingerprint} {settings.chunker!r} {settings.clean_text}"
        if settings.headers:
            self._recipe += " headers"
        if settings.late_chunking:
            self._recipe += " late"
        if settings.context is not None:
            self._recipe += f" context {settings.context.recipe}"

    def rows(
        self, documents: Sequence[Document], failures: dict[str, EmbedPipeError]
    ) -> list[tuple[Document, DocumentRow]]:
        """Return each document that can be stored with its row. The errors of the others go to `failures`."""
        rows = []
        for document in documents:
            what = named(document.id)
            try:
                checked_id(document.id, what)
                _check_text(document.text, what)
                text = storable_text(_storable(document.text) if self._settings.clean_text else document.text, what)
                metadata = dumps(document.metadata, what=f"{what}, metadata") or "{}"
                check_size(what, text, metadata)
                located = _located(document, what)
            except InputError as error:
                failures[document.id] = error
                continue
            digest = _digest(self._recipe, metadata, text, *located)
            order = order_record(what, metadata=document.metadata)
            rows.append((document, DocumentRow(document.id, text, digest, metadata, order)))
        return rows

    def prepare(
        self, stored: Sequence[tuple[Document, DocumentRow]], known: Known, failures: dict[str, EmbedPipeError]
    ) -> list[PreparedDocument]:
        """Cut the documents that are new or changed into chunks. The errors of those that fail go to `failures`."""
        cut = []
        for document, row in stored:
            check_stopped()
            if known.hashes.get(row.id) == row.hash or row.id in failures:
                continue
            try:
                cut.append((document, row, self._chunks(document)))
            except EmbedPipeError as error:
                failures[row.id] = about(row.id, error)
        if self._settings.context is not None:
            cut = self._with_context(self._settings.context, cut, failures)
        prepared = []
        for document, row, chunks in cut:
            headed = self._headers.add(document, chunks) if self._headers else chunks
            identified = _identified(document, headed, self._context(document))
            try:
                prepared.append(PreparedDocument(row, checked_rows(identified)))
            except EmbedPipeError as error:
                failures[row.id] = about(row.id, error)
        return prepared

    @property
    def is_late(self) -> bool:
        """Return whether the chunks of a document are embedded together."""
        return self._settings.late_chunking

    def _context(self, document: Document) -> str:
        """Return what vectors depend on beside their texts. With late chunking, this is the whole document.

        The model is part of it: after a change of model the chunks' vectors are those of their texts alone.
        """
        return _digest(self.spec.fingerprint, document.text).hex() if self.is_late else ""

    def _with_context(
        self,
        context: ContextualHeader,
        cut: Sequence[tuple[Document, DocumentRow, Sequence[Chunk]]],
        failures: dict[str, EmbedPipeError],
    ) -> list[tuple[Document, DocumentRow, Sequence[Chunk]]]:
        """Return the documents with a header for each chunk. The errors of those that get none go to `failures`."""
        written = context.add([(document, chunks) for document, _, chunks in cut], model_counter(self._model))
        headed = []
        for (document, row, _), chunks in zip(cut, written, strict=True):
            if isinstance(chunks, EmbedPipeError):
                failures[row.id] = about(row.id, chunks)
            else:
                headed.append((document, row, chunks))
        return headed

    def _chunks(self, document: Document) -> Sequence[Chunk]:
        chunker, text = self._settings.chunker, document.text
        try:
            chunks = [Chunk.whole(text)] if chunker is None else chunker.chunk(text)
        except EmbedPipeError:
            raise
        except Exception as error:
            raise InputError(f"the chunker failed with {type(error).__name__}: {error}") from error
        known = {key for _, metadata in document.locations for key in metadata}
        # A loader's page may end with a form feed. Of a PDF, only the labels of its pages are locations.
        if PAGE_BREAK in text and "page" not in document.metadata and known <= {"page_label"}:
            chunks = _with_pages(text, chunks)
        if document.locations:
            chunks = _with_locations(chunks, document)
        if self._settings.clean_text:
            chunks = _cleaned(chunks)
        return chunks


def about(document_id: str, error: EmbedPipeError) -> EmbedPipeError:
    """Return a copy of the error that names the document, without its position in a batch."""
    told = copy.copy(error)
    told.args = (f"{named(document_id)}: {error}",)
    told.__cause__ = error.__cause__
    if isinstance(told, EmbeddingError):
        told.inputs = ()
    return told


def named(document_id: str) -> str:
    """Return how messages name a document."""
    return f"Document {document_id!r:.200}"


def _storable(text: str) -> str:
    """Replace each character that PostgreSQL refuses by U+FFFD, so that no offset shifts."""
    return _REFUSED.sub("\ufffd", text)


def _check_text(text: object, what: str) -> None:
    if type(text) is not str:
        raise InputError(f"{what}: the text is a {type(text).__name__}. Pass a str.")
    if not text.strip():
        raise InputError(f"{what}: the text {'is only white space' if text else 'is empty'}. Leave the document out.")


def _located(document: Document, what: str) -> list[str]:
    """Return the locations as JSON, for the document's hash. There is none for a document without locations.

    Raises:
        InputError: If they are no locations, are not in order, or hold a value that cannot be stored.
    """
    if not document.locations:
        return []
    try:
        located = [(start, dict(metadata)) for start, metadata in document.locations]
        starts = [operator.index(start) for start, _ in located]
    except (TypeError, ValueError) as error:
        raise InputError(f"{what}: the locations are not pairs of an int and a dict. Pass `Location`s.") from error
    if starts != sorted(starts):
        raise InputError(f"{what}: the locations are not in the order of their offsets. Sort them.")
    return [dumps_value([list(pair) for pair in located], what=f"{what}, locations")]


def _with_locations(chunks: Sequence[Chunk], document: Document) -> list[Chunk]:
    """Add to each chunk's metadata those of the location of its first visible character, and where they end.

    The payload of a chunk that goes on into further locations lists them, so that a citation has its own. Each is an
    offset in the document, and the metadata that differ from the chunk's. None stands for a key that is not there.
    """
    locations = document.locations
    starts = [location.start for location in locations]
    located = []
    for chunk, beginning in zip(chunks, _beginnings(chunks), strict=True):
        first, end = bisect_right(starts, beginning) - 1, bisect_left(starts, chunk.end_index)
        if first >= 0:
            chunk = chunk._replace(metadata={**chunk.metadata, **_spanned(locations[first:end])})
        if 0 < end - first - 1 <= _MOST_LISTED:
            begun = locations[first].metadata if first >= 0 else {}
            further = [
                [start, _changes(begun, metadata, document.metadata)] for start, metadata in locations[first + 1 : end]
            ]
            chunk = chunk._replace(payload={LOCATIONS: further})
        located.append(chunk)
    return located


def _changes(begun: Metadata, metadata: Metadata, of_document: Metadata) -> dict[str, Any]:
    """Return what metadata change from one location to another."""
    known = {key: metadata.get(key, of_document.get(key)) for key in (*begun, *metadata)}
    return {key: value for key, value in known.items() if key not in begun or begun[key] != value}


def _spanned(locations: Sequence[Location]) -> dict[str, Any]:
    """Return the metadata of the first location, with the last number of what is counted, as in `row_end`.

    A location of another kind, such as another sheet, ends the count.
    """
    first = locations[0].metadata
    spanned, ends = dict(first), dict[str, int]()
    for _, metadata in locations[1:]:
        counted = {key: value for key, value in metadata.items() if type(value) is int}
        if any(value != first.get(key) for key, value in metadata.items() if key not in counted):
            break
        for key, value in counted.items():
            spanned.setdefault(key, value)
            if spanned[key] != value:
                ends[f"{key}_end"] = value
    return {**spanned, **ends}


def _with_pages(text: str, chunks: Sequence[Chunk]) -> list[Chunk]:
    """Add to each chunk's metadata the `page` of its first visible character, and `page_end` if it ends on another."""
    pages = pages_at(text, _beginnings(chunks))
    last = pages_at(text, (chunk.start_index + len(chunk.text.rstrip()) for chunk in chunks))
    return [
        chunk._replace(metadata={**chunk.metadata, "page": page} | ({"page_end": end} if end > page else {}))
        for chunk, page, end in zip(chunks, pages, last, strict=True)
    ]


def _beginnings(chunks: Sequence[Chunk]) -> Iterator[int]:
    """Yield the offset of each chunk's first visible character."""
    return (chunk.start_index + len(chunk.text) - len(chunk.text.lstrip()) for chunk in chunks)


def _cleaned(chunks: Sequence[Chunk]) -> list[Chunk]:
    cleaned = (
        chunk._replace(text=clean_text(chunk.text), header=clean_text(chunk.header or "") or None) for chunk in chunks
    )
    return [chunk for chunk in cleaned if chunk.text]


def _identified(document: Document, chunks: Sequence[Chunk], context: str) -> list[Chunk]:
    """Give each chunk the document's id and metadata, and an id made of document, embedded text and occurrence.

    `context` is what the vectors depend on beside that, "" for nothing.
    """
    more = [context] if context else []
    occurrences: dict[str, int] = {}
    identified = []
    for chunk in chunks:
        text = chunk.embedded_text
        occurrences[text] = number = occurrences.get(text, 0) + 1
        name = _digest(document.id, text, str(number), *more).hex()
        metadata: Mapping[str, Any] = {**document.metadata, **chunk.metadata} if chunk.metadata else document.metadata
        of_source, (payload, header) = chunk[:4], chunk[7:]
        identified.append(Chunk(*of_source, metadata, document.id, name, payload, header))  # _replace takes longer
    return identified


def _digest(*parts: str) -> bytes:
    """Return 16 bytes over the parts and their lengths."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.digest()
