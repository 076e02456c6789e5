"""Dynamic batching: texts that wait for the model at the same time are embedded together."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from embedpipe.errors import AuthenticationError, EmbedPipeError, ProviderError, RateLimitError
from embedpipe.types import Kind, Vectors

Run: TypeAlias = Callable[[Sequence[str], Kind], Awaitable[Vectors]]
"""Embeds one batch. Raises an `EmbedPipeError` on failure."""

OnBatch: TypeAlias = Callable[[int, int], object]
"""Called after each batch with its number of texts and of requests."""

_SHARE = 8
"""How many texts of one request enter a batch before the next request's turn."""


@dataclass(slots=True, eq=False)
class _Request:
    """Texts that wait. `taken` texts are at the model or done. `missing` texts have no vector yet."""

    texts: Sequence[str]
    kind: Kind
    answer: asyncio.Future[Vectors]
    missing: int
    taken: int = 0
    vectors: Vectors | None = None

    def receive(self, start: int, vectors: Vectors) -> None:
        if self.answer.done():
            return
        if self.vectors is None:
            self.vectors = np.empty((len(self.texts), vectors.shape[1]), dtype=np.float32)
        self.vectors[start : start + len(vectors)] = vectors
        self.missing -= len(vectors)
        if not self.missing:
            self.answer.set_result(self.vectors)

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


@dataclass(frozen=True, slots=True)
class _Part:
    request: _Request
    start: int
    stop: int

    @property
    def texts(self) -> Sequence[str]:
        return self.request.texts[self.start : self.stop]


def _may_concern_one(error: EmbedPipeError) -> bool:
    """Return whether one text may have caused the error. False if the provider is busy, down or refuses the key."""
    if isinstance(error, ProviderError):
        return error.status in (400, 413, 422, 424, 500)
    return not isinstance(error, RateLimitError | AuthenticationError)


def _taken(request: _Request, *, texts: int, room: int) -> _Part:
    """Take the next texts of a request: at least one, at most `texts`, until they exceed `room` characters."""
    start = stop = request.taken
    while stop < len(request.texts) and stop - start < texts and room > 0:
        room -= len(request.texts[stop])
        stop += 1
    request.taken = stop
    return _Part(request, start, stop)


@dataclass(slots=True, kw_only=True)
class Batcher:
    """Collects the texts of waiting requests into batches and runs at most `concurrency` batches at once.

    No request waits for a batch to fill: a batch holds the texts that arrived while the model was busy. Requests take
    turns within a batch, so a small request does not wait for a large one. With `together` False, each request has
    batches of its own. Use one `Batcher` per event loop.
    """

    run: Run
    batch_texts: int
    batch_characters: int
    concurrency: int = 1
    together: bool = True
    on_batch: OnBatch | None = None
    _waiting: OrderedDict[Kind, deque[_Request]] = field(default_factory=OrderedDict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        """Return (n, d) float32 vectors in the order of the texts.

        A cancelled call leaves the queue. Its texts that are already at the model are still embedded.
        """
        request = _Request(texts, kind, asyncio.get_running_loop().create_future(), len(texts))
        self._waiting.setdefault(kind, deque()).append(request)
        self._start()
        try:
            return await request.answer
        finally:
            self._leave(request)

    @property
    def waiting(self) -> int:
        """Return the number of texts that are not at the model yet."""
        return sum(len(each.texts) - each.taken for lane in self._waiting.values() for each in lane)

    @property
    def idle(self) -> bool:
        """Return whether no text is at the model and none waits for it."""
        return not self._tasks and not self._waiting

    async def aclose(self) -> None:
        """Wait for the batches in progress."""
        await asyncio.gather(*self._tasks)

    def _leave(self, request: _Request) -> None:
        lane = self._waiting.get(request.kind)
        if lane is not None and request in lane:
            lane.remove(request)
            if not lane:
                del self._waiting[request.kind]

    def _start(self) -> None:
        while self._waiting and len(self._tasks) < self.concurrency:
            task = asyncio.create_task(self._work(self._next()))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._start()

    def _next(self) -> list[_Part]:
        """Return the next batch. It has one kind of text; kinds take turns, and so do requests within a kind."""
        kind, lane = next(iter(self._waiting.items()))
        parts: list[_Part] = []
        room = self.batch_texts
        characters = self.batch_characters
        while lane and room > 0 and characters > 0:
            # While others wait, a request gets a few texts and goes to the end of the queue. Alone, it fills the batch.
            part = _taken(lane.popleft(), texts=min(room, _SHARE) if self.together and lane else room, room=characters)
            parts.append(part)
            room -= len(part.texts)
            characters -= sum(map(len, part.texts))
            if part.stop < len(part.request.texts):
                lane.append(part.request)
            if not self.together:
                break
        self._waiting.move_to_end(kind)
        if not lane:
            del self._waiting[kind]
        return parts

    async def _work(self, parts: Sequence[_Part]) -> None:
        texts = [text for part in parts for text in part.texts]
        requests = {id(part.request) for part in parts}
        try:
            vectors = await self.run(texts, parts[0].request.kind)
        except EmbedPipeError as error:
            await self._fail(parts, error, retry=len(requests) > 1 and _may_concern_one(error))
            return
        if self.on_batch is not None:
            self.on_batch(len(texts), len(requests))
        start = 0
        for part in parts:
            stop = start + part.stop - part.start
            part.request.receive(part.start, vectors[start:stop])
            start = stop

    async def _fail(self, parts: Sequence[_Part], error: Exception, *, retry: bool) -> None:
        """Fail the requests. With `retry`, run each by itself first, so that one bad text fails its request alone."""
        for part in parts:
            if retry:
                await self._work([part])
            else:
                part.request.fail(error)
