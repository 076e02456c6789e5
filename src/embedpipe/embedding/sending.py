"""One batch to the backend and back: within the rate, retried where the fault may pass, checked."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from embedpipe._forking import PerProcess
from embedpipe._threads import in_thread
from embedpipe.embedding.backend import RemoteModel, Reply, Retry
from embedpipe.embedding.call import Call
from embedpipe.embedding.check import checked
from embedpipe.embedding.flow import Batch
from embedpipe.embedding.limiter import Limiter
from embedpipe.errors import EmbeddingError, EmbedPipeError, InvalidVectorsError, ProviderError, RateLimitError
from embedpipe.types import EmbeddingModel, Kind, Vectors

_PASSING = frozenset({None, 408, 409, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})


def passes(error: Exception) -> bool:
    """Whether the same request may succeed when it is sent again."""
    if isinstance(error, ProviderError):
        return error.status in _PASSING
    return isinstance(error, RateLimitError | InvalidVectorsError)


class Progress:
    """When a generator last got anywhere: what a retry's deadline counts from."""

    def __init__(self) -> None:
        self.last = time.monotonic()

    def made(self) -> None:
        self.last = time.monotonic()


class Tries:
    """Counts a batch's requests, for the call and for itself."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self.last = 0

    def __call__(self, attempt: int) -> None:
        self.last = attempt
        self._call.tried(attempt)


class Slots:
    """The places of requests under way, for all calls of one generator: some for threads, as many for an event loop."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._of_threads: PerProcess[threading.BoundedSemaphore] = PerProcess()
        self._of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

    @property
    def of_threads(self) -> threading.BoundedSemaphore:
        """Those of this process's threads."""
        return self._of_threads.get(lambda: threading.BoundedSemaphore(self._number))

    @property
    def of_loop(self) -> asyncio.Semaphore:
        """Those of the running event loop."""
        return self._of_loops.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(self._number))


class Sender:
    """Sends batches to one backend. `tried` is called for each request with the number of its attempt."""

    def __init__(self, model: EmbeddingModel, *, limiter: Limiter, retry: Retry, concurrency: int) -> None:
        self._model = model
        self._limiter = limiter
        self._retry = retry
        self._slots = Slots(concurrency)

    def send(self, batch: Batch, kind: Kind, *, progress: Progress, tried: Callable[[int], None]) -> Vectors:
        """(n, d) float32, checked; `EmbeddingError` where that could not be had."""
        if not isinstance(self._model, RemoteModel):
            with self._slots.of_threads:
                tried(1)
                return self._run(batch.texts, kind)
        for attempt in self._attempts(progress):
            with attempt, self._slots.of_threads:
                if (due := self._limiter.reserve(sum(batch.tokens))) > 0.0:
                    time.sleep(due)
                tried(attempt.num)
                return self._received(self._model.fetch(batch.texts, kind), len(batch), progress)
        raise AssertionError  # the last attempt returns or raises

    async def asend(self, batch: Batch, kind: Kind, *, progress: Progress, tried: Callable[[int], None]) -> Vectors:
        """As `send`."""
        if not isinstance(self._model, RemoteModel):
            async with self._slots.of_loop:
                tried(1)
                return await in_thread(self._run, batch.texts, kind)
        async for attempt in self._attempts(progress):
            with attempt:
                async with self._slots.of_loop:
                    await asyncio.sleep(self._limiter.reserve(sum(batch.tokens)))
                    tried(attempt.num)
                    return self._received(await self._model.afetch(batch.texts, kind), len(batch), progress)
        raise AssertionError  # the last attempt returns or raises

    def _run(self, texts: Sequence[str], kind: Kind) -> Vectors:
        spec = self._model.spec
        try:
            vectors = self._model.embed(texts, kind)
        except EmbedPipeError:
            raise
        except Exception as error:
            raise EmbeddingError(
                f"Vectors were expected from {spec.name}, and it failed with {type(error).__name__}: {error}"
            ) from error
        return checked(vectors, expected=len(texts), spec=spec)

    def _received(self, reply: Reply, expected: int, progress: Progress) -> Vectors:
        self._limiter.learn(reply.headers)
        vectors = checked(reply.vectors, expected=expected, spec=self._model.spec)
        progress.made()
        return vectors

    def _attempts(self, progress: Progress) -> Any:
        import stamina  # local models need none of it

        retry = self._retry
        started = time.monotonic()

        def again(error: Exception) -> bool | float:
            left = retry.deadline_s - (time.monotonic() - max(started, progress.last))
            if not passes(error) or left <= 0.0:
                return False
            wait = error.retry_after if isinstance(error, RateLimitError) else None
            if wait is None:
                return True
            self._limiter.pause(min(wait, retry.deadline_s))  # others who wait for longer are told so themselves
            return wait + random.uniform(0.0, retry.initial_s) if wait <= left else False  # noqa: S311 - jitter

        return stamina.retry_context(
            on=again,
            attempts=retry.attempts,
            timeout=None,
            wait_initial=retry.initial_s,
            wait_max=retry.max_s,
            wait_jitter=retry.initial_s,
        )
