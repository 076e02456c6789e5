"""`PgVectorStore`: one collection of chunks and vectors in PostgreSQL, for threads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy.typing as npt
from sqlalchemy import Connection

from embedpipe.storage import catalogue, operations, plans
from embedpipe.storage.bound_store import BoundStore
from embedpipe.storage.documents import DocumentBatch, Known
from embedpipe.storage.plans import Condition, Plan
from embedpipe.storage.schema import Collection
from embedpipe.storage.search import Fusion
from embedpipe.storage.vector_index import VectorIndex
from embedpipe.types import Chunk, SearchMode, SearchResult

if TYPE_CHECKING:
    from embedpipe.storage.async_store import AsyncPgVectorStore

T = TypeVar("T")


class PgVectorStore(BoundStore):
    """A collection of chunks with their vectors, all of one model.

    `database` is a `Database`, a `postgresql://` URL, or None for `EMBEDPIPE_DATABASE_URL`, else the embedded server.
    The collection is made at its first use, for `model`; without a model only one that is there can be opened.
    `language` is the text search configuration of the lexical search (any that PostgreSQL has; English where none is
    given), `precision` what numbers are stored as (float32; float16 past 2,000 dimensions).

    Every method may raise `DatabaseUnavailableError`, `SchemaError`, `CollectionNotFoundError`, `ModelMismatchError`
    (also where the collection was made for another model) and `StorageError`; nothing is then written. A
    `connection=` takes part in the caller's own transaction, which the caller commits. Safe to share between threads.
    """

    @property
    def collection(self) -> Collection:
        """The open collection, with its model and tables."""
        if self._collection is None:
            self._collection = self.database.run(self._open)
        return self._collection

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
        return self._run(plans.upsert(chunks, vectors), connection)

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
        fusion: Fusion | None = None,
        connection: Connection | None = None,
    ) -> list[SearchResult]:
        """The k best chunks, best first, ties by id; fewer only where fewer meet the conditions.

        `dense` compares `vector` by cosine, `lexical` ranks by BM25 over the words of `text`, `hybrid` fuses both.
        `threshold` is the least similarity to `vector`, in every mode; `fusion` says how a hybrid search weighs its
        legs. Raises `InputError` for a missing vector or text.
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
        )
        return self._read(plan, connection)

    def count(self, *, connection: Connection | None = None) -> int:
        """How many chunks there are."""
        return self._read(operations.count, connection)

    def create_index(self, index: VectorIndex | None = None) -> None:
        """Builds the vector index; searches before it are exact. Build it after the first load.

        None keeps the index that is there, else builds the most exact kind that takes the collection's vectors; another
        one than is there replaces it. Raises `ConfigurationError` where the vectors cannot be indexed that way.
        """
        self._run(plans.create_index(index), None)
        self._collection = None

    def known_documents(self, document_ids: Sequence[str]) -> Known:
        """The hashes of these documents and the ids of their chunks, where they are stored."""
        return self._run(plans.known_documents(document_ids), None)

    def write_documents(self, batch: DocumentBatch) -> int:
        """How many stale chunks went, after the documents and their chunks were written in one transaction."""
        return self._run(plans.write_documents(batch), None)

    def prune_documents(self, seen: Sequence[str]) -> tuple[int, int]:
        """How many documents and chunks went: all documents but those seen."""
        return self._run(plans.prune_documents(seen), None)

    def ensure_index(self, *, min_rows: int) -> bool:
        """Whether there is a vector index now: it is built where there are at least `min_rows` chunks."""
        return self._run(plans.ensure_index(min_rows), None)

    def refresh_statistics(self) -> int:
        """How many chunks had their words weighed anew, since chunks have become longer or shorter on average.

        Brings the planner's statistics up to date as well. An ingest that writes much does this by itself.
        """
        return self._run(plans.refresh_statistics(), None)

    def exists(self) -> bool:
        """Whether the collection is there; looking does not make it."""
        return self.database.read(catalogue.exists, self.database.schema, self.name)

    def drop(self) -> None:
        """Removes the collection with all it holds."""
        self._run(catalogue.drop_collection, None)
        self._collection = None

    def _run(self, plan: Plan[T], connection: Connection | None) -> T:
        return self.database.run(plan, self.collection, connection=connection)

    def _read(self, plan: Plan[T], connection: Connection | None) -> T:
        return self.database.read(plan, self.collection, connection=connection)
