"""`SemanticSearchService`: ingest documents, search them. It wires all stages, so read this file first."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from embedpipe._checks import checked_count, checked_flag, checked_function, checked_items, checked_kind, shown
from embedpipe._forking import Given
from embedpipe._threads import in_thread
from embedpipe.answering import (
    AffectedAnswer,
    CitationState,
    RAGResponse,
    affected_answers,
    places_of,
    texts_of_chunks,
    verified,
)
from embedpipe.chunking import RecursiveChunker
from embedpipe.embedding import EmbeddingGenerator, RemoteModel
from embedpipe.errors import CollectionNotFoundError, EmbedPipeError, InputError
from embedpipe.ingest import (
    AnyDocument,
    ContextualHeader,
    Documents,
    Ingestor,
    IngestSettings,
    ProcessingStats,
    Progress,
    StatsAccumulator,
    TableSync,
    aafter_ingest,
    after_ingest,
)
from embedpipe.metrics import Observers, span
from embedpipe.reranking import as_reranker
from embedpipe.retrieval.duplicates import NearDuplicate, near_duplicates
from embedpipe.retrieval.neighbors import with_neighbors
from embedpipe.storage import (
    MAX_K,
    AsyncPgVectorStore,
    Condition,
    CosineSample,
    Database,
    Forgotten,
    Fusion,
    FusionMethod,
    PgVectorStore,
    ReembedProgress,
    Search,
    Table,
    as_fusion,
)
from embedpipe.storage.admin import Finding, Health
from embedpipe.storage.filters import aparse_filter, parse_filter
from embedpipe.storage.metadata import MetadataDescription, describe
from embedpipe.types import Chunker, EmbeddingModel, Parent, Reranker, SearchMode, SearchResult

logger = logging.getLogger(__name__)

_RERANKED = 50


class SemanticSearchService:
    """A collection of documents, and searches in it by meaning, by words, or by both.

    Every method that asks the database or the model has a twin for event loops, with an "a" before its name.

    Args:
        model: A model's name, a backend or an `EmbeddingGenerator`.
        database: A `Database` or a `postgresql://` URL. None for `EMBEDPIPE_DATABASE_URL`, else the embedded server.
        collection: The collection's name. The first ingest creates it.
        chunker: Cuts documents into chunks. None stores each document as one chunk. `chunk_size="model"` stands for the
            model's limit.
        headers: Whether the document's `metadata["title"]` and the headings that `MarkdownChunker` finds are embedded
            and indexed with each chunk's text. The text that is stored stays as it is.
        clean_text: Whether texts are cleaned before they are stored and embedded. Offsets still point into the text
            that was given.
        language: The text search configuration of a new collection, such as "english".
        reranker: Reorders the candidates of each search: a name, one of `embedpipe.reranking`, a LangChain document
            compressor, a LlamaIndex postprocessor, or a callable (query, texts) -> scores.
        tenant: Whose documents these are, in a collection that was first used with a tenant. No tenant sees documents
            of another.
        history: Whether a new collection keeps what is rewritten and deleted, for `search(as_of=)`. None opens any
            collection, and creates one without.
        metrics: An observer of `embedpipe.metrics`, or several. Every stage reports to it.

    Raises:
        ConfigurationError: If a setting cannot work.
        UnknownModelError: If no model has the name.
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
        history: bool | None = None,
        metrics: Observers | None = None,
    ) -> None:
        self.generator = _generator(model, metrics)
        self.store = PgVectorStore(
            database,
            collection=collection,
            model=self.generator.spec,
            language=language,
            tenant=tenant,
            history=history,
            metrics=metrics,
        )
        self.metrics = metrics
        self._chunker = chunker
        settings = IngestSettings(chunker=chunker, headers=headers, clean_text=clean_text)
        self.settings = settings.fitted(self.generator.model)
        self.reranker = None if reranker is None else as_reranker(reranker)
        self._given = Given(reranker)
        self._async_store: AsyncPgVectorStore | None = None

    def __repr__(self) -> str:
        return f"SemanticSearchService(model={self.generator.spec.name!r}, collection={self.store.name!r})"

    def ingest(
        self,
        documents: Iterable[AnyDocument],
        *,
        context: ContextualHeader | None = None,
        late_chunking: bool = False,
        prune: bool = False,
        on_progress: Progress | None = None,
    ) -> ProcessingStats:
        """Bring documents into the collection. Only new chunks are embedded. Chunks that a document lost are removed.

        Several batches of documents are under way at once. Each is written in one transaction after it was embedded. An
        ingest that is interrupted leaves whole documents, and the next one takes the rest. Large loads are indexed at
        the end.

        Args:
            documents: Any iterable. It is read as batches become free, never all at once. Documents of LangChain and
                LlamaIndex are taken as they are. Without an id, they get one from their source and page, else from a
                hash of source and text.
            context: Writes a sentence or two about each chunk's place in its document, by a chat model. They are
                embedded and indexed before the chunk's text, and are not stored as text. Pass it at each ingest:
                without it, documents that come again are embedded again without these headers.
            late_chunking: Whether the chunks of a document are embedded together, so that each vector depends on the
                whole document. For local models with mean pooling, models of Jina and voyage-context-3. Pass it at each
                ingest, as `context`, and ingest again after `reembed`, which embeds chunks by themselves.
            prune: Whether documents that were ingested before and did not come now are removed.
            on_progress: Called after each batch with the report so far.

        Returns:
            The report. A document that fails is in its `failures` and in the log, and does not affect the others.

        Raises:
            InputError: For an item that is no document, and for `prune` without documents.
            ModelMismatchError: If the collection holds vectors of another model.
            AuthenticationError: If the provider refuses the key.
            StorageError: If the database fails.
        """
        prune, accumulator = checked_flag("prune", prune), StatsAccumulator(on_progress)
        with span("ingest", to=self.metrics, collection=self.store.name):
            ingestor = Ingestor(self.generator, self.ingest_settings(context, late_chunking=late_chunking))
            ingestor.ingest(documents, self.store, accumulator, prune=prune)
            after_ingest(self.store, accumulator.stats)
        return accumulator.stats

    async def aingest(
        self,
        documents: Documents,
        *,
        context: ContextualHeader | None = None,
        late_chunking: bool = False,
        prune: bool = False,
        on_progress: Progress | None = None,
    ) -> ProcessingStats:
        """Do the same as `ingest`, on the running event loop. `documents` may be an async iterable, too."""
        prune, accumulator = checked_flag("prune", prune), StatsAccumulator(on_progress)
        with span("ingest", to=self.metrics, collection=self.store.name):
            ingestor = Ingestor(self.generator, self.ingest_settings(context, late_chunking=late_chunking))
            await ingestor.aingest(documents, self.async_store, accumulator, prune=prune)
            await aafter_ingest(self.async_store, accumulator.stats)
        return accumulator.stats

    def ingest_settings(
        self, context: ContextualHeader | None = None, *, late_chunking: bool = False
    ) -> IngestSettings:
        """Return the settings of an ingest. With headers, chunks are smaller where they are to fit the model."""
        settings = replace(self.settings, context=context, late_chunking=late_chunking)
        return settings if context is None else replace(settings, chunker=self._chunker).fitted(self.generator.model)

    def search(
        self,
        query: str,
        k: int = 5,
        *,
        mode: SearchMode = "hybrid",
        filter: Condition = None,
        threshold: float | None = None,
        candidates: int | None = None,
        required_phrases: bool = False,
        fusion: Fusion | FusionMethod | None = None,
        exact: bool = False,
        as_of: datetime | None = None,
    ) -> list[SearchResult]:
        """Find the k best chunks for a query.

        Args:
            query: The question or words to search for.
            k: How many chunks are wanted.
            mode: "hybrid" for meaning and words, "dense" for meaning alone, "lexical" for words alone.
            filter: A condition on the chunks' metadata.
            threshold: The lowest cosine similarity to the query, in every mode.
            candidates: How many chunks are reranked. None for 50, or k if that is more.
            required_phrases: Whether only chunks are found that hold the query's quoted phrases. Otherwise phrases add
                to the score. A lexical search always requires them.
            fusion: How a hybrid search weighs its legs: a `Fusion`, "zscores", "scores" or "ranks".
            exact: Whether the query is compared with every vector, without the index.
            as_of: The moment whose content is searched, with a time zone, in a collection with history. None searches
                the present.

        Returns:
            The chunks with their scores, best first. Fewer than k only if fewer meet the conditions.

        Raises:
            InputError: If the query is empty, or an option cannot be taken.
            CollectionNotFoundError: If nothing was ever ingested.
            ModelMismatchError: If the collection holds vectors of another model.
            StorageError: If the database fails.
        """
        with span("retrieve", to=self.metrics, collection=self.store.name, content=(query,)) as told:
            fetched = self._fetched(query, k, candidates)
            if not self.store.is_open and not self.store.exists():
                raise self._not_found()
            search = Search(
                text=query,
                k=fetched,
                mode=mode,
                filter=parse_filter(filter),
                threshold=threshold,
                required_phrases=required_phrases,
                fusion=as_fusion(fusion),
                exact=exact,
                as_of=as_of,
            )
            if search.needs_vector:
                search = search.with_vector(self.generator.generate(query, kind="query").embedding)
            results = self.store.run_search(search)
            if self.reranker is not None:
                results = _reranked(self.reranker, query, results)[:k]
            told.details["results"] = len(results)
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
        required_phrases: bool = False,
        fusion: Fusion | FusionMethod | None = None,
        exact: bool = False,
        as_of: datetime | None = None,
    ) -> list[SearchResult]:
        """Do the same as `search`, on the running event loop."""
        with span("retrieve", to=self.metrics, collection=self.store.name, content=(query,)) as told:
            fetched = self._fetched(query, k, candidates)
            if not self.async_store.is_open and not await self.async_store.exists():
                raise self._not_found()
            search = Search(
                text=query,
                k=fetched,
                mode=mode,
                filter=await aparse_filter(filter),
                threshold=threshold,
                required_phrases=required_phrases,
                fusion=as_fusion(fusion),
                exact=exact,
                as_of=as_of,
            )
            if search.needs_vector:
                search = search.with_vector((await self.generator.agenerate(query, kind="query")).embedding)
            results = await self.async_store.run_search(search)
            if self.reranker is not None:
                results = (await in_thread(_reranked, self.reranker, query, results))[:k]
            told.details["results"] = len(results)
            return results

    def reembed(
        self,
        model: str | EmbeddingModel | EmbeddingGenerator,
        *,
        on_progress: Callable[[ReembedProgress], None] | None = None,
    ) -> SemanticSearchService:
        """Embed every chunk again with another model, and switch the collection to it.

        This service works until the switch. After it, its searches and ingests raise `ModelMismatchError`. If the run
        fails or is killed, the next call continues it. To go back, call it with the former model.

        Args:
            model: The other model's name, a backend or an `EmbeddingGenerator`.
            on_progress: Called after each batch.

        Returns:
            The service over the collection with the other model.

        Raises:
            EmbedPipeError: Any error of the other model, or of `PgVectorStore.reembed`.
        """
        checked_function("on_progress", on_progress)
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

    def attach(self, table: Table) -> None:
        """Have the collection follow a table of your own. `sync` brings its rows in, and what changes in them later.

        Triggers on the table note which rows changed. Nothing else is added to it. A row is a document: its key is the
        id, and a key of several columns is a JSON array of their texts. Nobody else writes the collection from now on.
        To change which columns are searched, attach the table again.

        Args:
            table: The table, and which of its columns are searched.

        Raises:
            ConfigurationError: If the table cannot be attached, or the collection holds something else.
            LockTimeoutError: If somebody holds the table for `lock_timeout_s`.
            SchemaError: If the role may not create triggers on the table.
        """
        self.store.attach(table)

    async def aattach(self, table: Table) -> None:
        """Do the same as `attach`, on the running event loop."""
        await self.async_store.attach(table)

    def detach(self) -> bool:
        """Have the collection no longer follow its table, which is then as it was. The documents stay.

        Returns:
            False if the collection followed no table.
        """
        return self.store.detach()

    async def adetach(self) -> bool:
        """Do the same as `detach`, on the running event loop."""
        return await self.async_store.detach()

    def sync(self, *, every_failure: bool = True, on_progress: Progress | None = None) -> ProcessingStats:
        """Bring what changed in the attached table into the collection. Only new chunks are embedded.

        Each batch of rows is written in one transaction. Any number of processes may sync at once. One that is killed
        loses nothing, since the others find its rows again. A row that fails keeps what was stored of it, and is tried
        again later: after 30 seconds, and twice as late each time. On an event loop, run this in a thread.

        Args:
            every_failure: Whether rows that failed are tried now, too, and not only those whose time has come.
            on_progress: Called after each batch with the report so far.

        Returns:
            The report. Rows that are gone count as `removed`.

        Raises:
            AuthenticationError: If the provider refuses the key.
            ConfigurationError: If no table is attached, or this role does not see all its rows.
            SchemaError: If the table, or a column of it, is no longer there.
            StorageError: If the database fails.
        """
        every_failure, accumulator = checked_flag("every_failure", every_failure), StatsAccumulator(on_progress)
        with span("sync", to=self.metrics, collection=self.store.name):
            TableSync(self.generator, self.ingest_settings()).sync(self.store, accumulator, every_failure=every_failure)
            if accumulator.stats.chunks_embedded:
                after_ingest(self.store, accumulator.stats)
        return accumulator.stats

    def similar(
        self, id: str, k: int = 5, *, filter: Condition = None, threshold: float | None = None
    ) -> list[SearchResult]:
        """Find the chunks that are most similar to a stored one. Nothing is embedded.

        Args:
            id: The id of the stored chunk.
            k: How many chunks are wanted.
            filter: A condition on the chunks' metadata.
            threshold: The lowest cosine similarity.

        Returns:
            The chunks, most similar first, without the stored one.

        Raises:
            InputError: If no chunk has the id.
        """
        return self.store.similar(id, k=k, filter=filter, threshold=threshold)

    async def asimilar(
        self, id: str, k: int = 5, *, filter: Condition = None, threshold: float | None = None
    ) -> list[SearchResult]:
        """Do the same as `similar`, on the running event loop."""
        return await self.async_store.similar(id, k=k, filter=filter, threshold=threshold)

    def near_duplicates(self, threshold: float = 0.95, *, filter: Condition = None) -> list[NearDuplicate]:
        """Find all pairs of similar chunks, exactly: all vectors are read into memory, and each is compared with each.

        Args:
            threshold: The lowest cosine similarity of a pair.
            filter: A condition on the chunks' metadata.

        Returns:
            The pairs, most similar first.

        Raises:
            InputError: If the threshold is out of range.
        """
        return near_duplicates(*self.store.vectors(filter=filter), threshold=threshold)

    async def anear_duplicates(self, threshold: float = 0.95, *, filter: Condition = None) -> list[NearDuplicate]:
        """Do the same as `near_duplicates`. It compares in a thread, beside the running event loop."""
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
        neighbors = self.store.neighbors(_ids(results), window=window, parent=parent)
        return with_neighbors(results, neighbors)

    async def aexpand(
        self, results: Sequence[SearchResult], *, window: int = 1, parent: Parent | None = None
    ) -> list[SearchResult]:
        """Do the same as `expand`, on the running event loop."""
        neighbors = await self.async_store.neighbors(_ids(results), window=window, parent=parent)
        return with_neighbors(results, neighbors)

    def cosines(self) -> CosineSample | None:
        """Return mean and spread of the cosines between chunks, by which answers judge a similarity.

        Hybrid searches and `refresh_statistics()` sample them in collections of 100 chunks and more.

        Returns:
            The sample. None if there is none.

        Raises:
            StorageError: If the database fails.
        """
        return self.store.cosines()

    async def acosines(self) -> CosineSample | None:
        """Do the same as `cosines`, on the running event loop."""
        return await self.async_store.cosines()

    def describe_metadata(self) -> MetadataDescription:
        """Describe the metadata of the collection, for a model or a person who writes filters.

        A collection of up to 10,000 chunks is read whole. Of a larger one, 10,000 chunks are read, spread evenly over
        the order in which they were written. `is_exact` of the description says which. A tenant's service reads this
        tenant's chunks alone. The description has values of your metadata: show it to those who may see them.

        Returns:
            The keys with their types, examples and ranges, and how many chunks have them.

        Raises:
            CollectionNotFoundError: If nothing was ever ingested.
            StorageError: If the database fails.
        """
        return describe(self.store.metadata_sample())

    async def adescribe_metadata(self) -> MetadataDescription:
        """Do the same as `describe_metadata`, on the running event loop."""
        return await in_thread(describe, await self.async_store.metadata_sample())

    def keep_answer(self, response: RAGResponse) -> str:
        """Keep an answer in the database, to check its citations later.

        Its question, its text and the places that it cites are kept, each place with the text of its source. It goes
        when one of its sources' documents is forgotten.

        Returns:
            The id under which it is kept, for `verify`.

        Raises:
            CollectionNotFoundError: If nothing was ever ingested.
            StorageError: If the database fails.
        """
        return self.store.keep_answer(**_kept(response))

    async def akeep_answer(self, response: RAGResponse) -> str:
        """Do the same as `keep_answer`, on the running event loop."""
        return await self.async_store.keep_answer(**_kept(response))

    def verify(self, answer: RAGResponse | str) -> list[CitationState]:
        """Check whether the places that an answer cites still hold what they held when it was given.

        Args:
            answer: The answer, or the id of one that was kept.

        Returns:
            The state of each citation that has a place in a document, in the order of the answer: unchanged, moved
            (with its new place), altered (with what stands there now) or deleted.

        Raises:
            InputError: If no answer was kept under the id.
            StorageError: If the database fails.
        """
        given = self.store.kept_answer(answer).citations if isinstance(answer, str) else _checked_response(answer)
        places = places_of(given)
        return verified(places, self._texts({place.document_id for place in places}))

    async def averify(self, answer: RAGResponse | str) -> list[CitationState]:
        """Do the same as `verify`, on the running event loop."""
        if isinstance(answer, str):
            places = places_of((await self.async_store.kept_answer(answer)).citations)
        else:
            places = places_of(_checked_response(answer))
        return await in_thread(verified, places, await self._atexts({place.document_id for place in places}))

    def affected(self, document_ids: Sequence[str]) -> list[AffectedAnswer]:
        """Find the kept answers whose citations of these documents do not hold any more.

        Args:
            document_ids: Documents that were changed or deleted.

        Returns:
            The answers, oldest first, each with its citations that are altered or deleted.
        """
        changed = checked_items("document_ids", document_ids, str)
        kept = self.store.answers_leaning_on(changed)
        return affected_answers(kept, changed, self._texts(set(changed)))

    async def aaffected(self, document_ids: Sequence[str]) -> list[AffectedAnswer]:
        """Do the same as `affected`, on the running event loop."""
        changed = checked_items("document_ids", document_ids, str)
        kept = await self.async_store.answers_leaning_on(changed)
        return await in_thread(affected_answers, kept, changed, await self._atexts(set(changed)))

    def forget(self, document_id: str) -> Forgotten:
        """Delete a document with all that was ever kept of it.

        That is its chunks and vectors, superseded versions, kept answers that have it among their sources, and its
        vectors in the generator's cache. Texts that other documents hold too lose their cached vectors as well, and are
        embedded anew when they come again.

        Returns:
            How much was deleted.

        Raises:
            ConfigurationError: If the cache cannot delete. Nothing is deleted then.
            StorageError: If the database fails. Call it again then.
        """
        entries = self.generator.forget(self.store.embedded_texts(document_id))
        return self.store.forget(document_id)._replace(cache_entries=entries)

    async def aforget(self, document_id: str) -> Forgotten:
        """Do the same as `forget`, on the running event loop."""
        texts = await self.async_store.embedded_texts(document_id)
        entries = await in_thread(self.generator.forget, texts)
        return (await self.async_store.forget(document_id))._replace(cache_entries=entries)

    def _texts(self, document_ids: set[str]) -> dict[str, str]:
        """Return the present texts of those documents that are there."""
        texts = {each.id: each.text for each in self.store.documents(sorted(document_ids)) if each.text is not None}
        rest = sorted(document_ids - texts.keys())
        return texts | (texts_of_chunks(self.store.find(document_ids=rest)) if rest else {})

    async def _atexts(self, document_ids: set[str]) -> dict[str, str]:
        stored = await self.async_store.documents(sorted(document_ids))
        texts = {each.id: each.text for each in stored if each.text is not None}
        rest = sorted(document_ids - texts.keys())
        return texts | (texts_of_chunks(await self.async_store.find(document_ids=rest)) if rest else {})

    def health(self) -> Health:
        """Check whether searches and ingests work now. It takes milliseconds once the model is loaded.

        A local model embeds a word. A provider's model is paid by the word, so only its settings are checked.

        Returns:
            The state of the database, the collection and the model, with a finding for each problem.
        """
        return self._with_fault(self.store.health(), self._model_fault())

    async def ahealth(self) -> Health:
        """Do the same as `health`, on the running event loop."""
        fault = await in_thread(self._model_fault)
        return self._with_fault(await self.async_store.health(), fault)

    @property
    def async_store(self) -> AsyncPgVectorStore:
        """Return the service's collection for event loops."""
        if self._async_store is None:
            self._async_store = self.store.to_async()
        return self._async_store

    def close(self) -> None:
        """Close the connections to the database."""
        self.store.database.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop and those of threads."""
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

    def _with_fault(self, health: Health, fault: str | None) -> Health:
        found = [Finding(None, f"The model does not embed: {fault}", "See the log.", wrong=True)] if fault else []
        model = self.generator.spec.name
        return replace(health, model=model, model_loads=not fault, findings=[*health.findings, *found])

    def _not_found(self) -> CollectionNotFoundError:
        return CollectionNotFoundError(
            f"There is no collection {self.store.name!r} yet. Ingest documents first, or check the name."
        )

    def _fetched(self, query: object, k: int, candidates: int | None) -> int:
        if not isinstance(query, str) or not query.strip():
            raise InputError(f"The query is empty or no text: {shown(query)}. Pass a non-empty string.")
        k = checked_count("k", k, most=MAX_K)
        if self.reranker is None:
            if candidates is not None:
                raise InputError("`candidates` needs a reranker. Pass `reranker=` to the service.")
            return k
        return max(k, _RERANKED if candidates is None else checked_count("candidates", candidates, most=MAX_K))


def _kept(response: RAGResponse) -> dict[str, Any]:
    """Return what is kept of an answer, as arguments of the store."""
    _checked_response(response)
    return {
        "question": response.question,
        "answer": response.answer,
        "model": response.model,
        "document_ids": sorted({source.document_id for source in response.sources if source.document_id is not None}),
        "citations": [asdict(place) for place in places_of(response)],
    }


def _checked_response(response: object) -> RAGResponse:
    return checked_kind("response", response, RAGResponse)


def _ids(results: object) -> list[str]:
    return [result.id for result in checked_items("results", results, SearchResult)]


def _reranked(reranker: Reranker, query: str, results: list[SearchResult]) -> list[SearchResult]:
    with span("rerank", texts=len(results)):
        return reranker.rerank(query, results)


def _generator(model: str | EmbeddingModel | EmbeddingGenerator, metrics: Observers | None) -> EmbeddingGenerator:
    return model if isinstance(model, EmbeddingGenerator) else EmbeddingGenerator(model, metrics=metrics)
