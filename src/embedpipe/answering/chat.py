"""What a language model must be able to do to write answers, and OpenAI-compatible endpoints that can."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, runtime_checkable

from embedpipe._forking import PerProcess
from embedpipe.errors import ConfigurationError, GenerationError


class Message(NamedTuple):
    """`role` is "system" or "user"."""

    role: str
    content: str


class Reply(NamedTuple):
    """A model's text, or a piece of it while it streams.

    `tokens_used` counts prompt and answer, `output_tokens` the answer alone; None where the model did not say, and for
    every piece of a stream but one.
    `truncated`: the model stopped at its token limit, in the middle of what it had to say.
    """

    text: str
    tokens_used: int | None = None
    truncated: bool = False
    output_tokens: int | None = None


@runtime_checkable
class ChatModel(Protocol):
    """A language model. Each method raises `GenerationError` where the model fails."""

    @property
    def name(self) -> str: ...

    def complete(self, messages: Sequence[Message]) -> Reply:
        """The whole answer."""
        ...

    def stream(self, messages: Sequence[Message]) -> Generator[Reply, None, None]:
        """The answer in pieces, whose texts joined are the whole."""
        ...

    async def acomplete(self, messages: Sequence[Message]) -> Reply: ...

    def astream(self, messages: Sequence[Message]) -> AsyncGenerator[Reply, None]: ...


class OpenAIChat:
    """A chat model behind any endpoint that speaks OpenAI's chat completions.

    An answer has at most `max_tokens` tokens. `api_key=None` means `OPENAI_API_KEY`; an endpoint of one's own
    (`base_url=`) may need none. 429, 5xx and broken connections are tried `max_retries` times more by the openai
    client, which honours Retry-After. `options` go into each request as they are (temperature, seed, ...). The key
    appears in no repr and no pickle: a copy in another process takes its own from the environment.
    """

    provider = "openai"

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
        self._model = model
        self._base_url = base_url
        self._api_key = api_key
        self._max_tokens = max_tokens
        self._max_retries = max_retries
        self._timeout_s = timeout_s
        self._options = options
        self._opened: PerProcess[Any] = PerProcess()

    def __repr__(self) -> str:
        return f"OpenAIChat({self._model!r})"

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_api_key": None}

    @property
    def name(self) -> str:
        return self._model

    def complete(self, messages: Sequence[Message]) -> Reply:
        with self._translated():
            completion = self._client.chat.completions.create(**self._request(messages))
            return self._reply(completion)

    async def acomplete(self, messages: Sequence[Message]) -> Reply:
        with self._translated():
            async with self._async_client() as client:
                completion = await client.chat.completions.create(**self._request(messages))
                return self._reply(completion)

    def stream(self, messages: Sequence[Message]) -> Generator[Reply, None, None]:
        with self._translated():
            finished = False
            with self._client.chat.completions.create(**self._request(messages), **_STREAM) as events:
                for event in events:
                    finished = finished or _finish_reason(event) is not None
                    yield _piece(event)
            self._check_finished(finished)

    async def astream(self, messages: Sequence[Message]) -> AsyncGenerator[Reply, None]:
        with self._translated():
            finished = False
            async with self._async_client() as client:
                stream = await client.chat.completions.create(**self._request(messages), **_STREAM)
                async with stream as events:
                    async for event in events:
                        finished = finished or _finish_reason(event) is not None
                        yield _piece(event)
            self._check_finished(finished)

    @property
    def _client(self) -> Any:
        return self._opened.get(self._open)

    def _open(self) -> Any:
        import openai

        return openai.OpenAI(**self._connection())

    def _async_client(self) -> Any:
        """A fresh one for each call, since its connections belong to the event loop that opened them."""
        import openai

        return openai.AsyncOpenAI(**self._connection())

    def _connection(self) -> dict[str, Any]:
        key = self._api_key or os.environ.get("OPENAI_API_KEY") or ("none" if self._base_url else None)
        if key is None:
            raise ConfigurationError(
                f"OpenAIChat({self._model!r}) needs a key: set OPENAI_API_KEY or give api_key=; "
                "for a server of your own give base_url=."
            )
        return {
            "api_key": key,
            "base_url": self._base_url,
            "max_retries": self._max_retries,
            "timeout": self._timeout_s,
        }

    def _request(self, messages: Sequence[Message]) -> dict[str, Any]:
        limit = "max_tokens" if self._base_url else "max_completion_tokens"  # OpenAI's newer models refuse the first
        turns = [{"role": message.role, "content": message.content} for message in messages]
        return {"model": self._model, "messages": turns, limit: self._max_tokens, **self._options}

    @contextmanager
    def _translated(self) -> Iterator[None]:
        import openai

        try:
            yield
        except openai.AuthenticationError as error:
            raise GenerationError(
                f"{self._model}: the provider refused the API key (401). Check OPENAI_API_KEY."
            ) from error
        except openai.APIStatusError as error:
            raise GenerationError(
                f"{self._model}: the request failed with status {error.status_code}: {error.message}"
            ) from error
        except openai.OpenAIError as error:
            raise GenerationError(f"{self._model}: no answer came: {error}") from error

    def _reply(self, completion: Any) -> Reply:
        choice = completion.choices[0] if completion.choices else None
        if choice is None or not choice.message.content:
            reason = choice.finish_reason if choice else "no choices"
            raise GenerationError(f"{self._model}: the reply holds no text ({reason}).")
        return Reply(
            choice.message.content,
            getattr(completion.usage, "total_tokens", None),
            choice.finish_reason == "length",
            getattr(completion.usage, "completion_tokens", None),
        )

    def _check_finished(self, finished: bool) -> None:
        if not finished:
            raise GenerationError(f"{self._model}: the stream broke off before the answer was complete.")


_STREAM = {"stream": True, "stream_options": {"include_usage": True}}


def _finish_reason(event: Any) -> str | None:
    reason: str | None = event.choices[0].finish_reason if event.choices else None
    return reason


def _piece(event: Any) -> Reply:
    text = (event.choices[0].delta.content or "") if event.choices else ""
    return Reply(
        text,
        getattr(event.usage, "total_tokens", None),
        _finish_reason(event) == "length",
        getattr(event.usage, "completion_tokens", None),
    )
