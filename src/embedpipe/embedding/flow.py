"""Batches on their way: one plan that decides what is sent, and its two drivers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from embedpipe.embedding.backend import Limits
from embedpipe.errors import AuthenticationError, EmbeddingError, InvalidVectorsError, ProviderError
from embedpipe.metrics.spans import carried

Aside: TypeAlias = Callable[..., Awaitable[Any]]
"""Runs a function for an event loop: `in_thread` where it may take long, else `at_once`."""

_REFUSED = frozenset({400, 413, 422})
_HOPELESS = 3


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts of one request. `keys` are the texts' numbers within the call, `tokens` their sum."""

    keys: Sequence[int]
    texts: Sequence[str]
    tokens: Sequence[int]

    def halves(self) -> tuple[Batch, Batch]:
        middle = len(self.keys) // 2
        return self._part(slice(None, middle)), self._part(slice(middle, None))

    def _part(self, part: slice) -> Batch:
        return Batch(self.keys[part], self.texts[part], self.tokens[part])

    def __len__(self) -> int:
        return len(self.keys)


def batches(texts: Sequence[str], tokens: Sequence[int], limits: Limits, *, keys: Sequence[int]) -> list[Batch]:
    """The texts in their order, cut where the next would exceed `limits.batch_items` or `limits.batch_tokens`."""
    made: list[Batch] = []
    start = total = 0
    room = limits.batch_tokens
    for position, count in enumerate(tokens):
        full = position - start == limits.batch_items
        if position > start and (full or (room is not None and total + count > room)):
            made.append(Batch(keys[start:position], texts[start:position], tokens[start:position]))
            start, total = position, 0
        total += count
    if len(texts) > start:
        made.append(Batch(keys[start:], texts[start:], tokens[start:]))
    return made


class Flow:
    """What is still to be sent, and the error of every text that failed. It does no I/O; a driver sends.

    A batch that was refused, or that came back with bad vectors, is halved until the bad text stands alone. Where
    single texts are refused and nothing at all succeeds, the fault is not the texts': the rest is not sent. Nor is it
    after a refused key.
    """

    def __init__(self, planned: Iterable[Batch]) -> None:
        self._planned = iter(planned)
        self.waiting: deque[Batch] = deque()
        self.errors: dict[int, EmbeddingError] = {}
        self.ended: EmbeddingError | None = None
        """The error after which nothing more is sent."""
        self._refused = 0
        self._succeeded = False

    def take(self) -> Batch | None:
        """The next batch to send; None where none is left, unless one under way is halved."""
        return self.waiting.popleft() if self.waiting else next(self._planned, None)

    def prepare(self, most: int) -> bool:
        """Has one more batch made, where fewer than `most` are waiting and the plan has one; whether it had."""
        batch = next(self._planned, None) if len(self.waiting) < most else None
        if batch is not None:
            self.waiting.append(batch)
        return batch is not None

    def settle(self, batch: Batch, error: EmbeddingError | None) -> None:
        """Takes the outcome of a batch: its error, or None where it succeeded."""
        if error is None:
            self._succeeded = True
        elif _concerns_texts(error) and len(batch) > 1 and not self.ended:
            self.waiting.extendleft(reversed(batch.halves()))
        else:
            self._fail(batch, error)
            self._refused += _concerns_texts(error)
            if isinstance(error, AuthenticationError) or (self._refused >= _HOPELESS and not self._succeeded):
                self.ended = error
                while (rest := self.take()) is not None:
                    self._fail(rest, error)

    def _fail(self, batch: Batch, error: EmbeddingError) -> None:
        self.errors.update(dict.fromkeys(batch.keys, error))


def _concerns_texts(error: EmbeddingError) -> bool:
    if isinstance(error, ProviderError):
        return error.status in _REFUSED
    return isinstance(error, InvalidVectorsError) and bool(error.inputs)


def drive(flow: Flow, send: Callable[[Batch], EmbeddingError | None], *, concurrency: int) -> None:
    """Sends every batch of the flow from a pool of threads; in this thread where one at a time is asked for."""
    if concurrency == 1:
        while (batch := flow.take()) is not None:
            flow.settle(batch, send(batch))
        return
    pool = ThreadPoolExecutor(concurrency, thread_name_prefix="embedpipe")
    running: dict[Future[EmbeddingError | None], Batch] = {}

    def sent(batch: Batch) -> EmbeddingError | None:
        error = flow.ended or send(batch)
        if isinstance(error, AuthenticationError):
            flow.ended = error  # before this thread takes what is queued
        return error

    def wanted() -> bool:
        """Each thread's next batch is made while it waits for its reply."""
        ahead = len(running) < 2 * concurrency and not any(future.done() for future in running)
        return len(running) < concurrency or ahead

    try:
        while True:
            while wanted() and (batch := flow.take()) is not None:
                running[pool.submit(carried(sent), batch)] = batch
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                flow.settle(running.pop(future), future.result())
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


async def adrive(
    flow: Flow, send: Callable[[Batch], Awaitable[EmbeddingError | None]], *, concurrency: int, aside: Aside
) -> None:
    """Sends every batch of the flow from tasks of this event loop; cancels them where it is cancelled itself.

    Batches are made by way of `aside`.
    """
    running: dict[asyncio.Future[EmbeddingError | None], Batch] = {}
    try:
        while True:
            while len(running) < concurrency and (batch := await _taken(flow, aside)) is not None:
                running[asyncio.ensure_future(send(batch))] = batch
            if not running:
                return
            while not any(future.done() for future in running) and await aside(flow.prepare, concurrency):
                pass
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for future in done:
                flow.settle(running.pop(future), future.result())
    finally:
        for future in running:
            future.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _taken(flow: Flow, aside: Aside) -> Batch | None:
    return flow.take() if flow.waiting else cast(Batch | None, await aside(flow.take))


async def at_once(function: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """The function's result, without the way to a thread and back, which costs more than a few short texts do."""
    return function(*given, **named)
