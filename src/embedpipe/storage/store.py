"""`PgVectorStore`: one collection of chunks and vectors in PostgreSQL, for threads.

`scripts/generate_async_store.py` generates `async_store.py` from this file. Run that after a change here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, TypeVarTuple, get_args

import numpy.typing as npt
from sqlalchemy import Connection

from embedpipe._checks import checked_choice, checked_count, checked_flag, checked_function, checked_kind
from embedpipe.errors import ConfigurationError, InputError, SchemaError, StorageError, UnknownCommitError
from embedpipe.storage import attach
from embedpipe.storage.admin import Health, health
from embedpipe.storage.attach import Claim, Table
from embedpipe.storage.base_store import RENEWALS, SAMPLE_AGAIN_S, BaseStore, check_outdated, replaced
from embedpipe.storage.filters import Condition, ValueType, parse_filter
from embedpipe.storage.indexes import IndexProgress, MetadataIndex, metadata_index, vector_index
from embedpipe.storage.lexical import WEIGHT_TOLERANCE, Refreshed, UpgradeProgress, refresh_weights, upgrade
from embedpipe.storage.metadata import MetadataSample
from embedpipe.storage.metadata import sample as sample_metadata
from embedpipe.storage.reembed import Reembedding, ReembedProgress, drop_embedding_versions
from embedpipe.storage.search import (
    CosineSample,
    DocumentVersion,
    Fusion,
    FusionMethod,
    ListedDocument,
    MetadataKey,
    Search,
    StoredVectors,
    as_fusion,
    cosine_sample,
    execution,
    history,
    lookup,
    neighbors,
    overview,
)
from embedpipe.storage.tables import BM25, Collection, VectorIndex, catalogue
from embedpipe.storage.types import Precision, storable_text
from embedpipe.storage.write import (
    DocumentBatch,
    Forgotten,
    KeptAnswer,
    Known,
    StoredDocument,
    Written,
    answers,
    forgetting,
    refusals,
)
from embedpipe.storage.write import chunks as chunk_writes
from embedpipe.storage.write import documents as document_writes
from embedpipe.types import Chunk, ModelSpec, Parent, SearchMode, SearchResult

if TYPE_CHECKING:
    from embedpipe.storage.async_store import AsyncPgVectorStore

logger = logging.getLogger(__name__)

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class PgVectorStore(BaseStore):
    """A collection of chunks with their vectors, all of one model.

    Writing, or `create()`, creates the collection for `model` if there is none. Without a model you can only open one
    that exists. Reading and deleting raise `CollectionNotFoundError` if there is none.

    Every method may raise `DatabaseUnavailableError`, `SchemaError`, `CollectionNotFoundError`, `ModelMismatchError`
    (also if the collection was created for another model) and `StorageError`. Nothing is then written. A
    `connection=` takes part in the caller's own transaction, which the caller commits. Safe to share between threads.

    Args:
        database: A `Database`, a `postgresql://` URL, or None for `EMBEDPIPE_DATABASE_URL`, else the embedded server.
        collection: The collection's name.
        model: The model of its vectors.
        language: The text search configuration of the lexical search, any that PostgreSQL has. English by default.
        precision: What numbers are stored as. float32 by default, float16 past 2,000 dimensions.
        lexical: False leaves the index of words out: writing is faster, and searches are `dense` only. A `BM25` says
            how it weighs words.
        tenant: Whose chunks these are, in a collection that was first used with a tenant.
        history: Whether a new collection keeps what is rewritten and deleted, for `search(as_of=)` and `versions`. None
            opens any collection, and creates one without.
        metrics: An observer of `embedpipe.metrics`, or several.
    """

    _async_form: ClassVar[type[AsyncPgVectorStore]]  # set by `async_store`, which is built on this module

    @property
    def collection(self) -> Collection:
        """The open collection, with its model and tables. Created if there is none and the store has a model."""
        if self._collection is None:
            self._collection = self.database.ensure(self._find if self.settings.model is None else self._open)
        return self._collection

    def existing(self) -> Collection:
        """Return the open collection.

        Raises:
            CollectionNotFoundError: If there is none.
        """
        if self._collection is None:
            self._collection = self.database.ensure(self._find)
        return self._collection

    def create(self) -> None:
        """Create the collection for the store's model, unless it exists. Writing creates it too, reading does not.

        Raises:
            CollectionNotFoundError: If there is none, and the store has no model.
            ModelMismatchError: If there is one with another model's vectors.
        """
        self._collection = self.database.ensure(self._open)

    def _create_if_new(self) -> None:
        if self._collection is None:
            self.create()

    def to_async(self) -> AsyncPgVectorStore:
        """Return the same collection's store for event loops."""
        return self._as(self._async_form)

    def upsert(
        self, chunks: Sequence[Chunk], vectors: npt.ArrayLike, *, connection: Connection | None = None
    ) -> list[str]:
        """Write chunks with their vectors in one transaction: new ids are added, known ones replaced whole.

        Args:
            chunks: A chunk without an id gets a random one. Of two chunks with the same id the later one counts.
            vectors: An (n, d) array of float32, or what becomes one.
            connection: The caller's own transaction, to take part in.

        Returns:
            The ids of the chunks, in order.

        Raises:
            InputError: If something cannot be stored exactly. The message names the chunk.
        """
        rows = chunk_writes.checked_rows(chunk_writes.with_ids(chunks))
        return self._write(
            "upsert",
            chunk_writes.upsert,
            chunk_writes.upsert_by_halves,
            rows,
            vectors,
            connection=connection,
            makes_ids=any(chunk.id is None for chunk in chunks),
        )

    def delete(
        self,
        ids: Sequence[str] | None = None,
        *,
        document_ids: Sequence[str] | None = None,
        filter: Condition = None,
        connection: Connection | None = None,
    ) -> int:
        """Delete the chunks that meet every restriction given.

        Returns:
            How many chunks there were.

        Raises:
            InputError: If no restriction is given, or a filter that leaves nothing out.
        """
        condition = parse_filter(filter)
        chosen = chunk_writes.checked_restrictions(ids, document_ids, condition)
        return self._run("delete", chunk_writes.delete, *chosen, connection=connection)

    def clear(self, *, connection: Connection | None = None) -> int:
        """Delete all chunks and all documents.

        Returns:
            How many chunks there were.
        """
        return self._run("clear", chunk_writes.clear, connection=connection)

    def get(self, ids: Sequence[str], *, connection: Connection | None = None) -> list[Chunk]:
        """Return the chunks with these ids, in their order, without those that are not there."""
        return self._run("get", lookup.get, lookup.checked_ids(ids, "ids"), connection=connection, reads=True)

    def find(
        self,
        filter: Condition = None,
        *,
        document_ids: Sequence[str] | None = None,
        limit: int | None = None,
        connection: Connection | None = None,
    ) -> list[Chunk]:
        """Return the chunks that meet every restriction given, in the order of document and place.

        Raises:
            InputError: If a restriction is not one, or `limit` is below 1.
        """
        condition = parse_filter(filter)
        documents = lookup.optional_ids(document_ids, "document_ids")
        return self._run(
            "find", lookup.find, condition, documents, lookup.checked_limit(limit), connection=connection, reads=True
        )

    def search(
        self,
        vector: npt.ArrayLike | None = None,
        text: str | None = None,
        *,
        k: int = 5,
        mode: SearchMode = "dense",
        filter: Condition = None,
        threshold: float | None = None,
        required_phrases: bool = False,
        with_vectors: bool = False,
        fusion: Fusion | FusionMethod | None = None,
        exact: bool = False,
        as_of: datetime | None = None,
        connection: Connection | None = None,
    ) -> list[SearchResult]:
        """Return the k best chunks, best first, ties by id. Fewer come only where fewer meet the conditions.

        The same chunks give the same answer, whatever order they were written in. Three things are only nearly so. A
        vector index may miss some chunks. Words that a chunk repeats weigh by the average length as of writing. And a
        hybrid search goes by a sample of cosines, which is taken when there are twice the chunks of last time. Both are
        exact after `refresh_statistics(exact=True)`.

        Args:
            vector: The query's vector (d,), for the modes dense and hybrid.
            text: The query's text, for the modes lexical and hybrid.
            k: How many results.
            mode: `dense` compares `vector` by cosine, `lexical` ranks by BM25 over the words of `text`, `hybrid` fuses
                both.
            filter: A condition on the metadata.
            threshold: The least similarity to `vector`, in every mode.
            required_phrases: In a hybrid search, bring only chunks that hold the quoted phrases of `text`. Otherwise
                phrases add to the score. A lexical search always requires them.
            with_vectors: Return each chunk's vector with it.
            fusion: How a hybrid search weighs its legs: a `Fusion`, "zscores", "scores" or "ranks".
            exact: Compare with every vector, also where there is an index, which may miss some.
            as_of: Search what the collection held at this moment, which needs a collection with history. It has a time
                zone. The search compares with every vector.
            connection: The caller's own transaction, to take part in.

        Raises:
            InputError: If the vector or the text is missing, or an option is of another type or out of its range.
            ConfigurationError: If the mode needs words and the collection has none, or `as_of` needs history.
        """
        search = Search(
            mode=mode,
            k=k,
            vector=vector,
            text=text,
            filter=parse_filter(filter),
            threshold=threshold,
            required_phrases=required_phrases,
            with_vectors=with_vectors,
            fusion=as_fusion(fusion),
            exact=exact,
            as_of=as_of,
        )
        return self.run_search(search, connection=connection)

    def run_search(self, search: Search, *, connection: Connection | None = None) -> list[SearchResult]:
        """Run a search whose options come as one object. See `search`."""
        search.check_complete()
        with self._span("search") as span:
            # The moment is set for a transaction, which a search of the present does without.
            found = self._step(execution.search, search, connection=connection, reads=search.as_of is None)
            if found.sample_due and connection is None and self._sample_cosines():
                found = self._step(execution.search, search, reads=True)
            span.details["results"] = len(found.results)
        return found.results

    def similar(
        self,
        id: str,
        *,
        k: int = 5,
        filter: Condition = None,
        threshold: float | None = None,
        connection: Connection | None = None,
    ) -> list[SearchResult]:
        """Return the k chunks most similar to the stored one of that id, most similar first, without itself.

        `threshold` is the least similarity.

        Raises:
            InputError: If no chunk has the id.
        """
        [chunk_id] = lookup.checked_ids([id], "id")
        search = Search(k=k, filter=parse_filter(filter), threshold=threshold, extra=1)
        return self._run("similar", neighbors.similar, chunk_id, search, connection=connection, reads=True)

    def neighbors(
        self,
        ids: Sequence[str],
        *,
        window: int = 1,
        parent: Parent | None = None,
        connection: Connection | None = None,
    ) -> dict[str, list[Chunk]]:
        """Return the chunks around each of these in its document, by id and in the order of their places.

        A chunk with none around it, or without a document, is left out.

        Args:
            ids: The chunks.
            window: How many chunks before and after each.
            parent: Return those of its parent instead: its "section" (under the same headings, see `MarkdownChunker`)
                or its "document".
            connection: The caller's own transaction, to take part in.

        Raises:
            InputError: If `window` or `parent` is not valid.
        """
        chunk_ids = lookup.checked_ids(ids, "ids")
        window = checked_count("window", window, least=0)
        parent = None if parent is None else checked_choice("parent", parent, get_args(Parent))
        return self._run("neighbors", neighbors.neighbors, chunk_ids, window, parent, connection=connection, reads=True)

    def vectors(
        self, ids: Sequence[str] | None = None, *, filter: Condition = None, connection: Connection | None = None
    ) -> StoredVectors:
        """Return ids and vectors (n, d) float32 of the chunks that meet every restriction given, by document and place.

        All are held in memory: 1.5 KB for each chunk of 384 dimensions.
        """
        chosen = lookup.optional_ids(ids, "ids"), parse_filter(filter)
        return self._run("vectors", lookup.vectors, *chosen, connection=connection, reads=True)

    def count(self, *, connection: Connection | None = None) -> int:
        """Return how many chunks there are."""
        return self._run("count", lookup.count, connection=connection, reads=True)

    def metadata_sample(self, *, connection: Connection | None = None) -> MetadataSample:
        """Return the metadata of every chunk, or of a bounded sample of a large collection, for `describe`."""
        return self._run("metadata_sample", sample_metadata, connection=connection, reads=True)

    def create_index(
        self,
        index: VectorIndex | None = None,
        *,
        concurrently: bool = False,
        on_progress: Callable[[IndexProgress], None] | None = None,
    ) -> None:
        """Build the vector index. Searches before it are exact. Build it after the first load.

        Searches go on meanwhile, and writers wait. Memory is taken as the server's settings allow.

        Args:
            index: How to build it. None keeps the index that is there, else builds the most exact kind that takes the
                collection's vectors. Another one than is there replaces it once it is built.
            concurrently: Let writers go on, too. Building takes longer, and what a failure leaves is dropped.
            on_progress: Called a few times a second. If it raises, the build is cancelled.

        Raises:
            ConfigurationError: If the vectors cannot be indexed that way.
        """
        if index is not None:
            checked_kind("index", index, VectorIndex, error=ConfigurationError)
        concurrently = checked_flag("concurrently", concurrently)
        checked_function("on_progress", on_progress)
        self._create_if_new()
        with self._span("create_index"):
            used, left = self.existing(), RENEWALS
            while True:
                try:
                    vector_index.create_index(
                        self.database, used, index, concurrently=concurrently, on_progress=on_progress
                    )
                    break
                except SchemaError as error:
                    check_outdated(error, left)
                    used, left = self.database.read(self._renewed, used), left - 1
        self._collection = None

    def drop_index(self) -> bool:
        """Drop the vector index. Searches are exact until `create_index` builds a new one.

        Do this before a load that is large compared with what is stored: rows are written several times faster.

        Returns:
            True if there was an index.
        """
        return self._run("drop_index", vector_index.drop_index)

    def index_metadata(self, *path: str, type: ValueType = "number") -> None:
        """Build the index that ranges over a metadata key need: `index_metadata("year")` for `Field("year") >= 2020`.

        Equality and `contains` have an index of their own. Writers wait while it is built.

        Args:
            path: The key. Several are the path to a nested one.
            type: What of the values is compared, numbers or strings. The others are not in the index.
        """
        index = MetadataIndex(path, type)
        with self._span("index_metadata"):
            self._create_if_new()
            self._step(metadata_index.create, index)
            self._step(vector_index.analyze)  # only then has the planner statistics of the key

    def metadata_indexes(self) -> list[MetadataIndex]:
        """Return the indexes on metadata keys, in the order they were made."""
        return self._run("metadata_indexes", metadata_index.list_indexes)

    def drop_metadata_index(self, *path: str, type: ValueType = "number") -> bool:
        """Drop the index on a metadata key.

        Returns:
            True if there was one.
        """
        return self._run("drop_metadata_index", metadata_index.drop, MetadataIndex(path, type))

    def documents(self, document_ids: Sequence[str], *, connection: Connection | None = None) -> list[StoredDocument]:
        """Return the ingested documents with these ids, in their order, without those that are not there."""
        checked = lookup.checked_ids(document_ids, "document_ids")
        return self._run("documents", document_writes.stored, checked, connection=connection, reads=True)

    def list_documents(
        self,
        *,
        after: str | None = None,
        contains: str | None = None,
        limit: int = 100,
        connection: Connection | None = None,
    ) -> list[ListedDocument]:
        """Return the ids, titles and numbers of chunks of the ingested documents, in the order of their ids.

        Args:
            after: Begin behind this id, which is that of the last document so far.
            contains: Return those alone whose id or title contains this text, in any case.
            limit: The most documents to return.
            connection: The caller's own transaction, to take part in.

        Raises:
            InputError: If `limit` is below 1, or if the database cannot hold one of the texts.
        """
        begun = None if after is None else storable_text(after, "after")
        text = None if contains is None else storable_text(contains, "contains")
        most = checked_count("limit", limit)
        listed = overview.list_documents
        return self._run("list_documents", listed, begun, text, most, connection=connection, reads=True)

    def metadata_keys(self, *, connection: Connection | None = None) -> list[MetadataKey]:
        """Return the keys of the metadata with their most frequent values, counted in a sample of up to 5,000 chunks.

        Only texts of up to 200 characters, numbers and booleans count.
        """
        return self._run("metadata_keys", overview.metadata_keys, connection=connection, reads=True)

    def versions(self, document_id: str, *, connection: Connection | None = None) -> list[DocumentVersion]:
        """Return the versions of a document, oldest first: superseded ones, the present one, or those of a deleted one.

        Raises:
            ConfigurationError: If the collection keeps no history.
        """
        [checked] = lookup.checked_ids([document_id], "document_id")
        return self._run("versions", history.versions, checked, connection=connection, reads=True)

    def embedded_texts(self, document_id: str) -> list[str]:
        """Return the texts of a document's chunks as they were embedded, with those that history keeps, each once."""
        [checked] = lookup.checked_ids([document_id], "document_id")
        return self._run("embedded_texts", forgetting.embedded_texts, checked, reads=True)

    def forget(self, document_id: str) -> Forgotten:
        """Delete a document with all that was ever kept of it: its chunks, superseded versions, and answers.

        Answers go that were kept and have the document among their sources. The planner's statistics are renewed, since
        they hold values of the columns. PostgreSQL frees the bytes on its disk at the next VACUUM.

        Returns:
            How much was deleted. Caches may still have its vectors, see `SemanticSearchService.forget`.
        """
        [checked] = lookup.checked_ids([document_id], "document_id")
        forgotten = self._run("forget", forgetting.forget, checked)
        self._step(forgetting.analyze)
        return forgotten

    def keep_answer(
        self,
        question: str,
        answer: str,
        *,
        model: str | None = None,
        document_ids: Sequence[str] = (),
        citations: Sequence[Mapping[str, Any]] = (),
    ) -> str:
        """Keep an answer, to be checked later. See `SemanticSearchService.keep_answer`.

        Args:
            question: The question.
            answer: The text of the answer.
            model: The language model that wrote it.
            document_ids: The documents of all its sources. The answer goes when one of them is forgotten.
            citations: JSON objects, one for each cited place.

        Returns:
            The id under which it is kept.
        """
        documents = lookup.checked_ids(document_ids, "document_ids")
        kept = question, answer, model, documents, list(citations)
        return self._run("keep_answer", answers.keep, *kept)

    def kept_answer(self, answer_id: str) -> KeptAnswer:
        """Return an answer that was kept.

        Raises:
            InputError: If the collection has none of that id.
        """
        return self._run("kept_answer", answers.kept, answer_id, reads=True)

    def answers_leaning_on(self, document_ids: Sequence[str]) -> list[KeptAnswer]:
        """Return the kept answers that have one of these documents among their sources, oldest first."""
        checked = lookup.checked_ids(document_ids, "document_ids")
        return self._run("answers_leaning_on", answers.leaning_on, checked, reads=True)

    def delete_answers(self, answer_ids: Sequence[str]) -> int:
        """Delete answers that were kept.

        Returns:
            How many there were.
        """
        checked = lookup.checked_ids(answer_ids, "answer_ids")
        return self._run("delete_answers", answers.discard, checked)

    def known_documents(self, document_ids: Sequence[str]) -> Known:
        """Return the hashes of these documents and the ids of their chunks, where they are stored."""
        checked = lookup.checked_ids(document_ids, "document_ids")
        return self._run("known_documents", document_writes.known, checked, reads=True)

    def write_documents(self, batch: DocumentBatch) -> Written:
        """Write documents with their chunks in one transaction, without those that hold what the database refuses."""
        return self._write("write_documents", document_writes.write, document_writes.write_by_halves, batch)

    def prune_documents(self, seen: Sequence[str]) -> tuple[int, int]:
        """Delete all documents but those seen.

        Returns:
            How many documents and chunks there were.
        """
        return self._run("prune_documents", document_writes.prune, seen)

    def ensure_index(self, *, min_rows: int) -> bool:
        """Build the vector index if there is none and there are at least `min_rows` chunks.

        Returns:
            True if there is a vector index now.
        """
        with self._span("ensure_index"):
            there, lacking = self._step(vector_index.is_lacking, min_rows)
            if lacking:
                self._step(vector_index.drop_invalid)
                self._step(vector_index.build, None)
                self._step(vector_index.drop_others)
                self._step(vector_index.analyze)
                self._collection = None
        return there or lacking

    def refresh_statistics(self, *, exact: bool = False) -> int:
        """Bring up to date what searches go by: the weights of words, the sample of cosines, the planner's statistics.

        Words are weighed anew where chunks have become longer or shorter on average. An ingest that writes much does
        all this by itself. A hybrid search samples the cosines by itself when there are twice the chunks of last time.

        Args:
            exact: Weigh every chunk anew whose average was another, and not only where that has moved by over 1 %. The
                same chunks then have the same scores, whatever order they were written in.

        Returns:
            How many chunks had their words weighed anew.
        """
        exact = checked_flag("exact", exact)
        with self._span("refresh_statistics"):
            weighed, step = 0, Refreshed(0, after=0)
            while step.after is not None:
                step = self._step(refresh_weights, 0.0 if exact else WEIGHT_TOLERANCE, step.after)
                weighed += step.chunks
            self._step(cosine_sample.refresh)
            self._step(vector_index.analyze)
        return weighed

    def upgrade(
        self, *, lexical: BM25 | None = None, on_progress: Callable[[UpgradeProgress], None] | None = None
    ) -> bool:
        """Build the index of words anew, as this version builds it, and switch to it in one transaction.

        Others keep reading and writing with the present index until the switch. If the run fails or is killed, nothing
        has changed, and the next call continues. The switch waits for running searches and writers.

        Args:
            lexical: How the new index weighs words. Without it, as the present one does, or as a run does that has not
                ended.
            on_progress: Called after each batch of chunks.

        Returns:
            False if there was nothing to do.

        Raises:
            CollectionNotFoundError: If there is no collection.
            ConfigurationError: If there is something to do, and the collection is of tenants or keeps history. If it
                has no index of words, and `lexical` is given.
            SchemaError: If the role may not replace the tables. Nothing was indexed then.
            LockTimeoutError: If a lock is not to be had for `lock_timeout_s`.
        """
        checked_function("on_progress", on_progress)
        if lexical is not None:
            checked_kind("lexical", lexical, BM25)
        with self._span("upgrade"):
            self.database.run(catalogue.migrate, self.database.schema)
            upgraded = upgrade(self.database, self.name, lexical, on_progress)
            if upgraded:
                if lexical is not None:
                    self.settings = replace(self.settings, lexical=lexical)
                self._collection = None
                self._step(vector_index.analyze)
        return upgraded

    def reembed(
        self,
        embed: Callable[[Sequence[str]], npt.ArrayLike],
        *,
        model: ModelSpec,
        precision: Precision | None = None,
        on_progress: Callable[[ReembedProgress], None] | None = None,
    ) -> PgVectorStore:
        """Embed every chunk again with another model, and switch to it in one transaction.

        Others keep reading and writing with the present model until the switch. If the run fails or is killed, nothing
        has changed, and the next call continues. If the present vectors have an index, the new ones get one before the
        switch. The switch waits for running writers, and up to 64 chunks may be embedded while others wait for it. If
        they write more, each further attempt may embed twice as many. After it stores of the former model, this one
        too, raise `ModelMismatchError`. The former vectors stay until `drop_embedding_versions()`: `reembed` with that
        model goes back, and embeds only what was written since.
        Vectors that others drop meanwhile are made again.

        Args:
            embed: Maps a list of texts to an (n, d) float32 array of `model`.
            model: The new model.
            precision: What its numbers are stored as.
            on_progress: Called after each batch.

        Returns:
            The store of the collection with the new model.

        Raises:
            ConfigurationError: If `precision` differs from that of vectors already stored for this model, or if the
                collection has tenants or history.
            CollectionNotFoundError: If there is no collection.
            SchemaError: If the role may not replace the tables. Nothing was embedded then.
            LockTimeoutError: If a lock is not to be had for `lock_timeout_s`.
            Exception: Whatever `embed` raises.
        """
        checked_kind("model", model, ModelSpec, error=ConfigurationError)
        checked_function("embed", embed)
        checked_function("on_progress", on_progress)
        if precision is not None:
            precision = checked_choice("precision", precision, get_args(Precision), error=ConfigurationError)
        work = Reembedding(
            database=self.database,
            name=self.name,
            model=model,
            embed=embed,
            precision=precision,
            on_progress=on_progress,
        )
        with self._span("reembed"):
            for left in reversed(range(RENEWALS + 1)):
                try:
                    work.run()
                    break
                except SchemaError as error:  # others dropped the collection, or the vectors that it was filling
                    check_outdated(error, left)
        return self._with_settings(model=model, precision=None)

    def drop_embedding_versions(self) -> int:
        """Drop the vectors of all models but the present one.

        Returns:
            How many sets of vectors there were.
        """
        return self.database.run(drop_embedding_versions, self.database.schema, self.name)

    def attach(self, table: Table) -> None:
        """Have the collection follow a table of the user's own, see `SemanticSearchService.attach`.

        Raises:
            ConfigurationError: If the table cannot be attached, or the collection holds something else.
        """
        checked_kind("table", table, Table, error=ConfigurationError)
        self._create_if_new()
        self._run("attach", attach.attach, table)

    def detach(self) -> bool:
        """Have the collection no longer follow its table. The documents stay. Return False if it follows none."""
        return self._run("detach", attach.detach)

    def retry_changes(self, *, every: bool) -> int:
        """Queue rows of the attached table that failed: every one, or those whose time has come. Return how many."""
        return self._run("retry_changes", attach.retry, every)

    def take_changes(self, work: Callable[[Claim, *Ts], T], *args: *Ts) -> T | None:
        """Claim changed rows of the attached table, call `work(claim, *args)`, and return what it returns.

        The claim is held until `work` has returned. None if no rows wait that nobody else works at.
        """
        return self._run("take_changes", attach.take, self.database, work, *args)

    def exists(self) -> bool:
        """Return whether the collection exists. Looking does not create it."""
        return self.database.read(catalogue.exists, self.database.schema, self.name)

    def cosines(self) -> CosineSample | None:
        """Return mean and spread of the cosines between chunks, as last sampled. None if they were not sampled."""
        return self._run("cosines", cosine_sample.stored, reads=True)

    def health(self) -> Health:
        """Check in milliseconds whether the collection can be searched and written now. Change nothing."""
        try:
            return self.database.read(self._look)
        except StorageError as error:
            return health.failed(self.name, error)

    def drop(self) -> None:
        """Drop the collection with all it holds.

        Raises:
            ConfigurationError: If the store has a tenant: the collection holds other tenants' chunks, too.
        """
        self.database.run(self._drop)
        self._collection = None

    def _sample_cosines(self) -> bool:
        """Sample the cosines between chunks, unless that did not work lately. Return whether it was done."""
        if monotonic() < self._samples_from:
            return False
        self._samples_from = monotonic() + SAMPLE_AGAIN_S
        try:
            done = self._step(cosine_sample.refresh_briefly)
        except StorageError as error:  # a read-only server, or a large collection: the search has its results
            logger.info("The cosines of collection %r were not sampled: %s", self.name, error)
            return False
        if done:
            self._samples_from = -inf
        return done

    def _write(
        self,
        stage: str,
        operation: Callable[[Connection, Collection, *Ts], T],
        by_halves: Callable[[Connection, Collection, *Ts], T],
        *args: *Ts,
        connection: Connection | None = None,
        makes_ids: bool = False,
    ) -> T:
        """Create the collection and write. If a value is refused, write `by_halves`, to find out whose it is.

        In a caller's transaction the first failure would abort it, so `by_halves` runs at once, with savepoints.
        """
        with self._writing():
            self._create_if_new()
            if connection is None:
                try:
                    return self._run(stage, operation, *args)
                except UnknownCommitError:
                    if not makes_ids:
                        raise
                    return self._run(stage, operation, *args)  # the same ids, so that nothing is written twice
                except (InputError, StorageError) as error:
                    if not refusals.is_refusal(error):
                        raise
            return self._run(stage, by_halves, *args, connection=connection)

    def _run(
        self,
        stage: str,
        operation: Callable[[Connection, Collection, *Ts], T],
        *args: *Ts,
        connection: Connection | None = None,
        reads: bool = False,
    ) -> T:
        """Run an operation on the collection, as the stage `store.<stage>` of metrics and traces."""
        with self._span(stage) as span:
            answer = self._step(operation, *args, connection=connection, reads=reads)
            span.details["results"] = len(answer) if isinstance(answer, list) else 0
            return answer

    def _step(
        self,
        operation: Callable[[Connection, Collection, *Ts], T],
        *args: *Ts,
        connection: Connection | None = None,
        reads: bool = False,
    ) -> T:
        """Run an operation on the collection, and again where others have replaced its tables meanwhile."""
        used, left = self._collection or self.existing(), RENEWALS
        while True:
            try:
                if reads:
                    return self.database.read(operation, used, *args, connection=connection, tenant=self.tenant)
                return self.database.run(operation, used, *args, connection=connection, tenant=self.tenant)
            except SchemaError as error:
                check_outdated(error, left)
                used, left = self.database.read(self._renewed, used), left - 1
                if connection is not None:
                    raise replaced(self.name) from error
