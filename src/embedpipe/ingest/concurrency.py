"""Several batches under way at once: in threads, or as tasks of an event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from threading import Event
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, TypeVarTuple

from embedpipe._forking import SameProcess
from embedpipe._threads import stop_with
from embedpipe.ingest.source import AsyncBatches, SourceBatch

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def in_threads(
    work: Callable[[SourceBatch, Event, *Ts], T], batches: Iterable[SourceBatch], *args: *Ts, at_once: int
) -> Generator[T, None, None]:
    """Call `work(batch, stopped, *args)` for each batch in threads, and yield the results in the order of the batches.

    Up to `at_once` batches are under way. No further batch is read before a result has been taken. If a batch fails,
    those under way end first. If the program is interrupted, `stopped` is set, and they end after their present step.
    """
    process = SameProcess()
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="embedpipe-ingest")
    running: deque[Future[T]] = deque()
    stopped = Event()
    try:
        for batch in batches:
            process.check()
            context: Any = copy_context()  # a batch's stage belongs to the stage that runs here
            context.run(stop_with, stopped)
            running.append(pool.submit(context.run, work, batch, stopped, *args))
            while running and (len(running) == at_once or running[0].done()):
                yield running.popleft().result()
                process.check()
        while running:
            process.check()
            yield running.popleft().result()
    except (KeyboardInterrupt, GeneratorExit):
        stopped.set()
        raise
    finally:
        pool.shutdown()


class InTasks(Generic[T]):
    """Do the same as `in_threads` in tasks of an event loop, also while further batches are awaited.

    If the task inside is cancelled or leaves a stream early, the batches under way are cancelled. All of them have
    ended at the exit.
    """

    def __init__(
        self,
        work: Callable[[SourceBatch, *Ts], Coroutine[Any, Any, T]],
        batches: AsyncBatches,
        *args: *Ts,
        at_once: int,
    ) -> None:
        self._work: Callable[..., Coroutine[Any, Any, T]] = work
        self._args = args
        self._batches = batches
        self._room = asyncio.Semaphore(at_once)
        self._begun: asyncio.Queue[asyncio.Task[T] | None] = asyncio.Queue()
        self._running: set[asyncio.Task[T]] = set()

    async def __aenter__(self) -> Self:
        self._reading = asyncio.create_task(self._read())
        return self

    async def next(self) -> T | None:
        """Return the result of the next batch, None after the last. An error of the source comes after the last."""
        task = await self._begun.get()
        if task is None:
            await self._reading
            return None
        try:
            return await task
        finally:
            self._running.discard(task)
            self._room.release()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reading.cancel()
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            for task in self._running:
                task.cancel()
        await asyncio.gather(self._reading, *self._running, return_exceptions=True)

    async def _read(self) -> None:
        try:
            await self._room.acquire()
            while (batch := await self._batches.next()) is not None:
                task = asyncio.create_task(self._work(batch, *self._args))
                self._running.add(task)
                self._begun.put_nowait(task)
                await self._room.acquire()
        finally:
            self._begun.put_nowait(None)
            await self._batches.close()
