"""Documents as they come, gathered into batches in which no document comes a second time."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterable, Iterable, Iterator
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
    """Documents that are cut, embedded and written together, and the ids of those that came once more."""

    documents: list[Document] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    characters: int = 0

    def names(self) -> list[str]:
        """What each document is called in a report: by its id, a repeated one with a remark."""
        return [*(document.id for document in self.documents), *(f"{name} (again)" for name in self.repeated)]


_ROWS = 10_000


class SeenIds:
    """The ids that came so far. They lie in a file of SQLite's own, since millions would fill the memory."""

    def __init__(self) -> None:
        with UNFORKED:
            self._file = sqlite3.connect("", check_same_thread=False, isolation_level=None)
            self._file.execute("CREATE TABLE ids (id BLOB PRIMARY KEY) WITHOUT ROWID")
            self._file.execute("BEGIN")

    def add(self, name: str) -> bool:
        """Whether the id is new."""
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
    """The batch that is being filled."""

    def __init__(self, settings: IngestSettings, seen: SeenIds) -> None:
        self._settings = settings
        self._seen = seen
        self._batch = SourceBatch()

    def add(self, document: object) -> SourceBatch | None:
        """The batch, where the document filled it."""
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
        """What was gathered, if anything."""
        batch, self._batch = self._batch, SourceBatch()
        return batch if batch.documents or batch.repeated else None


def batches(documents: Iterable[Document], settings: IngestSettings, seen: SeenIds) -> Iterator[SourceBatch]:
    """The documents in batches, in their order. Raises `InputError` for what is no `Document` or has no id to name."""
    gathering = _Gathering(settings, seen)
    for document in _several(documents):
        check_stopped()
        if batch := gathering.add(document):
            yield batch
    if batch := gathering.rest():
        yield batch


class AsyncBatches:
    """As `batches`, for an event loop; an iterable that is not async is read in a thread, since it may block.

    No generator, since one that is left early is closed by whoever comes first.
    """

    def __init__(self, documents: Documents, settings: IngestSettings, seen: SeenIds) -> None:
        self._gathering = _Gathering(settings, seen)
        if isinstance(documents, AsyncIterable):
            self._documents = aiter(documents)
            self._made = None
        else:
            self._made = batches(documents, settings, seen)

    async def next(self) -> SourceBatch | None:
        """Read the next batch; None at the end. Who is cancelled waits for the document that is being read."""
        if self._made is not None:
            return await in_thread(next, self._made, None)
        async for document in self._documents:  # goes on where it was left
            if batch := self._gathering.add(document):
                return batch
        return self._gathering.rest()


def _several(documents: Any) -> Iterable[object]:
    if isinstance(documents, (Document, str)) or _conversion(documents):
        raise InputError(f"ingest expected several documents, got one {type(documents).__name__}. Put it into a list.")
    if isinstance(documents, AsyncIterable):
        raise InputError("ingest expected an iterable of documents, got an async one, which aingest takes.")
    if not isinstance(documents, Iterable):
        raise InputError(f"ingest expected an iterable of documents, got {type(documents).__name__}.")
    return documents


def _checked(document: object) -> Document:
    if not isinstance(document, Document):
        kind = type(document)
        raise InputError(
            f"ingest expected documents of type embedpipe.Document, got {kind.__module__}.{kind.__qualname__}. "
            f"Make one of each: {_conversion(document) or 'Document(id=..., text=..., metadata=...)'}."
        )
    if type(document.id) is not str:
        raise InputError(f"ingest expected Documents whose id is a str, got {document!r:.200}.")
    return document


def _length(text: object) -> int:
    """0 for what is no text: the document is a failure later, by its id."""
    return len(text) if isinstance(text, str) else 0


def _conversion(document: object) -> str | None:
    """How a framework's document becomes ours; None for anything else. No framework is imported."""
    if hasattr(document, "page_content"):
        return "Document(id=..., text=doc.page_content, metadata=doc.metadata)"
    if hasattr(document, "get_content"):
        return "Document(id=doc.node_id, text=doc.get_content(), metadata=doc.metadata)"
    return None
