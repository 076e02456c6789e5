"""`SemanticSearchService`: the stages wired. Documents go in, results come out; read this file first."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from embedpipe._forking import Given
from embedpipe._threads import in_thread
from embedpipe.chunking import RecursiveChunker
from embedpipe.embedding import EmbeddingGenerator, RemoteModel
from embedpipe.errors import CollectionNotFoundError, EmbedPipeError, InputError
from embedpipe.ingest import (
    Documents,
    Ingestor,
    IngestSettings,
    ProcessingStats,
    Progress,
    StatsAccumulator,
    aafter_ingest,
    after_ingest,
)
from embedpipe.metrics.spans import Observers, Span, span
from embedpipe.reranking import as_reranker
from embedpipe.retrieval.duplicates import NearDuplicate, near_duplicates
from embedpipe.retrieval.neighbors import with_neighbors
from embedpipe.storage import AsyncPgVectorStore, Condition, Database, PgVectorStore, ReembedProgress, Search
from embedpipe.storage.admin import Finding, Health
from embedpipe.storage.filters import aparse_filter, parse_filter
from embedpipe.types import Chunker, Document, EmbeddingModel, Parent, SearchMode, SearchResult

logger = logging.getLogger(__name__)

_RERANKED = 50


class SemanticSearchService:
    """Documents in a collection, found by meaning, by words, or by both.

    `model` is a model's name, a backend or an `EmbeddingGenerator`; `database` a `Database`, a `postgresql://` URL, or
    None for `EMBEDPIPE_DATABASE_URL`, else the embedded server. `chunker` None stores each document as one chunk; one
    with `chunk_size="model"` takes the model's limit. With `headers`, the document's `metadata["title"]` and the
    headings that `MarkdownChunker` finds are embedded and indexed with each chunk's text, which is stored as it stands.
    `clean_text` cleans what is stored and embedded, while offsets point into the text that was given. `language` is the
    text search configuration of a new collection. With a `reranker` (one of `embedpipe.reranking`, a LangChain document
    compressor, a LlamaIndex postprocessor, or a callable (query, texts) -> scores), a search reranks its candidates.
    `tenant` is whose documents these are, in a collection that was first used with one: nobody sees another tenant's.
    `metrics` is an observer of `embedpipe.metrics`, or several: every stage tells it.
    """

    def __init__(
        self,
        model: str | EmbeddingModel | EmbeddingGenerator = "all-MiniLM-L6-v2",
        *,
        database: Database | str | None = None,
        collection: str = "default",
        chunker: Chunker | None = RecursiveChunker(),  # noqa: B008 - frozen
        headers: bool = False,
        clean_text: bool = False,
        language: str | None = None,
        reranker: object | None = None,
        tenant: str | None = None,
        metrics: Observers | None = None,
    ) -> None:
        self.generator = _generator(model, metrics)
        self.store = PgVectorStore(
            database,
            collection=collection,
            model=self.generator.spec,
            language=language,
            tenant=tenant,
            metrics=metrics,
        )
        self.metrics = metrics
        settings = IngestSettings(chunker=chunker, headers=headers, clean_text=clean_text)
        self.settings = settings.fitted(self.generator.model)
        self.reranker = None if reranker is None else as_reranker(reranker)
        self._given = Given(reranker)
        self._async_store: AsyncPgVectorStore | None = None

    def __repr__(self) -> str:
        return f"SemanticSearchService(model={self.generator.spec.name!r}, collection={self.store.name!r})"

    def ingest(
        self, documents: Iterable[Document], *, prune: bool = False, on_progress: Progress | None = None
    ) -> ProcessingStats:
        """What became of the documents: only chunks that are new are embedded, and what a document lost is removed.

        Several batches of documents are under way at once, each written in one transaction after it was embedded: an
        ingest that is interrupted leaves whole documents, and the next one takes the rest. `prune` removes documents
        that were ingested before and did not come now. A document that fails is in the report's `failures` and in the
        log, and costs no other. Raises `InputError` for what is no `Document`, and `StorageError`s.
        """
        accumulator = StatsAccumulator(on_progress)
        with self._span("ingest"):
            Ingestor(self.generator, self.settings).ingest(documents, self.store, accumulator, prune=prune)
            after_ingest(self.store, accumulator.stats)
        return accumulator.stats

    async def aingest(
        self, documents: Documents, *, prune: bool = False, on_progress: Progress | None = None
    ) -> ProcessingStats:
        """As `ingest`, on the running event loop; `documents` may be an async iterable as well."""
        accumulator = StatsAccumulator(on_progress)
        with self._span("ingest"):
            await Ingestor(self.generator, self.settings).aingest(documents, self.async_store, accumulator, prune=prune)
            await aafter_ingest(self.async_store, accumulator.stats)
        return accumulator.stats

    def search(
        self,
        query: str,
        k: int = 5,
        *,
        mode: SearchMode = "hybrid",
        filter: Condition = None,
        threshold: float | None = None,
        candidates: int | None = None,
        exact: bool = False,
    ) -> list[SearchResult]:
        """The k best chunks, best first; fewer only where fewer meet the conditions.

        `threshold` is the least cosine similarity to the query, in every mode. With a reranker, `candidates` chunks
        (50, or k if more) are searched and reranked. `exact` compares with every vector, past the index. Raises
        `InputError` for an empty query or what the store refuses, `CollectionNotFoundError` where nothing was ever
        ingested.
        """
        with self._span("retrieve", content=(query,)) as told:
            wanted = self._wanted(query, k, candidates)
            if not self.store.is_open and not self.store.exists():
                raise self._not_found()
            search = Search(
                text=query, k=wanted, mode=mode, filter=parse_filter(filter), threshold=threshold, exact=exact
            )
            if search.needs_vector:
                search = search.with_vector(self.generator.generate(query, kind="query").embedding)
            results = self.store.run_search(search)
            if self.reranker is not None:
                results = self._reranked(query, results)[:k]
            told.note(results=len(results))
            return results

    async def asearch(
        self,
        query: str,
        k: int = 5,
        *,
        mode: SearchMode = "hybrid",
        filter: Condition = None,
        threshold: float | None = None,
        candidates: int | None = None,
        exact: bool = False,
    ) -> list[SearchResult]:
        """As `search`, on the running event loop."""
        with self._span("retrieve", content=(query,)) as told:
            wanted = self._wanted(query, k, candidates)
            if not self.async_store.is_open and not await self.async_store.exists():
                raise self._not_found()
            search = Search(
                text=query, k=wanted, mode=mode, filter=await aparse_filter(filter), threshold=threshold, exact=exact
            )
            if search.needs_vector:
                search = search.with_vector((await self.generator.agenerate(query, kind="query")).embedding)
            results = await self.async_store.run_search(search)
            if self.reranker is not None:
                results = (await in_thread(self._reranked, query, results))[:k]
            told.note(results=len(results))
            return results

    def reembed(
        self,
        model: str | EmbeddingModel | EmbeddingGenerator,
        *,
        on_progress: Callable[[ReembedProgress], None] | None = None,
    ) -> SemanticSearchService:
        """The service over the same collection with another model, which all chunks have been embedded with by then.

        Meanwhile this one goes on working; from then on its searches and ingests raise `ModelMismatchError`. What
        fails or is killed goes on where it was with the next call. With the former model it goes back. Errors as
        `PgVectorStore.reembed`.
        """
        generator = _generator(model, self.metrics)
        self.store.reembed(
            lambda texts: generator.generate_batch(texts).vectors, model=generator.spec, on_progress=on_progress
        )
        return SemanticSearchService(
            generator,
            database=self.store.database,
            collection=self.store.name,
            chunker=self.settings.chunker,
            headers=self.settings.headers,
            clean_text=self.settings.clean_text,
            reranker=self.reranker,
            metrics=self.metrics,
        )

    def similar(
        self, id: str, k: int = 5, *, filter: Condition = None, threshold: float | None = None
    ) -> list[SearchResult]:
        """The k chunks most like the stored one of that id, most similar first; nothing is embedded for it.

        Raises `InputError` where no chunk has the id.
        """
        return self.store.similar(id, k=k, filter=filter, threshold=threshold)

    async def asimilar(
        self, id: str, k: int = 5, *, filter: Condition = None, threshold: float | None = None
    ) -> list[SearchResult]:
        """As `similar`, on the running event loop."""
        return await self.async_store.similar(id, k=k, filter=filter, threshold=threshold)

    def near_duplicates(self, threshold: float = 0.95, *, filter: Condition = None) -> list[NearDuplicate]:
        """Every pair of chunks of at least that cosine similarity, the most similar first.

        Exact, and quadratic: the vectors are read into memory, and each is compared with each.
        """
        return near_duplicates(*self.store.vectors(filter=filter), threshold=threshold)

    async def anear_duplicates(self, threshold: float = 0.95, *, filter: Condition = None) -> list[NearDuplicate]:
        """As `near_duplicates`, beside the running event loop."""
        stored = await self.async_store.vectors(filter=filter)
        return await in_thread(near_duplicates, *stored, threshold=threshold)

    def expand(
        self, results: Sequence[SearchResult], *, window: int = 1, parent: Parent | None = None
    ) -> list[SearchResult]:
        """Return the results, then their neighbors in the documents.

        Args:
            results: The results of a search.
            window: How many chunks before and after each result to add.
            parent: Add all chunks of each result's "section" (those under the same headings, see `MarkdownChunker`) or
                "document" instead of a window.

        Returns:
            The results, then each neighbor once. A neighbor has the `score` of its best result and no other score.

        Raises:
            InputError: If `window` or `parent` is not valid.
        """
        neighbors = self.store.neighbors([result.id for result in results], window=window, parent=parent)
        return with_neighbors(results, neighbors)

    async def aexpand(
        self, results: Sequence[SearchResult], *, window: int = 1, parent: Parent | None = None
    ) -> list[SearchResult]:
        """Add neighbors on the running event loop. See `expand`."""
        neighbors = await self.async_store.neighbors([result.id for result in results], window=window, parent=parent)
        return with_neighbors(results, neighbors)

    def health(self) -> Health:
        """Whether searches and ingests can be answered now, in milliseconds once the model is loaded.

        A local model embeds a word; of a provider's, which is paid by the word, nothing is asked but its settings.
        """
        return self._with_model(self.store.health(), self._model_fault())

    async def ahealth(self) -> Health:
        """As `health`, on the running event loop."""
        fault = await in_thread(self._model_fault)
        return self._with_model(await self.async_store.health(), fault)

    @property
    def async_store(self) -> AsyncPgVectorStore:
        """The service's collection, for event loops."""
        if self._async_store is None:
            self._async_store = self.store.to_async()
        return self._async_store

    def close(self) -> None:
        """Closes the connections to the database."""
        self.store.database.close()

    async def aclose(self) -> None:
        """Closes the connections of the running event loop, and those of threads."""
        await self.store.database.aclose()

    def _model_fault(self) -> str | None:
        model = self.generator.model
        try:
            if not isinstance(model, RemoteModel):
                model.embed(["health"], "query")
        except Exception as error:
            logger.exception("The model does not embed.")
            return str(error) if isinstance(error, EmbedPipeError) else type(error).__name__
        return None

    def _with_model(self, health: Health, fault: str | None) -> Health:
        found = [Finding(None, f"The model does not embed: {fault}", "See the log.", wrong=True)] if fault else []
        model = self.generator.spec.name
        return replace(health, model=model, model_loads=not fault, findings=[*health.findings, *found])

    def _span(self, stage: str, **details: Any) -> Span:
        return span(stage, to=self.metrics, collection=self.store.name, **details)

    def _reranked(self, query: str, results: list[SearchResult]) -> list[SearchResult]:
        if self.reranker is None:
            return results
        with span("rerank", texts=len(results)):
            return self.reranker.rerank(query, results)

    def _not_found(self) -> CollectionNotFoundError:
        return CollectionNotFoundError(
            f"There is no collection {self.store.name!r} yet: ingest documents first, or check the name."
        )

    def _wanted(self, query: str, k: int, candidates: int | None) -> int:
        if type(query) is not str or not query.strip():
            raise InputError(f"The query expected text, got {query!r:.100}.")
        if self.reranker is None:
            if candidates is not None:
                raise InputError("candidates is what a reranker chooses from, and the service has none.")
            return k
        return max(k, _RERANKED if candidates is None else candidates)


def _generator(model: str | EmbeddingModel | EmbeddingGenerator, metrics: Observers | None) -> EmbeddingGenerator:
    return model if isinstance(model, EmbeddingGenerator) else EmbeddingGenerator(model, metrics=metrics)
