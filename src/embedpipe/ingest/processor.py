"""`AsyncBatchProcessor`: chunk and embed a stream of documents, without a database or into one."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

from embedpipe.chunking import RecursiveChunker
from embedpipe.embedding import EmbeddingGenerator
from embedpipe.errors import InputError
from embedpipe.ingest.contextual_header import ContextualHeader
from embedpipe.ingest.ingest_settings import IngestSettings
from embedpipe.ingest.ingestor import Ingestor
from embedpipe.ingest.source import Documents
from embedpipe.ingest.stats import ProcessedDocument, ProcessingStats, Progress, StatsAccumulator
from embedpipe.metrics import Observers, span
from embedpipe.storage import AsyncPgVectorStore, PgVectorStore
from embedpipe.types import Chunker, EmbeddingModel


class Collector(Protocol):
    """A sink for processed documents, such as a list."""

    def append(self, item: ProcessedDocument, /) -> object: ...


class AsyncBatchProcessor:
    """Streams documents through chunking and embedding, in memory that does not grow with their number.

    Documents are gathered into batches, and several batches are under way at once. No more of the source is read than
    these batches need. Results come in the order of the source. A document that fails does not affect the others.

    Args:
        model: A model's name, a backend or an `EmbeddingGenerator`. With a generator that has a cache, a second run
            costs nothing.
        chunker: See `IngestSettings`, also for `headers`, `context`, `late_chunking`, `clean_text`, `batch_documents`
            and `batch_characters`.
        concurrency: How many batches are under way. None for the number of requests that the model takes, plus two.
        metrics: An observer of `embedpipe.metrics`, or several.
    """

    def __init__(
        self,
        model: str | EmbeddingModel | EmbeddingGenerator = "all-MiniLM-L6-v2",
        *,
        chunker: Chunker | None = RecursiveChunker(),  # noqa: B008 - frozen
        headers: bool = False,
        context: ContextualHeader | None = None,
        late_chunking: bool = False,
        clean_text: bool = False,
        concurrency: int | None = None,
        batch_documents: int = 256,
        batch_characters: int = 200_000,
        metrics: Observers | None = None,
    ) -> None:
        self.generator = model if isinstance(model, EmbeddingGenerator) else EmbeddingGenerator(model)
        self.settings = IngestSettings(
            chunker=chunker,
            headers=headers,
            context=context,
            late_chunking=late_chunking,
            clean_text=clean_text,
            concurrency=concurrency,
            batch_documents=batch_documents,
            batch_characters=batch_characters,
        )
        self._metrics = metrics
        self._ingestor = Ingestor(self.generator, self.settings, metrics=metrics)

    def stream(
        self, documents: Documents, *, on_progress: Progress | None = None
    ) -> AsyncGenerator[ProcessedDocument, None]:
        """Yield each document with its chunks and vectors, or with its error, in the order of the documents.

        Args:
            documents: An iterable, which is read in a thread, or an async iterable.
            on_progress: Called after each batch with the report so far.

        Returns:
            A stream of `ProcessedDocument`. A document whose id came before is there with an error.

        Raises:
            InputError: For an item that is no document.
            AuthenticationError: If the provider refuses the key.
        """
        return self._ingestor.stream(documents, StatsAccumulator(on_progress))

    async def process(
        self,
        documents: Documents,
        *,
        sink: Collector | AsyncPgVectorStore | PgVectorStore,
        on_progress: Progress | None = None,
    ) -> ProcessingStats:
        """Process all documents into the sink.

        Args:
            documents: An iterable, which is read in a thread, or an async iterable.
            sink: A list, or another object with `append`: it is given each `ProcessedDocument` without an error. Or a
                store: it is written batch by batch, each in one transaction, and only chunks that it does not have are
                embedded.
            on_progress: Called after each batch with the report so far.

        Returns:
            The report, with the error of each document that failed.

        Raises:
            InputError: For an item that is no document, and for a sink of another kind.
            AuthenticationError: If the provider refuses the key.
            StorageError: If the store cannot be written.
        """
        accumulator = StatsAccumulator(on_progress)
        if isinstance(sink, PgVectorStore | AsyncPgVectorStore):
            store = sink.to_async() if isinstance(sink, PgVectorStore) else sink
            with span("ingest", to=self._metrics, collection=store.name):
                await self._ingestor.aingest(documents, store, accumulator, prune=False)
            return accumulator.stats
        if not callable(getattr(sink, "append", None)):
            raise InputError(
                f"sink is a {type(sink).__name__}. Pass a store, or an object with append(), such as a list."
            )
        with accumulator.logged(), span("ingest", to=self._metrics):
            async with aclosing(self._ingestor.stream(documents, accumulator)) as processed:
                async for document in processed:
                    if document.error is None:
                        sink.append(document)
        return accumulator.stats

    def __repr__(self) -> str:
        return f"AsyncBatchProcessor(model={self.generator.spec.name!r}, chunker={self.settings.chunker!r})"
