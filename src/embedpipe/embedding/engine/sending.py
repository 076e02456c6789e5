"""One batch to the model and back: within the rate, retried if the failure may pass, checked."""

from __future__ import annotations

import asyncio
import threading
import time
from weakref import WeakKeyDictionary

from embedpipe._forking import register
from embedpipe._providers import Attempts, Failure, Retry, safe_cause, secrets_in, words
from embedpipe._threads import in_thread
from embedpipe.embedding.backend import EmbeddingResponse, Limits, RemoteModel
from embedpipe.embedding.engine.batch_queue import concerns_texts
from embedpipe.embedding.engine.rate_limiter import Limiter, RateLimiter
from embedpipe.embedding.engine.text_batch import TextBatch
from embedpipe.embedding.vectors import WrongDimensionError, wrong_shape
from embedpipe.errors import EmbeddingError, EmbedPipeError, InvalidVectorsError, ProviderError, RateLimitError
from embedpipe.types import EmbeddingModel, Kind, ModelSpec


class Sender:
    """Sends batches to one model. `limiter` says when a request may start, and may be replaced by a shared one."""

    def __init__(self, model: EmbeddingModel, *, limits: Limits, retry: Retry) -> None:
        self.limiter: Limiter = RateLimiter(limits)
        self.retry = retry
        self.last_success = time.monotonic()
        """When a request last succeeded: a retry's deadline counts from there."""
        self._model = model
        self._remote = model if isinstance(model, RemoteModel) else None
        self._slots = _Slots(limits.concurrency)

    def send(self, batch: TextBatch, kind: Kind) -> None:
        """Send a batch until each of its texts has a good vector.

        Raises:
            EmbeddingError: If not all of them could be had. The batch keeps the good ones.
        """
        if self._remote is None:
            with self._slots.of_threads:
                self._embed_locally(batch, kind)
            return
        for attempt in _BatchAttempts(self, once=batch.once):
            with attempt, self._slots.of_threads:  # the place is free again during the wait between two attempts
                missing = batch.missing
                if (wait := self.limiter.reserve(sum(missing.token_counts))) > 0.0:
                    time.sleep(wait)
                batch.attempts = attempt.num
                self._receive(missing.fetch(self._remote, kind), batch)

    async def asend(self, batch: TextBatch, kind: Kind) -> None:
        """As `send`, on the running event loop. A local model runs in a thread."""
        if self._remote is None:
            async with self._slots.of_loop:
                await in_thread(self._embed_locally, batch, kind)
            return
        async for attempt in _BatchAttempts(self, once=batch.once):
            with attempt:
                async with self._slots.of_loop:
                    missing = batch.missing
                    await asyncio.sleep(self.limiter.reserve(sum(missing.token_counts)))
                    batch.attempts = attempt.num
                    self._receive(await missing.afetch(self._remote, kind), batch)

    def spec(self) -> ModelSpec:
        """Return the model's specification. If the model asks its provider for it, that is retried as any request."""
        if self._remote is not None:  # it may send a probe to learn the dimension
            for attempt in _BatchAttempts(self, once=False):
                with attempt:
                    return self._model.spec
        return self._model.spec

    def _embed_locally(self, batch: TextBatch, kind: Kind) -> None:
        """Embed by a model on this machine or by a framework's, and translate whatever it raises."""
        batch.attempts = 1
        spec = self._model.spec
        try:
            vectors = batch.embed(self._model, kind)
        except EmbedPipeError:
            raise
        except Exception as error:  # noqa: BLE001 - raised again; a framework's model raises anything
            secrets = secrets_in(self._model)
            raise EmbeddingError(
                f"{spec.name} failed to embed the texts: {type(error).__name__}: {words(str(error), secrets=secrets)}"
            ) from safe_cause(error, secrets)
        batch.receive(vectors, spec)

    def _receive(self, response: EmbeddingResponse, batch: TextBatch) -> None:
        """Take over the rates that the provider states, and the vectors."""
        self.limiter.learn(response.headers)
        spec, vectors = self._model.spec, response.vectors
        if vectors.shape[1] != spec.dimensions:
            raise WrongDimensionError(wrong_shape(vectors, expected=len(batch.missing.indices), spec=spec))
        batch.receive(vectors, spec)
        self.last_success = time.monotonic()


class _BatchAttempts(Attempts):
    """The attempts of one batch. Those of `once` end with the first error that may be a text's fault."""

    def __init__(self, sender: Sender, *, once: bool) -> None:
        super().__init__(sender.retry)
        self._sender = sender
        self._once = once
        self._wrong_dimensions = 0

    def _failure(self, error: Exception) -> Failure | None:
        if isinstance(error, WrongDimensionError):  # one more try, in case that another server of theirs answers
            self._wrong_dimensions += 1
            return Failure(None) if self._wrong_dimensions == 1 else None
        if self._once and concerns_texts(error):
            return None
        if isinstance(error, ProviderError):
            return Failure(error.status)
        if isinstance(error, RateLimitError):
            return Failure(429, error.retry_after)
        return Failure(None) if isinstance(error, InvalidVectorsError) else None

    def _counted_from(self) -> float:
        return max(self._started, self._sender.last_success)

    def _hold_back(self, seconds: float) -> None:
        self._sender.limiter.pause(seconds)


class _Slots:
    """Places for the requests under way of one generator: some for threads, and as many for each event loop."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()
        self.after_fork()
        register(self)

    def after_fork(self) -> None:
        """Begin with every place of threads free: those that held one belong to the parent."""
        self.of_threads = threading.BoundedSemaphore(self._number)

    @property
    def of_loop(self) -> asyncio.Semaphore:
        """The places of the running event loop."""
        return self._of_loops.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(self._number))
