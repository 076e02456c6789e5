"""Streamed answers: pieces of text, then the whole response."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from contextlib import closing
from typing import Any, TypeAlias

from embedpipe.answering.response import RAGResponse
from embedpipe.errors import InputError
from embedpipe.metrics import LEFT_EARLY

Event: TypeAlias = str | RAGResponse
"""A piece of text, or the response as the last event."""

Tell: TypeAlias = Callable[[Event], Awaitable[None]]
"""Passes an event on. Waits until the event before it has been read."""


class _Stream:
    def __init__(self) -> None:
        self._response: RAGResponse | None = None

    @property
    def response(self) -> RAGResponse:
        """Return the whole answer with its checked citations.

        Raises:
            InputError: If the stream has not been read to its end.
        """
        if self._response is None:
            raise InputError("The answer is not complete yet. Read the stream to its end before its response.")
        return self._response


class AnswerStream(_Stream):
    """An iterable of the pieces of an answer's text. It can be read once."""

    def __init__(self, events: Generator[Event, None, None]) -> None:
        super().__init__()
        self._events = events

    def __iter__(self) -> Generator[str, None, None]:
        with closing(self._events) as events:
            for event in events:
                if isinstance(event, RAGResponse):
                    self._response = event
                else:
                    yield event


class AsyncAnswerStream(_Stream):
    """An iterable of the pieces of an answer's text for `async for`. It can be read once.

    A separate task runs the search and the model, so that connections are closed in the task that opened them, however
    the iteration ends. If the iteration is left early, that task is cancelled.
    """

    def __init__(self, answer: Callable[[Tell], Coroutine[Any, Any, None]]) -> None:
        super().__init__()
        self._answer: Callable[[Tell], Coroutine[Any, Any, None]] | None = answer

    async def __aiter__(self) -> AsyncGenerator[str, None]:
        answer, self._answer = self._answer, None
        if answer is None:
            return
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        room = asyncio.Semaphore(1)

        async def tell(event: Event) -> None:
            await room.acquire()
            events.put_nowait(event)

        answering = asyncio.create_task(answer(tell))
        answering.add_done_callback(lambda _: events.put_nowait(None))
        try:
            while (event := await events.get()) is not None:
                room.release()
                if isinstance(event, RAGResponse):
                    self._response = event
                else:
                    yield event
            await answering
        finally:
            answering.cancel(LEFT_EARLY)
            await asyncio.gather(answering, return_exceptions=True)
