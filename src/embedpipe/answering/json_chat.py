"""What the chat models behind an interface of JSON share: one request, its retries, and its stream of events."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import Any, ClassVar

from embedpipe._checks import checked_count, checked_text
from embedpipe._forking import PerProcess
from embedpipe._providers import (
    Allowance,
    EventReader,
    JsonConnection,
    SdkAttempts,
    Service,
    allowing,
    as_json,
    check_status,
    shown,
    translated,
    words,
)
from embedpipe.answering.chat import FLOOR_BYTES, TOKEN_BYTES, ChatReply, Message
from embedpipe.errors import ConfigurationError, GenerationError


class StreamReader(ABC):
    """Reads the events of one stream.

    Attributes:
        finished: Whether the answer is complete.
        got_on: Whether the last event had text or reasoning, or ended the answer. Others extend no time limit.
    """

    finished = False
    got_on = False

    def __init__(self, model: str, secrets: Sequence[str]) -> None:
        self._model = model
        self._secrets = secrets

    def error(self, event: Any) -> GenerationError:
        """Return the error for an event that tells of one."""
        return GenerationError(f"{self._model} broke off its answer: {words(event, secrets=self._secrets)}. Ask again.")

    @abstractmethod
    def read(self, event: Any) -> ChatReply:
        """Return the event's piece of the answer, with an empty text if it has none."""


