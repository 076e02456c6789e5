"""Batches on their way: one plan that decides what is sent, and its two drivers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias, cast

from embedpipe.embedding.backend import Limits
from embedpipe.errors import AuthenticationError, EmbeddingError, InvalidVectorsError, ProviderError
from embedpipe.metrics.spans import carried

Aside: TypeAlias = Callable[..., Awaitable[Any]]
"""Runs a function for an event loop: `in_thread` where it may take long, else `at_once`."""

_REFUSED = frozenset({400, 413, 422, 424})
_STUMBLED = 500
_HOPELESS = 3
_IN_VAIN = 4
"""Beyond as many parts as one bad text makes fail in a row, where it comes first: one for each halving."""


@dataclass(frozen=True, slots=True)
class RequestBatch:
    """Texts of one request. `keys` are the texts' numbers within the call, `tokens` their sum.

    `spent`: a larger batch with these texts was tried as often as the policy says, so that this one is tried once.
    `probe`: the text has its vector already, and is sent to see whether the provider still answers.
    """

    keys: Sequence[int]
    texts: Sequence[str]
    tokens: Sequence[int]
    spent: bool = False
    probe: bool = False

    def halves(self, *, spent: bool) -> tuple[RequestBatch, RequestBatch]:
        middle = len(self.keys) // 2
        return self.of(range(middle), spent=spent), self.of(range(middle, len(self.keys)), spent=spent)

    def of(self, rows: Sequence[int], *, spent: bool = False) -> RequestBatch:
        """These rows of the batch."""
        return RequestBatch(
            [self.keys[row] for row in rows],
            [self.texts[row] for row in rows],
            [self.tokens[row] for row in rows],
            spent or self.spent,
        )

    def __len__(self) -> int:
        return len(self.keys)


class Failed(NamedTuple):
    """What of a batch could not be embedded, and why."""

    rest: RequestBatch
    error: EmbeddingError


def batches(texts: Sequence[str], tokens: Sequence[int], limits: Limits, *, keys: Sequence[int]) -> list[RequestBatch]:
    """The texts in their order, cut where the next would exceed `limits.batch_items` or `limits.batch_tokens`."""
    made: list[RequestBatch] = []
    start = total = 0
    room = limits.batch_tokens
    for position, count in enumerate(tokens):
        full = position - start == limits.batch_items
        if position > start and (full or (room is not None and total + count > room)):
            made.append(RequestBatch(keys[start:position], texts[start:position], tokens[start:position]))
            start, total = position, 0
        total += count
    if len(texts) > start:
        made.append(RequestBatch(keys[start:], texts[start:], tokens[start:]))
    return made


class Flow:
    """What is still to be sent, and the error of every text that failed. It does no I/O; a driver sends.

    What of a batch was refused, or has no good vector, is halved until the bad text stands alone. Where several texts
    or parts fail in a row, a text that has succeeded is sent again, as often as the policy says, and nothing else
    meanwhile. If that fails too, or no text has succeeded so far, the fault is not the texts': the rest is not sent.
    Nor is it after a refused key or a redirect to another origin.
    """

    def __init__(self, planned: Iterable[RequestBatch]) -> None:
        self._planned = iter(planned)
        self.waiting: deque[RequestBatch] = deque()
        self.errors: dict[int, EmbeddingError] = {}
        self.ended: EmbeddingError | None = None
        """The error after which nothing more is sent."""
        self._refused = self._in_vain = self._largest = 0  # the first two since a text last succeeded
        self._answered: RequestBatch | None = None
        self._probe: RequestBatch | None = None
        self._doubted = False

    def take(self) -> RequestBatch | None:
        """The next batch to send; None where none is left, or none yet: one under way is halved, or is the probe."""
        if self._doubted:
            probe, self._probe = self._probe, None
            return probe
        return self.waiting.popleft() if self.waiting else next(self._planned, None)

    def prepare(self, most: int) -> bool:
        """Has one more batch made, where fewer than `most` are waiting and the plan has one; whether it had."""
        batch = next(self._planned, None) if len(self.waiting) < most else None
        if batch is not None:
            self.waiting.append(batch)
        return batch is not None

    def settle(self, batch: RequestBatch, failed: Failed | None) -> None:
        """Takes the outcome of a batch: what failed of it, or None where all of it succeeded."""
        if failed is None:
            self._trust(batch)
            return
        rest, error = failed
        if batch.probe:
            if self._doubted:  # no other has succeeded meanwhile
                self._end(error)
            return
        if len(rest) < len(batch):
            missing = set(rest.keys)
            self._trust(batch.of([row for row, key in enumerate(batch.keys) if key not in missing]))
        may_divide = concerns_texts(error) and len(rest) > 1
        self._refused += concerns_texts(error) and not may_divide
        self._in_vain += batch.spent
        self._largest = max(self._largest, len(batch))
        doubtful = self._refused >= _HOPELESS or self._in_vain >= self._largest.bit_length() + _IN_VAIN
        if doubtful and self._answered and not self._doubted and not self.ended:
            self._doubted, known = True, self._answered
            self._probe = RequestBatch(known.keys[:1], known.texts[:1], known.tokens[:1], probe=True)
        hopeless = doubtful and not self._answered
        if may_divide and not hopeless and not self.ended:
            self.waiting.extendleft(reversed(rest.halves(spent=not _refused(error))))
            return
        self._fail(rest, error)
        if hopeless or ends(error):
            self._end(error)

    def _trust(self, answered: RequestBatch) -> None:
        """Begin the counts of failures in a row anew."""
        self._answered = answered
        self._refused = self._in_vain = 0
        self._doubted, self._probe = False, None

    def _end(self, error: EmbeddingError) -> None:
        """Give up what is not sent yet."""
        self.ended = error
        self._doubted = False
        while (following := self.take()) is not None:
            self._fail(following, error)

    def _fail(self, batch: RequestBatch, error: EmbeddingError) -> None:
        self.errors.update(dict.fromkeys(batch.keys, error))


def _refused(error: Exception) -> bool:
    return isinstance(error, ProviderError) and error.status in _REFUSED


def concerns_texts(error: Exception) -> bool:
    """Whether one text may have cost the others of its request what failed.

    A failure with status 500, and one of a model on this machine or of a framework, may be of either kind.
    """
    stumbled = isinstance(error, ProviderError) and error.status == _STUMBLED
    return _refused(error) or stumbled or isinstance(error, InvalidVectorsError) or type(error) is EmbeddingError


def ends(error: EmbeddingError) -> bool:
    """Whether every other request of the call would fail in the same way."""
    redirected = isinstance(error, ProviderError) and error.status is not None and 300 <= error.status < 400
    return isinstance(error, AuthenticationError) or redirected


def drive(flow: Flow, send: Callable[[RequestBatch], Failed | None], *, concurrency: int) -> None:
    """Sends every batch of the flow from a pool of threads; in this thread where one at a time is asked for."""
    if concurrency == 1:
        while (batch := flow.take()) is not None:
            flow.settle(batch, send(batch))
        return
    pool = ThreadPoolExecutor(concurrency, thread_name_prefix="embedpipe")
    running: dict[Future[Failed | None], RequestBatch] = {}

    def sent(batch: RequestBatch) -> Failed | None:
        failed = Failed(batch, flow.ended) if flow.ended else send(batch)
        if failed and ends(failed.error):
            flow.ended = failed.error  # before this thread takes what is queued
        return failed

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
    flow: Flow, send: Callable[[RequestBatch], Awaitable[Failed | None]], *, concurrency: int, aside: Aside
) -> None:
    """Sends every batch of the flow from tasks of this event loop; cancels them where it is cancelled itself.

    Batches are made by way of `aside`.
    """
    running: dict[asyncio.Future[Failed | None], RequestBatch] = {}
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


async def _taken(flow: Flow, aside: Aside) -> RequestBatch | None:
    return flow.take() if flow.waiting else cast(RequestBatch | None, await aside(flow.take))


async def at_once(function: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """The function's result, without the way to a thread and back, which costs more than a few short texts do."""
    return function(*given, **named)
