"""`PgVectorStore`: one collection of chunks and vectors in PostgreSQL, for threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy.typing as npt
from sqlalchemy import Connection

from embedpipe.errors import InputError, SchemaError, StorageError, UnknownCommitError
from embedpipe.storage import plans
from embedpipe.storage.admin import Health, health
from embedpipe.storage.bound_store import RENEWALS, BoundStore, check_outdated, operation_of, replaced
from embedpipe.storage.filters import ValueType
from embedpipe.storage.indexes import IndexProgress, MetadataIndex
from embedpipe.storage.indexes import vector as index_building
from embedpipe.storage.plans import Condition, Plan
from embedpipe.storage.reembed import Reembedding, ReembedProgress, drop_idle
from embedpipe.storage.search import Fusion, FusionMethod, StoredVectors
from embedpipe.storage.tables import Collection, VectorIndex, catalogue
from embedpipe.storage.types import Precision
from embedpipe.storage.write import DocumentBatch, Known, StoredDocument, Written, refusals
from embedpipe.storage.write import chunks as operations
from embedpipe.types import Chunk, ModelSpec, Parent, SearchMode, SearchResult

if TYPE_CHECKING:
    from embedpipe.storage.async_store import AsyncPgVectorStore

T = TypeVar("T")


class PgVectorStore(BoundStore):
    """A collection of chunks with their vectors, all of one model.

    `database` is a `Database`, a `postgresql://` URL, or None for `EMBEDPIPE_DATABASE_URL`, else the embedded server.
    Writing, or `create()`, makes the collection for `model` where there is none; without a model only one that is there
    can be opened. Reading and deleting raise `CollectionNotFoundError` where there is none.
    `language` is the text search configuration of the lexical search (any that PostgreSQL has; English where none is
    given), `precision` what numbers are stored as (float32; float16 past 2,000 dimensions).
    `lexical=False` leaves the index of words out: writing is faster, and searches are `dense` only; a `BM25` says how
    it weighs words. `metrics` is an observer of `embedpipe.metrics`, or several.

    Every method may raise `DatabaseUnavailableError`, `SchemaError`, `CollectionNotFoundError`, `ModelMismatchError`
    (also where the collection was made for another model) and `StorageError`; nothing is then written. A
    `connection=` takes part in the caller's own transaction, which the caller commits. Safe to share between threads.
    """

    @property
    def collection(self) -> Collection:
        """The open collection, with its model and tables. Made where there is none and the store has a model."""
        if self._collection is None:
            self._collection = self.database.ensure(self._find if self.settings.model is None else self._open)
        return self._collection

    def existing(self) -> Collection:
        """Return the open collection. Raises `CollectionNotFoundError` where there is none."""
        if self._collection is None:
            self._collection = self.database.ensure(self._find)
        return self._collection

    def create(self) -> None:
        """Make the collection for the store's model, unless it is there. Writing makes it too, reading does not.

        Raises:
            CollectionNotFoundError: If there is none, and the store has no model.
            ModelMismatchError: If there is one with another model's vectors.
        """
        self._collection = self.database.ensure(self._open)

    def _make(self) -> None:
        if self._collection is None:
            self.create()

    def to_async(self) -> AsyncPgVectorStore:
        """The same collection for event loops."""
        from embedpipe.storage.async_store import AsyncPgVectorStore  # which imports this module

        return self._rebound(AsyncPgVectorStore)

    def upsert(
        self, chunks: Sequence[Chunk], vectors: npt.ArrayLike, *, connection: Connection | None = None
    ) -> list[str]:
        """The ids of the chunks, in order, after they were written: new ids are added, known ones replaced whole.

        `vectors` is an (n, d) array of float32, or what becomes one. A chunk without an id gets a random one. Of two
        chunks with the same id the later one counts. All are written in one transaction. Raises `InputError` for what
        cannot be stored exactly, naming the chunk.
        """
        makes_ids = any(chunk.id is None for chunk in chunks)
        return self._write(plans.upsert(chunks, vectors), connection, makes_ids=makes_ids)

    def delete(
        self,
        ids: Sequence[str] | None = None,
        *,
        document_ids: Sequence[str] | None = None,
        filter: Condition = None,
        connection: Connection | None = None,
    ) -> int:
        """How many chunks were removed: those that meet every restriction given."""
        return self._run(plans.delete(ids, document_ids, filter), connection)

    def clear(self, *, connection: Connection | None = None) -> int:
        """How many chunks were removed: all of them, and all documents."""
        return self._run(operations.clear, connection)

    def get(self, ids: Sequence[str], *, connection: Connection | None = None) -> list[Chunk]:
        """The chunks with these ids, in their order; ids that are not there are left out."""
        return self._read(plans.get(ids), connection)

    def find(
        self,
        filter: Condition = None,
        *,
        document_ids: Sequence[str] | None = None,
        limit: int | None = None,
        connection: Connection | None = None,
    ) -> list[Chunk]:
        """The chunks that meet every restriction given, in the order of document and place."""
        return self._read(plans.find(filter, document_ids, limit), connection)

    def search(
        self,
        vector: npt.ArrayLike | None = None,
        text: str | None = None,
        *,
        k: int = 5,
        mode: SearchMode = "dense",
        filter: Condition = None,
        threshold: float | None = None,
        with_vectors: bool = False,
        fusion: Fusion | FusionMethod | None = None,
        exact: bool = False,
        connection: Connection | None = None,
    ) -> list[SearchResult]:
        """The k best chunks, best first, ties by id; fewer only where fewer meet the conditions.

        The same chunks give the same answer, whatever order they were written in. Two things are only nearly so: a
        vector index may miss some chunks, and the words that a chunk repeats weigh by the average length as of writing,
        until `refresh_statistics(exact=True)`.

        `dense` compares `vector` by cosine, `lexical` ranks by BM25 over the words of `text`, `hybrid` fuses both.
        `threshold` is the least similarity to `vector`, in every mode; `fusion` says how a hybrid search weighs its
        legs: a `Fusion`, "scores" or "ranks". `exact` compares with every vector, also where there is an index, which
        may miss some. Raises `InputError` for a missing vector or text and for an option of another type,
        `ConfigurationError` for words where the collection has none.
        """
        plan = plans.search(
            vector,
            text,
            k=k,
            mode=mode,
            condition=filter,
            threshold=threshold,
            with_vectors=with_vectors,
            fusion=fusion,
            exact=exact,
        )
        return self._read(plan, connection)

    def similar(
        self,
        id: str,
        *,
        k: int = 5,
        filter: Condition = None,
        threshold: float | None = None,
        connection: Connection | None = None,
    ) -> list[SearchResult]:
        """The k chunks most like the stored one of that id, most similar first, without itself.

        `threshold` is the least similarity. Raises `InputError` where no chunk has the id.
        """
        return self._read(plans.similar(id, k=k, condition=filter, threshold=threshold), connection)

    def around(
        self,
        ids: Sequence[str],
        *,
        window: int = 1,
        parent: Parent | None = None,
        connection: Connection | None = None,
    ) -> dict[str, list[Chunk]]:
        """{id: the chunks around it in its document, in the order of their places}.

        Those of `parent`: its "section" (under the same headings, see `MarkdownChunker`) or its "document"; without one
        the `window` before and the `window` after it. A chunk with none around it, or without a document, is left out.
        """
        return self._read(plans.around(ids, window=window, parent=parent), connection)

    def vectors(
        self, ids: Sequence[str] | None = None, *, filter: Condition = None, connection: Connection | None = None
    ) -> StoredVectors:
        """Ids and vectors (n, d) float32 of the chunks that meet every restriction given, by document and place.

        All are held in memory: 1.5 KB for each chunk of 384 dimensions.
        """
        return self._read(plans.vectors(ids, filter), connection)

    def count(self, *, connection: Connection | None = None) -> int:
        """How many chunks there are."""
        return self._read(operations.count, connection)

    def create_index(
        self,
        index: VectorIndex | None = None,
        *,
        concurrently: bool = False,
        on_progress: Callable[[IndexProgress], None] | None = None,
    ) -> None:
        """Builds the vector index; searches before it are exact. Build it after the first load.

        None keeps the index that is there, else builds the most exact kind that takes the collection's vectors; another
        one than is there replaces it once it is built. Searches go on meanwhile; writers wait, but with `concurrently`
        they go on too, while building takes longer, and what a failure leaves is dropped. `on_progress` is called a few
        times a second; if it raises, the build is cancelled. Memory is taken as the server's settings allow. Raises
        `ConfigurationError` where the vectors cannot be indexed that way.
        """
        build = partial(index_building.create_index, index=index, concurrently=concurrently, on_progress=on_progress)
        self._make()
        with self._span("create_index"):
            used = self.existing()
            for left in reversed(range(RENEWALS + 1)):
                try:
                    build(self.database, used)
                    break
                except SchemaError as error:
                    check_outdated(error, left)
                    used = self.database.read(self._renewed, used)
        self._collection = None

    def drop_index(self) -> bool:
        """Whether there was a vector index; it is gone, and searches are exact until `create_index`.

        Before a load that is large beside what is stored: rows are written several times as fast without it.
        """
        return self._run(index_building.drop_index, None)

    def index_metadata(self, *path: str, type: ValueType = "number") -> None:
        """Builds the index that ranges over a metadata key need: `index_metadata("year")` for `Field("year") >= 2020`.

        Several keys are the path to a nested one. `type` is what of the values is compared, numbers or strings; the
        others are not in the index. Equality and `contains` have an index of their own. Writers wait while it is built.
        """
        plan = plans.index_metadata(path, type)
        with self._span("index_metadata"):
            self._make()
            self._step(plan)
            self._step(index_building.analyze)  # only then has the planner statistics of the key

    def metadata_indexes(self) -> list[MetadataIndex]:
        """The indexes on metadata keys, in the order they were made."""
        return self._run(plans.metadata_indexes(), None)

    def drop_metadata_index(self, *path: str, type: ValueType = "number") -> bool:
        """Whether there was such an index; it is gone now."""
        return self._run(plans.drop_metadata_index(path, type), None)

    def documents(self, document_ids: Sequence[str], *, connection: Connection | None = None) -> list[StoredDocument]:
        """The ingested documents with these ids, in their order; those that are not there are left out."""
        return self._read(plans.stored_documents(document_ids), connection)

    def known_documents(self, document_ids: Sequence[str]) -> Known:
        """The hashes of these documents and the ids of their chunks, where they are stored."""
        return self._read(plans.known_documents(document_ids), None)

    def write_documents(self, batch: DocumentBatch) -> Written:
        """Write documents with their chunks in one transaction, without those that hold what the database refuses."""
        return self._write(plans.write_documents(batch), None)

    def prune_documents(self, seen: Sequence[str]) -> tuple[int, int]:
        """How many documents and chunks went: all documents but those seen."""
        return self._run(plans.prune_documents(seen), None)

    def ensure_index(self, *, min_rows: int) -> bool:
        """Whether there is a vector index now: it is built where there are at least `min_rows` chunks."""
        with self._span("ensure_index"):
            there, wanted = self._step(plans.ensure_index(min_rows))
            if wanted:
                for step in index_building.steps(None):
                    self._step(step)
                self._collection = None
        return there or wanted

    def refresh_statistics(self, *, exact: bool = False) -> int:
        """Weigh words anew where chunks have become longer or shorter on average, and analyse the tables.

        An ingest that writes much does this by itself.

        Args:
            exact: Weigh every chunk anew whose average was another, and not only where that has moved by over 1 %. The
                same chunks then have the same scores, whatever order they were written in.

        Returns:
            How many chunks had their words weighed anew.
        """
        with self._span("refresh_statistics"):
            weighed = self._step(plans.refresh_statistics(exact=exact))
            self._step(index_building.analyze)
        return weighed

    def reembed(
        self,
        embed: Callable[[Sequence[str]], npt.ArrayLike],
        *,
        model: ModelSpec,
        precision: Precision | None = None,
        on_progress: Callable[[ReembedProgress], None] | None = None,
    ) -> PgVectorStore:
        """The collection's store for another model, after all vectors were made anew by `embed` and taken up.

        `embed` takes a list of texts and gives (n, d) vectors of `model`. Meanwhile others read and write through the
        present model. Where it fails or is killed, nothing has changed, and the next call goes on where it was. Where
        the present vectors have an index, the new ones get it before they are taken up, which is one transaction that
        waits for running writers; those of up to 64 chunks may still be embedded while others wait. From then on stores
        of the former model, this one too, raise `ModelMismatchError`. Its vectors stay until `drop_vector_sets()`, so
        that `reembed` with that model goes back, and embeds only what was written since. Vectors that others drop
        meanwhile are made again.

        Raises what `embed` raises, `CollectionNotFoundError`, `ConfigurationError` where `precision` is another than
        the vectors of that model have, and `LockTimeoutError` where a lock is not to be had for `lock_timeout_s`.
        """
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
        return self._with_model(model)

    def drop_vector_sets(self) -> int:
        """How many sets of vectors went: those of all models but the present one."""
        return self.database.run(drop_idle, self.database.schema, self.name)

    def exists(self) -> bool:
        """Whether the collection is there; looking does not make it."""
        return self.database.read(catalogue.exists, self.database.schema, self.name)

    def health(self) -> Health:
        """Whether the collection can be searched and written now, in milliseconds; nothing is made or changed."""
        try:
            return self.database.read(self._look)
        except StorageError as error:
            return health.failed(self.name, error)

    def drop(self) -> None:
        """Removes the collection with all it holds."""
        self.database.run(self._drop)
        self._collection = None

    def _run(self, plan: Plan[T], connection: Connection | None) -> T:
        return self._answer(self.database.run, plan, connection)

    def _write(self, plan: Plan[T], connection: Connection | None, *, makes_ids: bool = False) -> T:
        """Make the collection and run a plan that writes, once more where a value is refused, to find out whose it is.

        A caller's transaction would be lost by then, and so has savepoints from the start.
        """
        with self._writing():
            self._make()
            if connection is None:
                try:
                    return self._run(plan, None)
                except UnknownCommitError:
                    if not makes_ids:
                        raise
                    return self._run(plan, None)  # whoever calls again gets other ids, and the chunks twice
                except (InputError, StorageError) as error:
                    if not refusals.is_refusal(error):
                        raise
            return self._run(refusals.apart(plan), connection)

    def _step(self, plan: Plan[T]) -> T:
        """As `_run`, for one of several transactions of an operation."""
        return self._answered(self.database.run, plan, None)

    def _read(self, plan: Plan[T], connection: Connection | None) -> T:
        run = self.database.read if self.tenant is None else self.database.read_in_transaction
        return self._answer(run, plan, connection)

    def _answer(self, run: Callable[..., Any], plan: Plan[T], connection: Connection | None) -> T:
        with self._span(operation_of(plan)) as told:
            answer: T = self._answered(run, plan, connection)
            told.note(results=len(answer) if isinstance(answer, list) else 0)
            return answer

    def _answered(self, run: Callable[..., Any], plan: Plan[T], connection: Connection | None) -> T:
        used, plan, left = self.existing(), self._scoped(plan), RENEWALS
        while True:
            try:
                answer: T = run(plan, used, connection=connection)
            except SchemaError as error:
                check_outdated(error, left)
                used, left = self.database.read(self._renewed, used), left - 1
                if connection is not None:
                    raise replaced(self.name) from error
            else:
                return answer
