"""`AsyncPgVectorStore`: `PgVectorStore` for event loops. Both run the same plans."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy.typing as npt

from embedpipe._threads import in_thread
from embedpipe.errors import InputError, SchemaError, StorageError, UnknownCommitError
from embedpipe.storage import plans
from embedpipe.storage.admin import Health, health
from embedpipe.storage.bound_store import RENEWALS, BoundStore, check_outdated, operation_of, replaced
from embedpipe.storage.filters import ValueType, aparse_filter
from embedpipe.storage.indexes import IndexProgress, MetadataIndex
from embedpipe.storage.indexes import vector as index_building
from embedpipe.storage.plans import Condition, Plan
from embedpipe.storage.reembed import ReembedProgress
from embedpipe.storage.search import Fusion, FusionMethod, StoredVectors
from embedpipe.storage.store import PgVectorStore
from embedpipe.storage.tables import Collection, VectorIndex, catalogue
from embedpipe.storage.types import Precision
from embedpipe.storage.write import DocumentBatch, Known, StoredDocument, Written, refusals
from embedpipe.storage.write import chunks as operations
from embedpipe.types import Chunk, ModelSpec, Parent, SearchMode, SearchResult

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

T = TypeVar("T")


class AsyncPgVectorStore(BoundStore):
    """`PgVectorStore` for event loops: the same constructor, and the same methods as coroutines."""

    async def collection(self) -> Collection:
        """As `PgVectorStore.collection`."""
        if self._collection is None:
            self._collection = await self.database.aensure(self._find if self.settings.model is None else self._open)
        return self._collection

    async def existing(self) -> Collection:
        """As `PgVectorStore.existing`."""
        if self._collection is None:
            self._collection = await self.database.aensure(self._find)
        return self._collection

    async def create(self) -> None:
        """As `PgVectorStore.create`."""
        self._collection = await self.database.aensure(self._open)

    async def _make(self) -> None:
        if self._collection is None:
            await self.create()

    def to_sync(self) -> PgVectorStore:
        """The same collection for threads."""
        return self._rebound(PgVectorStore)

    async def upsert(
        self, chunks: Sequence[Chunk], vectors: npt.ArrayLike, *, connection: AsyncConnection | None = None
    ) -> list[str]:
        """As `PgVectorStore.upsert`."""
        makes_ids = any(chunk.id is None for chunk in chunks)
        return await self._write(plans.upsert(chunks, vectors), connection, makes_ids=makes_ids)

    async def delete(
        self,
        ids: Sequence[str] | None = None,
        *,
        document_ids: Sequence[str] | None = None,
        filter: Condition = None,
        connection: AsyncConnection | None = None,
    ) -> int:
        """As `PgVectorStore.delete`."""
        parsed = await aparse_filter(filter)
        return await self._run(plans.delete(ids, document_ids, filter if parsed is None else parsed), connection)

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
        return await self._read(plans.find(await aparse_filter(filter), document_ids, limit), connection)

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
        fusion: Fusion | FusionMethod | None = None,
        exact: bool = False,
        connection: AsyncConnection | None = None,
    ) -> list[SearchResult]:
        """As `PgVectorStore.search`."""
        plan = plans.search(
            vector,
            text,
            k=k,
            mode=mode,
            condition=await aparse_filter(filter),
            threshold=threshold,
            with_vectors=with_vectors,
            fusion=fusion,
            exact=exact,
        )
        return await self._read(plan, connection)

    async def similar(
        self,
        id: str,
        *,
        k: int = 5,
        filter: Condition = None,
        threshold: float | None = None,
        connection: AsyncConnection | None = None,
    ) -> list[SearchResult]:
        """As `PgVectorStore.similar`."""
        condition = await aparse_filter(filter)
        return await self._read(plans.similar(id, k=k, condition=condition, threshold=threshold), connection)

    async def around(
        self,
        ids: Sequence[str],
        *,
        window: int = 1,
        parent: Parent | None = None,
        connection: AsyncConnection | None = None,
    ) -> dict[str, list[Chunk]]:
        """As `PgVectorStore.around`."""
        return await self._read(plans.around(ids, window=window, parent=parent), connection)

    async def vectors(
        self, ids: Sequence[str] | None = None, *, filter: Condition = None, connection: AsyncConnection | None = None
    ) -> StoredVectors:
        """As `PgVectorStore.vectors`."""
        return await self._read(plans.vectors(ids, await aparse_filter(filter)), connection)

    async def count(self, *, connection: AsyncConnection | None = None) -> int:
        """As `PgVectorStore.count`."""
        return await self._read(operations.count, connection)

    async def create_index(
        self,
        index: VectorIndex | None = None,
        *,
        concurrently: bool = False,
        on_progress: Callable[[IndexProgress], None] | None = None,
    ) -> None:
        """As `PgVectorStore.create_index`, in a thread; `on_progress` is called on the running event loop.

        Where the task is cancelled, so is the build.
        """
        loop = asyncio.get_running_loop()

        def report(progress: IndexProgress) -> None:
            if on_progress is not None:
                loop.call_soon_threadsafe(on_progress, progress)

        store = self.to_sync()
        try:
            await in_thread(
                store.create_index, index, concurrently=concurrently, on_progress=report if on_progress else None
            )
        finally:
            self._collection = None

    async def drop_index(self) -> bool:
        """As `PgVectorStore.drop_index`."""
        return await self._run(index_building.drop_index, None)

    async def index_metadata(self, *path: str, type: ValueType = "number") -> None:
        """As `PgVectorStore.index_metadata`."""
        plan = plans.index_metadata(path, type)
        with self._span("index_metadata"):
            await self._make()
            await self._step(plan)
            await self._step(index_building.analyze)  # only then has the planner statistics of the key

    async def metadata_indexes(self) -> list[MetadataIndex]:
        """As `PgVectorStore.metadata_indexes`."""
        return await self._run(plans.metadata_indexes(), None)

    async def drop_metadata_index(self, *path: str, type: ValueType = "number") -> bool:
        """As `PgVectorStore.drop_metadata_index`."""
        return await self._run(plans.drop_metadata_index(path, type), None)

    async def documents(
        self, document_ids: Sequence[str], *, connection: AsyncConnection | None = None
    ) -> list[StoredDocument]:
        """As `PgVectorStore.documents`."""
        return await self._read(plans.stored_documents(document_ids), connection)

    async def known_documents(self, document_ids: Sequence[str]) -> Known:
        """As `PgVectorStore.known_documents`."""
        return await self._read(plans.known_documents(document_ids), None)

    async def write_documents(self, batch: DocumentBatch) -> Written:
        """As `PgVectorStore.write_documents`."""
        return await self._write(plans.write_documents(batch), None)

    async def prune_documents(self, seen: Sequence[str]) -> tuple[int, int]:
        """As `PgVectorStore.prune_documents`."""
        return await self._run(plans.prune_documents(seen), None)

    async def ensure_index(self, *, min_rows: int) -> bool:
        """As `PgVectorStore.ensure_index`."""
        with self._span("ensure_index"):
            there, wanted = await self._step(plans.ensure_index(min_rows))
            if wanted:
                for step in index_building.steps(None):
                    await self._step(step)
                self._collection = None
        return there or wanted

    async def refresh_statistics(self, *, exact: bool = False) -> int:
        """As `PgVectorStore.refresh_statistics`."""
        with self._span("refresh_statistics"):
            weighed = await self._step(plans.refresh_statistics(exact=exact))
            await self._step(index_building.analyze)
        return weighed

    async def reembed(
        self,
        embed: Callable[[Sequence[str]], npt.ArrayLike],
        *,
        model: ModelSpec,
        precision: Precision | None = None,
        on_progress: Callable[[ReembedProgress], None] | None = None,
    ) -> AsyncPgVectorStore:
        """As `PgVectorStore.reembed`, in a thread: `embed` and `on_progress` are plain functions, called there.

        A task that is cancelled waits for the batch that is being embedded; the next call goes on where it was.
        """
        store = self.to_sync()
        renewed = await in_thread(store.reembed, embed, model=model, precision=precision, on_progress=on_progress)
        return renewed.to_async()

    async def drop_vector_sets(self) -> int:
        """As `PgVectorStore.drop_vector_sets`."""
        return await in_thread(self.to_sync().drop_vector_sets)

    async def exists(self) -> bool:
        """As `PgVectorStore.exists`."""
        return await self.database.aread(catalogue.exists, self.database.schema, self.name)

    async def health(self) -> Health:
        """As `PgVectorStore.health`."""
        try:
            return await self.database.aread(self._look)
        except StorageError as error:
            return health.failed(self.name, error)

    async def drop(self) -> None:
        """As `PgVectorStore.drop`."""
        await self.database.arun(self._drop)
        self._collection = None

    async def _run(self, plan: Plan[T], connection: AsyncConnection | None) -> T:
        return await self._answer(self.database.arun, plan, connection)

    async def _write(self, plan: Plan[T], connection: AsyncConnection | None, *, makes_ids: bool = False) -> T:
        """Make the collection and run a plan that writes, once more where a value is refused, to find out whose it is.

        A caller's transaction would be lost by then, and so has savepoints from the start.
        """
        with self._writing():
            await self._make()
            if connection is None:
                try:
                    return await self._run(plan, None)
                except UnknownCommitError:
                    if not makes_ids:
                        raise
                    return await self._run(plan, None)  # whoever calls again gets other ids, and the chunks twice
                except (InputError, StorageError) as error:
                    if not refusals.is_refusal(error):
                        raise
            return await self._run(refusals.apart(plan), connection)

    async def _step(self, plan: Plan[T]) -> T:
        """As `_run`, for one of several transactions of an operation."""
        return await self._answered(self.database.arun, plan, None)

    async def _read(self, plan: Plan[T], connection: AsyncConnection | None) -> T:
        run = self.database.aread if self.tenant is None else self.database.aread_in_transaction
        return await self._answer(run, plan, connection)

    async def _answer(self, run: Callable[..., Awaitable[Any]], plan: Plan[T], connection: AsyncConnection | None) -> T:
        with self._span(operation_of(plan)) as told:
            answer: T = await self._answered(run, plan, connection)
            told.note(results=len(answer) if isinstance(answer, list) else 0)
            return answer

    async def _answered(
        self, run: Callable[..., Awaitable[Any]], plan: Plan[T], connection: AsyncConnection | None
    ) -> T:
        used, plan, left = await self.existing(), self._scoped(plan), RENEWALS
        while True:
            try:
                answer: T = await run(plan, used, connection=connection)
            except SchemaError as error:
                check_outdated(error, left)
                used, left = await self.database.aread(self._renewed, used), left - 1
                if connection is not None:
                    raise replaced(self.name) from error
            else:
                return answer
