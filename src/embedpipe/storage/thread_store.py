"""`ThreadStore`: what a store for event loops runs in a thread, since it builds for long or calls plain functions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar, TypeVarTuple

import numpy.typing as npt

from embedpipe._checks import checked_function
from embedpipe._threads import in_thread
from embedpipe.storage.attach import Claim
from embedpipe.storage.base_store import BaseStore
from embedpipe.storage.indexes import IndexProgress
from embedpipe.storage.lexical import UpgradeProgress
from embedpipe.storage.reembed import ReembedProgress
from embedpipe.storage.store import PgVectorStore
from embedpipe.storage.tables import BM25, VectorIndex
from embedpipe.storage.types import Precision
from embedpipe.types import ModelSpec

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class _OnLoop:
    """Calls a function on the running event loop for a thread that works, and hands its error to the thread."""

    def __init__(self, function: Callable[[IndexProgress], None]) -> None:
        self.error: BaseException | None = None
        self._function = function
        self._loop = asyncio.get_running_loop()

    def __call__(self, progress: IndexProgress) -> None:
        """Have the function called soon. Raise what an earlier call has raised."""
        if self.error is not None:
            raise self.error
        self._loop.call_soon_threadsafe(self._call, progress)

    def _call(self, progress: IndexProgress) -> None:
        if self.error is None:
            try:
                self._function(progress)
            except BaseException as error:  # noqa: BLE001 - it goes to the caller by way of the thread
                self.error = error


class ThreadStore(BaseStore):
    """The methods of `AsyncPgVectorStore` that run those of `PgVectorStore` in a thread."""

    def to_sync(self) -> PgVectorStore:
        """Return the same collection's store for threads."""
        return self._as(PgVectorStore)

    async def create_index(
        self,
        index: VectorIndex | None = None,
        *,
        concurrently: bool = False,
        on_progress: Callable[[IndexProgress], None] | None = None,
    ) -> None:
        """Build the vector index, see `PgVectorStore.create_index`. `on_progress` is called on the running event loop.

        If the task is cancelled, or `on_progress` raises, so is the build.
        """
        checked_function("on_progress", on_progress)
        report = None if on_progress is None else _OnLoop(on_progress)
        store = self.to_sync()
        try:
            await in_thread(store.create_index, index, concurrently=concurrently, on_progress=report)
        finally:
            self._collection = None
        if report is not None and report.error is not None:  # the last call came when the build was done
            raise report.error

    async def reembed(
        self,
        embed: Callable[[Sequence[str]], npt.ArrayLike],
        *,
        model: ModelSpec,
        precision: Precision | None = None,
        on_progress: Callable[[ReembedProgress], None] | None = None,
    ) -> Self:
        """Embed every chunk again with another model, see `PgVectorStore.reembed`.

        `embed` and `on_progress` are plain functions, called in the thread. A task that is cancelled waits for the
        batch that is being embedded. The next call goes on where it was.
        """
        store = self.to_sync()
        renewed = await in_thread(store.reembed, embed, model=model, precision=precision, on_progress=on_progress)
        return renewed._as(type(self))  # noqa: SLF001 - the same collection

    async def upgrade(
        self, *, lexical: BM25 | None = None, on_progress: Callable[[UpgradeProgress], None] | None = None
    ) -> bool:
        """Build the index of words anew, see `PgVectorStore.upgrade`.

        `on_progress` is a plain function, called in the thread. A task that is cancelled waits for the batch that is
        being indexed. The next call goes on where it was.
        """
        store = self.to_sync()
        upgraded = await in_thread(store.upgrade, lexical=lexical, on_progress=on_progress)
        self.settings, self._collection = store.settings, None
        return upgraded

    async def take_changes(self, work: Callable[[Claim, *Ts], T], *args: *Ts) -> T | None:
        """Claim changed rows, see `PgVectorStore.take_changes`. `work` is a plain function, called in the thread."""
        take: Any = self.to_sync().take_changes  # whose types no ParamSpec takes
        answer: T | None = await in_thread(take, work, *args)
        return answer
