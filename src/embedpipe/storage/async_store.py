"""`AsyncPgVectorStore`: `PgVectorStore` for event loops. Both run the same plans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy.typing as npt

from embedpipe.storage import catalogue, operations, plans
from embedpipe.storage.bound_store import BoundStore
from embedpipe.storage.documents import DocumentBatch, Known
from embedpipe.storage.plans import Condition, Plan
from embedpipe.storage.schema import Collection
from embedpipe.storage.search import Fusion
from embedpipe.storage.store import PgVectorStore
from embedpipe.storage.vector_index import VectorIndex
from embedpipe.types import Chunk, SearchMode, SearchResult

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

T = TypeVar("T")


class AsyncPgVectorStore(BoundStore):
    """`PgVectorStore` for event loops: the same constructor, and the same methods as coroutines."""

    async def collection(self) -> Collection:
        """The open collection, with its model and tables."""
        if self._collection is None:
            self._collection = await self.database.arun(self._open)
        return self._collection

    def to_sync(self) -> PgVectorStore:
        """The same collection for threads."""
        return self._rebound(PgVectorStore)

    async def upsert(
        self, chunks: Sequence[Chunk], vectors: npt.ArrayLike, *, connection: AsyncConnection | None = None
    ) -> list[str]:
        """As `PgVectorStore.upsert`."""
        return await self._run(plans.upsert(chunks, vectors), connection)

    async def delete(
        self,
        ids: Sequence[str] | None = None,
        *,
        document_ids: Sequence[str] | None = None,
        filter: Condition = None,
        connection: AsyncConnection | None = None,
    ) -> int:
        """As `PgVectorStore.delete`."""
        return await self._run(plans.delete(ids, document_ids, filter), connection)

    async def clear(self, *, connection: AsyncConnection | None = None) -> int:
        """As `PgVectorStore.clear`."""
        return await self._run(operations.clear, connection)

    async def get(self, ids: Sequence[str], *, connection: AsyncConnection | None = None) -> list[Chunk]:
        """As `PgVectorStore.get`."""
        return await self._read(plans.get(ids), connection)

    async def find(
        self,
        filter: Condition = None,
        *,
        document_ids: Sequence[str] | None = None,
        limit: int | None = None,
        connection: AsyncConnection | None = None,
    ) -> list[Chunk]:
        """As `PgVectorStore.find`."""
        return await self._read(plans.find(filter, document_ids, limit), connection)

    async def search(
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
        connection: AsyncConnection | None = None,
    ) -> list[SearchResult]:
        """As `PgVectorStore.search`."""
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
        return await self._read(plan, connection)

    async def count(self, *, connection: AsyncConnection | None = None) -> int:
        """As `PgVectorStore.count`."""
        return await self._read(operations.count, connection)

    async def create_index(self, index: VectorIndex | None = None) -> None:
        """As `PgVectorStore.create_index`."""
        await self._run(plans.create_index(index), None)
        self._collection = None

    async def known_documents(self, document_ids: Sequence[str]) -> Known:
        """As `PgVectorStore.known_documents`."""
        return await self._run(plans.known_documents(document_ids), None)

    async def write_documents(self, batch: DocumentBatch) -> int:
        """As `PgVectorStore.write_documents`."""
        return await self._run(plans.write_documents(batch), None)

    async def prune_documents(self, seen: Sequence[str]) -> tuple[int, int]:
        """As `PgVectorStore.prune_documents`."""
        return await self._run(plans.prune_documents(seen), None)

    async def ensure_index(self, *, min_rows: int) -> bool:
        """As `PgVectorStore.ensure_index`."""
        return await self._run(plans.ensure_index(min_rows), None)

    async def refresh_statistics(self) -> int:
        """As `PgVectorStore.refresh_statistics`."""
        return await self._run(plans.refresh_statistics(), None)

    async def exists(self) -> bool:
        """As `PgVectorStore.exists`."""
        return await self.database.aread(catalogue.exists, self.database.schema, self.name)

    async def drop(self) -> None:
        """As `PgVectorStore.drop`."""
        await self._run(catalogue.drop_collection, None)
        self._collection = None

    async def _run(self, plan: Plan[T], connection: AsyncConnection | None) -> T:
        return await self.database.arun(plan, await self.collection(), connection=connection)

    async def _read(self, plan: Plan[T], connection: AsyncConnection | None) -> T:
        return await self.database.aread(plan, await self.collection(), connection=connection)
