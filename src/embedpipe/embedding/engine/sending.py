"""One batch to the backend and back: within the rate, retried where the fault may pass, checked."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Container, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from embedpipe._forking import PerProcess
from embedpipe._providers import safe_cause, secrets_in, words
from embedpipe._threads import in_thread
from embedpipe.embedding.backend import EmbeddingResponse, RemoteModel, Retry
from embedpipe.embedding.engine.flow import RequestBatch, concerns_texts
from embedpipe.embedding.engine.rate_limiter import Limiter
from embedpipe.embedding.engine.request import Call
from embedpipe.embedding.vectors import parted, unusable_rows
from embedpipe.errors import EmbeddingError, EmbedPipeError, InvalidVectorsError, ProviderError, RateLimitError
from embedpipe.types import EmbeddingModel, Kind, ModelSpec, Vectors

_RETRYABLE = frozenset({None, 408, 409, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})


def is_retryable(error: Exception) -> bool:
    """Whether the same request may succeed when it is sent again."""
    if isinstance(error, ProviderError):
        return error.status in _RETRYABLE
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


class Arrivals:
    """A batch's vectors as they come. What is good of a reply is kept, and only the rest is asked for again."""

    def __init__(self, batch: RequestBatch) -> None:
        self.batch = batch
        self._rows: Sequence[int] = range(len(batch))
        self._vectors: Vectors | None = None

    @property
    def rest(self) -> RequestBatch:
        """What has no vector yet."""
        return self.batch if len(self._rows) == len(self.batch) else self.batch.of(self._rows)

    @property
    def arrived(self) -> tuple[RequestBatch, Vectors] | None:
        """What has a vector, and its vectors (n, d) float32; None where nothing has."""
        if self._vectors is None:
            return None
        if not self._rows:
            return self.batch, self._vectors
        missing = set(self._rows)
        rows = [row for row in range(len(self.batch)) if row not in missing]
        return self.batch.of(rows), self._vectors[rows]

    def take(self, vectors: Vectors, spec: ModelSpec) -> None:
        """Take the vectors of the rest; `InvalidVectorsError` where not all of them are good."""
        expected = len(self._rows)
        vectors, bad = parted(vectors, expected=expected, spec=spec)
        if len(bad) < expected:
            if self._vectors is None and not bad:
                self._vectors = vectors
            else:
                self._fill(vectors, set(bad))
        if bad:
            self._rows = [self._rows[row] for row in bad]
            raise unusable_rows(bad, expected=expected, spec=spec)
        self._rows = ()

    def _fill(self, vectors: Vectors, bad: Container[int]) -> None:
        if self._vectors is None:
            self._vectors = np.empty((len(self.batch), vectors.shape[1]), dtype=np.float32)
        good = [place for place in range(len(vectors)) if place not in bad]
        self._vectors[[self._rows[place] for place in good]] = vectors[good]


class Sender:
    """Sends batches to one backend. `tried` is called for each request with the number of its attempt."""

    def __init__(self, model: EmbeddingModel, *, limiter: Limiter, retry: Retry, concurrency: int) -> None:
        self._model = model
        self._limiter = limiter
        self._retry = retry
        self._slots = Slots(concurrency)

    def send(self, arrivals: Arrivals, kind: Kind, *, progress: Progress, tried: Callable[[int], None]) -> None:
        """Have the batch's vectors arrive, checked; `EmbeddingError` where not all of them could be had."""
        if not isinstance(self._model, RemoteModel):
            with self._slots.of_threads:
                tried(1)
                self._run(arrivals, kind)
            return
        for attempt in self._attempts(progress, spent=arrivals.batch.spent):
            with attempt, self._slots.of_threads:
                rest = arrivals.rest
                if (due := self._limiter.reserve(sum(rest.tokens))) > 0.0:
                    time.sleep(due)
                tried(attempt.num)
                self._received(self._model.fetch(rest.texts, kind), arrivals, progress)

    async def asend(self, arrivals: Arrivals, kind: Kind, *, progress: Progress, tried: Callable[[int], None]) -> None:
        """As `send`."""
        if not isinstance(self._model, RemoteModel):
            async with self._slots.of_loop:
                tried(1)
                await in_thread(self._run, arrivals, kind)
            return
        async for attempt in self._attempts(progress, spent=arrivals.batch.spent):
            with attempt:
                async with self._slots.of_loop:
                    rest = arrivals.rest
                    await asyncio.sleep(self._limiter.reserve(sum(rest.tokens)))
                    tried(attempt.num)
                    self._received(await self._model.afetch(rest.texts, kind), arrivals, progress)

    def spec(self) -> ModelSpec:
        """The model's specification; where it asks its provider for that, the request is retried as any other."""
        if isinstance(self._model, RemoteModel):
            for attempt in self._attempts(Progress(), spent=False):
                with attempt:
                    return self._model.spec
        return self._model.spec

    def _run(self, arrivals: Arrivals, kind: Kind) -> None:
        spec = self._model.spec
        try:
            vectors = self._model.embed(arrivals.batch.texts, kind)
        except EmbedPipeError:
            raise
        except Exception as error:  # noqa: BLE001 - raised again; a framework's model raises anything
            secrets = secrets_in(self._model)
            raise EmbeddingError(
                f"{spec.name} failed to embed the texts: {type(error).__name__}: {words(str(error), secrets=secrets)}"
            ) from safe_cause(error, secrets)
        arrivals.take(vectors, spec)

    def _received(self, reply: EmbeddingResponse, arrivals: Arrivals, progress: Progress) -> None:
        self._limiter.learn(reply.headers)
        arrivals.take(reply.vectors, self._model.spec)
        progress.made()

    def _attempts(self, progress: Progress, *, spent: bool) -> Any:
        import stamina  # local models need none of it

        retry = self._retry
        started = time.monotonic()

        def again(error: Exception) -> bool | float:
            left = retry.deadline_s - (time.monotonic() - max(started, progress.last))
            if not is_retryable(error) or left <= 0.0 or (spent and concerns_texts(error)):
                return False
            wait = error.retry_after if isinstance(error, RateLimitError) else None
            if wait is None:
                return True
            if wait > left:  # the others are not held back for what is longer than anyone waits
                return False
            self._limiter.pause(wait)
            return wait + random.uniform(0.0, retry.initial_s)  # noqa: S311 - jitter

        return stamina.retry_context(
            on=again,
            attempts=retry.attempts,
            timeout=None,
            wait_initial=retry.initial_s,
            wait_max=retry.max_s,
            wait_jitter=retry.initial_s,
        )
