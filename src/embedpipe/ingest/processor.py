"""`AsyncBatchProcessor`: documents through chunking and embedding, into whatever takes them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

from embedpipe.chunking import RecursiveChunker
from embedpipe.embedding import EmbeddingGenerator
from embedpipe.errors import InputError
from embedpipe.ingest.ingest_settings import IngestSettings
from embedpipe.ingest.ingestor import Ingestor
from embedpipe.ingest.source import Documents
from embedpipe.ingest.stats import ProcessedDocument, ProcessingStats, Progress, StatsAccumulator
from embedpipe.metrics.spans import Observers, span
from embedpipe.storage import AsyncPgVectorStore, PgVectorStore
from embedpipe.types import Chunker, EmbeddingModel


class Collector(Protocol):
    """Takes processed documents, as a list does."""

    def append(self, item: ProcessedDocument, /) -> object: ...


class AsyncBatchProcessor:
    """Streams documents through chunking and embedding, in memory that does not grow with their number.

    Documents are gathered into batches, `concurrency` of which are under way at once: by default as many as the model
    takes requests, one to be cut and one to be written. No more of the source is read than that, and results come in
    its order. A document that fails costs no other. `model` is a model's name, a backend or an `EmbeddingGenerator`,
    whose cache makes a second run free; `chunker`, `headers` and the others are those of `IngestSettings`. `metrics` is
    an observer of `embedpipe.metrics`, or several.
    """

    def __init__(
        self,
        model: str | EmbeddingModel | EmbeddingGenerator = "all-MiniLM-L6-v2",
        *,
        chunker: Chunker | None = RecursiveChunker(),  # noqa: B008 - frozen
        headers: bool = False,
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
            clean_text=clean_text,
            concurrency=concurrency,
            batch_documents=batch_documents,
            batch_characters=batch_characters,
        )
        self._metrics = metrics
        self._engine = Ingestor(self.generator, self.settings, metrics=metrics)

    def stream(
        self, documents: Documents, *, on_progress: Progress | None = None
    ) -> AsyncGenerator[ProcessedDocument, None]:
        """Each document with its chunks and vectors, or with its error, in the documents' order.

        `documents` is an iterable, read in a thread, or an async one. A document whose id came before is an error of
        its own. Raises `InputError` for what is no `Document`, and `AuthenticationError` for a refused key.
        """
        return self._engine.stream(documents, StatsAccumulator(on_progress))

    async def process(
        self,
        documents: Documents,
        *,
        sink: Collector | AsyncPgVectorStore | PgVectorStore,
        on_progress: Progress | None = None,
    ) -> ProcessingStats:
        """What became of the documents, once all of them are in the sink.

        A list (or what else has `append`) is given each `ProcessedDocument` that has no error. A store is written batch
        by batch, each in one transaction, and embeds only chunks that it does not have. Errors as `stream`, and
        `StorageError`s of the store.
        """
        accumulator = StatsAccumulator(on_progress)
        if isinstance(sink, PgVectorStore | AsyncPgVectorStore):
            store = sink.to_async() if isinstance(sink, PgVectorStore) else sink
            with span("ingest", to=self._metrics, collection=store.name):
                await self._engine.aingest(documents, store, accumulator, prune=False)
            return accumulator.stats
        if not callable(getattr(sink, "append", None)):
            raise InputError(f"sink expected a store or what has append(), such as a list, got {type(sink).__name__}.")
        with accumulator.logged(), span("ingest", to=self._metrics):
            async with aclosing(self._engine.stream(documents, accumulator)) as processed:
                async for document in processed:
                    if document.error is None:
                        sink.append(document)
        return accumulator.stats

    def __repr__(self) -> str:
        return f"AsyncBatchProcessor(model={self.generator.spec.name!r}, chunker={self.settings.chunker!r})"
