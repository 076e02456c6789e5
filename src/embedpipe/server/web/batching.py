"""Dynamic batching: what waits for the model at the same time goes through it together, whoever asked."""

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
"""What embeds a batch; an `EmbedPipeError` where it fails."""

OnBatch: TypeAlias = Callable[[int, int], object]
"""Told of each batch how many texts it holds, and of how many requests."""

_SHARE = 8
"""How many texts a request has in a batch before the next one's turn comes."""


@dataclass(slots=True, eq=False)
class _Request:
    """Texts that wait; `taken` of them are at the model or back, and `missing` are not back yet."""

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
    """Whether another request's texts may be at fault; not where the provider is busy, down or refuses the key."""
    if isinstance(error, ProviderError):
        return error.status in (400, 413, 422, 424, 500)
    return not isinstance(error, RateLimitError | AuthenticationError)


def _taken(request: _Request, *, texts: int, room: int) -> _Part:
    """The request's next texts, so many at most, until their characters fill the room; one at least."""
    start = stop = request.taken
    while stop < len(request.texts) and stop - start < texts and room > 0:
        room -= len(request.texts[stop])
        stop += 1
    request.taken = stop
    return _Part(request, start, stop)


@dataclass(slots=True, kw_only=True)
class Batcher:
    """Runs batches, at most `concurrency` at once, out of what requests wait with.

    Nobody waits for a batch to fill: it holds what came while the model was at work. Requests take turns, so that a
    small one is not behind a large one. `together` False gives each request batches of its own. For one event loop.
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
        """(n, d) float32 in the texts' order. Who is cancelled leaves the queue; what is at the model goes on."""
        request = _Request(texts, kind, asyncio.get_running_loop().create_future(), len(texts))
        self._waiting.setdefault(kind, deque()).append(request)
        self._start()
        try:
            return await request.answer
        finally:
            self._leave(request)

    @property
    def waiting(self) -> int:
        """How many texts are not at the model yet."""
        return sum(len(each.texts) - each.taken for lane in self._waiting.values() for each in lane)

    @property
    def idle(self) -> bool:
        """Whether nothing is at the model, and nothing waits for it."""
        return not self._tasks and not self._waiting

    async def aclose(self) -> None:
        """Waits for the batches under way."""
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
        """The next batch: of one kind, the kinds by turns, and within it the requests by turns."""
        kind, lane = next(iter(self._waiting.items()))
        parts: list[_Part] = []
        room = self.batch_texts
        characters = self.batch_characters
        while lane and room > 0 and characters > 0:
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
            await self._alone(parts, error, apart=len(requests) > 1 and _may_concern_one(error))
            return
        if self.on_batch is not None:
            self.on_batch(len(texts), len(requests))
        start = 0
        for part in parts:
            stop = start + part.stop - part.start
            part.request.receive(part.start, vectors[start:stop])
            start = stop

    async def _alone(self, parts: Sequence[_Part], error: Exception, *, apart: bool) -> None:
        """Runs each request's texts by themselves, so that what failed for one costs nobody else."""
        for part in parts:
            if apart:
                await self._work([part])
            else:
                part.request.fail(error)