class JsonChat(ABC):
    """A chat model behind an interface of JSON.

    The key, and a login in `base_url`, appear in no repr and no pickle. A redirect to another origin is an error.

    Args:
        model: The model's name.
        base_url: Another address of the interface. None takes that of the environment, else the service's own.
        api_key: The key. None takes that of the environment.
        max_tokens: The most tokens of an answer.
        max_retries: How often to retry after status 429, 5xx, broken connections and timeouts. A service's Retry-After
            is honoured up to two minutes. After a longer one there is no retry.
        timeout_s: Seconds for each try, from connecting to the last byte. For a stream: the longest wait for the first
            piece of text or reasoning, and for each further one.
        **options: Passed on with each request, such as `temperature`.
    """

    provider: ClassVar[str]
    service: ClassVar[Service]
    streams: ClassVar[Mapping[str, Any]] = {}
    """The fields of a request that ask for a stream."""
    reader: ClassVar[type[StreamReader]]

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        max_tokens: int = 1000,
        max_retries: int = 2,
        timeout_s: float = 60.0,
        **options: Any,
    ) -> None:
        self._model = checked_text("model", model, error=ConfigurationError)
        self._connection = JsonConnection(self.service, api_key=api_key, base_url=base_url, timeout_s=timeout_s)
        self._max_retries = checked_count("max_retries", max_retries, least=0, error=ConfigurationError)
        self._max_tokens = checked_count("max_tokens", max_tokens, error=ConfigurationError)
        self._options = options
        self._opened: PerProcess[Any] = PerProcess(JsonConnection.close)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._model!r})"

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_connection": self._connection.bare}

    @property
    def name(self) -> str:
        return self._model

    def complete(self, messages: Sequence[Message]) -> ChatReply:
        """Return the whole answer. See `ChatModel`."""
        attempts = SdkAttempts(self._max_retries)
        for attempt in attempts:
            with attempt, translated(self._model, self._connection, GenerationError, attempts):
                client = self._opened.get(self._connection.client)
                with allowing(self._allowance()):
                    answer = client.post(self._path(streams=False), json=self._body(messages))
                reply = self._checked(self._reply(as_json(answer)))
        return reply

    async def acomplete(self, messages: Sequence[Message]) -> ChatReply:
        """Return the whole answer, on the running event loop."""
        attempts = SdkAttempts(self._max_retries)
        async for attempt in attempts:
            with attempt, translated(self._model, self._connection, GenerationError, attempts):
                async with self._connection.client(is_async=True) as client:  # its connections belong to this loop
                    with allowing(self._allowance()):
                        answer = await client.post(self._path(streams=False), json=self._body(messages))
                reply = self._checked(self._reply(as_json(answer)))
        return reply

    def stream(self, messages: Sequence[Message]) -> Generator[ChatReply, None, None]:
        """Yield the answer in pieces. See `ChatModel`."""
        allowance, attempts = self._allowance(), SdkAttempts(self._max_retries)
        for attempt in attempts:
            with attempt, translated(self._model, self._connection, GenerationError, attempts), allowing(allowance):
                client = self._opened.get(self._connection.client)
                answer = client.send(self._streamed(client, messages), stream=True)
                if not answer.is_success:
                    answer.read()
                    check_status(answer)
        events, reader = EventReader(), self.reader(self._model, self._connection.secrets)
        with translated(self._model, self._connection, GenerationError), closing(answer):
            for data in answer.stream:  # unpacked and bounded already
                for event in events.feed(data):
                    yield reader.read(event)
                    if reader.got_on:  # the time that the reader of the pieces took does not count
                        allowance.restart()
            self._check_finished(reader)

    async def astream(self, messages: Sequence[Message]) -> AsyncGenerator[ChatReply, None]:
        """Yield the answer in pieces, on the running event loop."""
        allowance, attempts = self._allowance(), SdkAttempts(self._max_retries)
        with translated(self._model, self._connection, GenerationError):
            async with self._connection.client(is_async=True) as client:  # its connections belong to this loop
                async for attempt in attempts:
                    with (
                        attempt,
                        translated(self._model, self._connection, GenerationError, attempts),
                        allowing(allowance),
                    ):
                        answer = await client.send(self._streamed(client, messages), stream=True)
                        if not answer.is_success:
                            await answer.aread()
                            check_status(answer)
                events, reader = EventReader(), self.reader(self._model, self._connection.secrets)
                async with aclosing(answer):
                    async for data in answer.stream:  # unpacked and bounded already
                        for event in events.feed(data):
                            yield reader.read(event)
                            if reader.got_on:
                                allowance.restart()
                    self._check_finished(reader)

    def _allowance(self) -> Allowance:
        return Allowance(self._connection.timeout_s, FLOOR_BYTES + TOKEN_BYTES * self._max_tokens)

    def _streamed(self, client: Any, messages: Sequence[Message]) -> Any:
        """Return the request for a stream."""
        return client.build_request("POST", self._path(streams=True), json={**self._body(messages), **self.streams})

    @abstractmethod
    def _path(self, *, streams: bool) -> str:
        """Return the path of a request, behind the address of the service."""

    @abstractmethod
    def _body(self, messages: Sequence[Message]) -> dict[str, Any]:
        """Return the request."""

    @abstractmethod
    def _reply(self, answer: Any) -> ChatReply:
        """Read the reply to a request for the whole answer."""

    def _checked(self, reply: ChatReply) -> ChatReply:
        if not reply.text:
            why = "its token limit was reached" if reply.truncated else "the reply is empty"
            raise GenerationError(f"{self._model} returned no text: {why}. Ask again, or raise max_tokens.")
        return reply

    def _check_finished(self, reader: StreamReader) -> None:
        if not reader.finished:
            raise GenerationError(f"{self._model}: the answer ended before it was complete. Ask again.")


def joined(messages: Sequence[Message], role: str) -> str:
    """Return the texts of one role's messages, with an empty line between two."""
    return "\n\n".join(message.content for message in messages if message.role == role)


def counted(*counts: object) -> int | None:
    """Return the sum of the numbers of tokens that a reply states, None if one of them is no number."""
    total = 0
    for count in counts:
        if type(count) is not int or not 0 <= count < 1 << 53:
            return None
        total += count
    return total


def text_of(value: object) -> str:
    """Return a text of the reply.

    Raises:
        TypeError: If it is none.
    """
    if not isinstance(value, str):
        raise TypeError(shown(value))
    return value
