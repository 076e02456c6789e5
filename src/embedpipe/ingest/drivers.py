"""What runs the flows: one after another's steps, several of them at once, in threads or as tasks of an event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import Any, Protocol, TypeVar

from embedpipe.embedding import EmbeddingAttempt, EmbeddingGenerator
from embedpipe.errors import EmbedPipeError
from embedpipe.ingest.flow import Embed, Flow, Read, Step, Write
from embedpipe.ingest.report import ProcessingStats
from embedpipe.ingest.source import Batch
from embedpipe.metrics.spans import carried
from embedpipe.storage.documents import ConcurrentChangeError, DocumentBatch, Known

T = TypeVar("T")


class Store(Protocol):
    """Where documents go, and what of them is there already."""

    def known_documents(self, document_ids: Sequence[str]) -> Known: ...

    def write_documents(self, batch: DocumentBatch) -> int: ...


class Embedder(Protocol):
    """What makes the vectors: an `EmbeddingGenerator`."""

    def attempt(self, texts: Sequence[str]) -> EmbeddingAttempt: ...


class AsyncStore(Protocol):
    """As `Store`."""

    async def known_documents(self, document_ids: Sequence[str]) -> Known: ...

    async def write_documents(self, batch: DocumentBatch) -> int: ...


def drive(flow: Flow, generator: Embedder, store: Store, stopped: Event) -> ProcessingStats:
    """The flow's report, after this thread did what it asked for; once `stopped`, no further step is done."""

    def answer(step: Step) -> Any:
        match step:
            case Read(ids):
                return store.known_documents(ids)
            case Embed(texts):
                return generator.attempt(texts)
            case Write(batch):
                return store.write_documents(batch)

    resume = _Resume(flow)
    while (step := resume()) is not None and not stopped.is_set():
        try:
            resume.value = answer(step)
        except ConcurrentChangeError as error:
            resume.error = error
    return resume.report


async def adrive(flow: Flow, generator: EmbeddingGenerator, store: AsyncStore) -> ProcessingStats:
    """As `drive`, on the running event loop; cutting runs in a thread."""

    async def answer(step: Step) -> Any:
        match step:
            case Read(ids):
                return await store.known_documents(ids)
            case Embed(texts):
                return await generator.aattempt(texts)
            case Write(batch):
                return await store.write_documents(batch)

    resume = _Resume(flow)
    while (step := await asyncio.to_thread(resume)) is not None:
        try:
            resume.value = await answer(step)
        except ConcurrentChangeError as error:
            resume.error = error
    return resume.report


class _Resume:
    """Runs the flow up to its next step, None at its end; what it is to be sent is set between the calls."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self.value: Any = None
        self.error: EmbedPipeError | None = None
        self.report = ProcessingStats()

    def __call__(self) -> Step | None:
        value, error = self.value, self.error
        self.value = self.error = None
        try:
            return self._flow.throw(error) if error is not None else self._flow.send(value)
        except StopIteration as end:
            self.report = end.value
            return None


def in_threads(
    work: Callable[[Batch, Event], T], batches: Iterable[Batch], *, at_once: int
) -> Generator[T, None, None]:
    """What `work` makes of each batch, in the order of the batches, up to `at_once` of which are under way.

    No further batch is read before one of them is handed out. Where one fails, those under way are ended first; where
    the program is interrupted, they are left after their present step.
    """
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="embedpipe-ingest")
    running: deque[Future[T]] = deque()
    stopped = Event()
    try:
        for batch in batches:
            running.append(pool.submit(carried(work), batch, stopped))
            while running and (len(running) == at_once or running[0].done()):
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    except (KeyboardInterrupt, GeneratorExit):
        stopped.set()
        raise
    finally:
        pool.shutdown()


async def in_tasks(
    work: Callable[[Batch], Awaitable[T]], batches: AsyncIterator[Batch], *, at_once: int
) -> AsyncGenerator[T, None]:
    """As `in_threads`, while further batches are awaited; where this is cancelled, so are those under way."""
    begun: asyncio.Queue[asyncio.Future[T] | None] = asyncio.Queue()
    running: set[asyncio.Future[T]] = set()
    room = asyncio.Semaphore(at_once)

    async def begin() -> None:
        try:
            await room.acquire()
            async for batch in batches:
                task = asyncio.ensure_future(work(batch))
                running.add(task)
                begun.put_nowait(task)
                await room.acquire()
        finally:
            begun.put_nowait(None)

    beginning = asyncio.create_task(begin())
    try:
        while (task := await begun.get()) is not None:
            done = await task
            running.discard(task)
            room.release()
            yield done
        await beginning
    except (asyncio.CancelledError, GeneratorExit):
        for task in running:
            task.cancel()
        raise
    finally:
        beginning.cancel()
        await asyncio.gather(beginning, *running, return_exceptions=True)
