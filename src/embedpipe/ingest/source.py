"""Gather documents into batches. An id that comes again is set apart."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from embedpipe._forking import UNFORKED
from embedpipe._threads import check_stopped, in_thread
from embedpipe.errors import InputError
from embedpipe.ingest.ingest_settings import IngestSettings
from embedpipe.types import Document

Documents: TypeAlias = Iterable[Document] | AsyncIterable[Document]


@dataclass(slots=True)
class SourceBatch:
    """Documents that are cut, embedded and written together, and the ids that came again."""

    documents: list[Document] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    characters: int = 0

    def names(self) -> list[str]:
        """Return what the report calls each document: its id, and "(again)" behind one that came again."""
        return [*(document.id for document in self.documents), *(f"{name} (again)" for name in self.repeated)]


_ROWS = 10_000


class SeenIds:
    """The ids that came so far. They lie in a temporary file of SQLite, since millions would fill the memory."""

    def __init__(self) -> None:
        with UNFORKED:
            self._file = sqlite3.connect("", check_same_thread=False, isolation_level=None)
            self._file.execute("CREATE TABLE ids (id BLOB PRIMARY KEY) WITHOUT ROWID")
            self._file.execute("BEGIN")

    def add(self, name: str) -> bool:
        """Add an id. Return whether it is new."""
        with UNFORKED:
            inserted = self._file.execute(
                "INSERT OR IGNORE INTO ids VALUES (?)", (name.encode("utf-8", "surrogatepass"),)
            )
            return inserted.rowcount > 0

    def __iter__(self) -> Iterator[str]:
        with UNFORKED:
            found = self._file.execute("SELECT id FROM ids")
            rows = found.fetchmany(_ROWS)
        while rows:
            yield from (name.decode("utf-8", "surrogatepass") for (name,) in rows)
            with UNFORKED:
                rows = found.fetchmany(_ROWS)

    def close(self) -> None:
        with UNFORKED:
            self._file.close()


class _Gathering:
    """Fills batches, one document after another."""

    def __init__(self, settings: IngestSettings, seen: SeenIds) -> None:
        self._settings = settings
        self._seen = seen
        self._batch = SourceBatch()

    def add(self, document: object) -> SourceBatch | None:
        """Add a document. Return the batch if it is full now."""
        checked, batch = _checked(document), self._batch
        if not self._seen.add(checked.id):
            batch.repeated.append(checked.id)
            return None
        batch.documents.append(checked)
        batch.characters += _length(checked.text)
        full = (
            len(batch.documents) >= self._settings.batch_documents
            or batch.characters >= self._settings.batch_characters
        )
        return self.rest() if full else None

    def rest(self) -> SourceBatch | None:
        """Return what was gathered, None for nothing, and begin the next batch."""
        batch, self._batch = self._batch, SourceBatch()
        return batch if batch.documents or batch.repeated else None


def batches(documents: Iterable[Document], settings: IngestSettings, seen: SeenIds) -> Iterator[SourceBatch]:
    """Yield the documents in batches, in their order.

    Raises:
        InputError: For an item that is no `Document`, or whose id is not a str.
    """
    gathering = _Gathering(settings, seen)
    for document in _several(documents):
        check_stopped()
        if batch := gathering.add(document):
            yield batch
    if batch := gathering.rest():
        yield batch


class AsyncBatches:
    """Do the same as `batches`, for an event loop. An iterable that is not async is read in a thread: it may block.

    This is no async generator: one that is left early would be closed at an unknown time, by the garbage collector.
    """

    def __init__(self, documents: Documents, settings: IngestSettings, seen: SeenIds) -> None:
        self._gathering = _Gathering(settings, seen)
        if isinstance(documents, AsyncIterable):
            self._documents = aiter(documents)
            self._made = None
        else:
            self._made = batches(documents, settings, seen)

    async def next(self) -> SourceBatch | None:
        """Read the next batch, None at the end. A task that is cancelled waits for the document that is being read."""
        if self._made is not None:
            return await in_thread(next, self._made, None)
        async for document in self._documents:  # goes on where it was left
            if batch := self._gathering.add(document):
                return batch
        return self._gathering.rest()

    async def close(self) -> None:
        """Close an async generator of documents. To be called by the task that reads it."""
        if self._made is None and isinstance(self._documents, AsyncGenerator):
            await self._documents.aclose()


def _several(documents: Any) -> Iterable[object]:
    if isinstance(documents, (Document, str)) or _conversion(documents):
        raise InputError(f"documents is one {type(documents).__name__}. Put it into a list.")
    if isinstance(documents, AsyncIterable):
        raise InputError("documents is an async iterable. Call aingest for it.")
    if not isinstance(documents, Iterable):
        raise InputError(f"documents is a {type(documents).__name__}. Pass an iterable of Document.")
    return documents


def _checked(document: object) -> Document:
    if not isinstance(document, Document):
        kind = type(document)
        raise InputError(
            f"A document is a {kind.__module__}.{kind.__qualname__}, no embedpipe.Document. "
            f"Make one of each: {_conversion(document) or 'Document(id=..., text=..., metadata=...)'}."
        )
    if type(document.id) is not str:
        raise InputError(f"The id of {document!r:.200} is no str. Pass a str.")
    return document


def _length(text: object) -> int:
    """Return the length of a text, 0 for anything else: that document becomes a failure later."""
    return len(text) if isinstance(text, str) else 0


def _conversion(document: object) -> str | None:
    """Return how a framework's document becomes ours, None for other types. No framework is imported."""
    if hasattr(document, "page_content"):
        return "Document(id=..., text=doc.page_content, metadata=doc.metadata)"
    if hasattr(document, "get_content"):
        return "Document(id=doc.node_id, text=doc.get_content(), metadata=doc.metadata)"
    return None
