"""Gather documents into batches. A document whose id came before is set apart."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any, TypeAlias

from embedpipe._checks import shown
from embedpipe._forking import UNFORKED
from embedpipe._threads import check_stopped, in_thread
from embedpipe.errors import InputError
from embedpipe.ingest.framework_documents import AnyDocument, LangChainDocument, LlamaIndexNode, converted
from embedpipe.ingest.ingest_settings import IngestSettings
from embedpipe.types import Document

Documents: TypeAlias = Iterable[AnyDocument] | AsyncIterable[AnyDocument]


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


class Intake:
    """Take documents of embedpipe, LangChain and LlamaIndex, and give those without an id one of their own."""

    def __init__(self, seen: SeenIds) -> None:
        self._seen = seen
        self._equal: Counter[str] = Counter()

    def take(self, item: object) -> tuple[Document, bool]:
        """Return the document, and whether its id is new.

        Raises:
            InputError: For an item that is no document, or whose id is not a str.
        """
        if isinstance(item, Document) or not isinstance(item, LangChainDocument | LlamaIndexNode):
            document = _checked(item)
            return document, self._seen.add(document.id)
        document, ids, numbered = converted(item)
        for name in ids:
            if self._seen.add(name):
                return replace(document, id=name), True
        if not numbered:
            return document, False
        self._equal[name] += 1
        return self.take(replace(document, id=f"{name}-{self._equal[name] + 1}"))


class _Gathering:
    """Fills batches, one document after another."""

    def __init__(self, settings: IngestSettings, seen: SeenIds) -> None:
        self._settings = settings
        self._intake = Intake(seen)
        self._batch = SourceBatch()

    def add(self, item: object) -> SourceBatch | None:
        """Add a document. Return the batch if it is full now."""
        document, is_new = self._intake.take(item)
        batch = self._batch
        if not is_new:
            batch.repeated.append(document.id)
            return None
        batch.documents.append(document)
        batch.characters += _length(document.text)
        full = (
            len(batch.documents) >= self._settings.batch_documents
            or batch.characters >= self._settings.batch_characters
        )
        return self.rest() if full else None

    def rest(self) -> SourceBatch | None:
        """Return what was gathered, None for nothing, and begin the next batch."""
        batch, self._batch = self._batch, SourceBatch()
        return batch if batch.documents or batch.repeated else None


def batches(documents: Iterable[AnyDocument], settings: IngestSettings, seen: SeenIds) -> Iterator[SourceBatch]:
    """Yield the documents in batches, in their order.

    Raises:
        InputError: For an item that is no document, or whose id is not a str.
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
    if isinstance(documents, Document | str | bytes | Mapping | PurePath | LangChainDocument | LlamaIndexNode):
        raise InputError(f"documents is one {type(documents).__name__}. Put it into a list.")
    if isinstance(documents, AsyncIterable):
        raise InputError("documents is an async iterable. Call aingest for it.")
    if not isinstance(documents, Iterable):
        raise InputError(f"documents is a {type(documents).__name__}. Pass an iterable of Document.")
    return documents


def _checked(item: object) -> Document:
    if not isinstance(item, Document):
        kind = type(item)
        raise InputError(f"A document is a {kind.__module__}.{kind.__qualname__}. {_remedy(item)}")
    if type(item.id) is not str:
        raise InputError(f"The id {shown(item.id)} of a document is no str. Pass a str.")
    return item


def _remedy(item: object) -> str:
    """Say what is taken in the place of an item that is no document."""
    if isinstance(item, PurePath):
        return "Read the file first: embedpipe.files.read_documents(path)."
    if isinstance(item, list | tuple | set | Iterator):
        return "Pass the documents one by one, not several as one item."
    return (
        "Pass an embedpipe.Document(id=..., text=..., metadata=...), or a document of LangChain or LlamaIndex as it is."
    )


def _length(text: object) -> int:
    """Return the length of a text, 0 for anything else: that document becomes a failure later."""
    return len(text) if isinstance(text, str) else 0
