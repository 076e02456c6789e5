"""An answer on its way: text in pieces, and the whole response at the end."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, closing
from typing import TypeAlias

from embedpipe.answering.response import RAGResponse
from embedpipe.errors import InputError

Event: TypeAlias = str | RAGResponse
"""A piece of text, or last of all the response."""


class _Stream:
    def __init__(self) -> None:
        self._response: RAGResponse | None = None

    @property
    def response(self) -> RAGResponse:
        """The whole answer with its checked citations; `InputError` before the last piece has been read."""
        if self._response is None:
            raise InputError("the answer is still on its way: read the stream to its end before its response.")
        return self._response


class AnswerStream(_Stream):
    """Iterates over the pieces of an answer's text, once."""

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
    """Iterates over the pieces of an answer's text, once, with `async for`."""

    def __init__(self, events: AsyncGenerator[Event, None]) -> None:
        super().__init__()
        self._events = events

    async def __aiter__(self) -> AsyncGenerator[str, None]:
        async with aclosing(self._events) as events:
            async for event in events:
                if isinstance(event, RAGResponse):
                    self._response = event
                else:
                    yield event
