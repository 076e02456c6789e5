"""An answer on its way: text in pieces, and the whole response at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
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

    def __init__(self, events: Iterator[Event]) -> None:
        super().__init__()
        self._events = events

    def __iter__(self) -> Iterator[str]:
        for event in self._events:
            if isinstance(event, RAGResponse):
                self._response = event
            else:
                yield event


class AsyncAnswerStream(_Stream):
    """Iterates over the pieces of an answer's text, once, with `async for`."""

    def __init__(self, events: AsyncIterator[Event]) -> None:
        super().__init__()
        self._events = events

    async def __aiter__(self) -> AsyncIterator[str]:
        async for event in self._events:
            if isinstance(event, RAGResponse):
                self._response = event
            else:
                yield event
