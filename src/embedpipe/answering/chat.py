"""The protocol of chat models, and OpenAI-compatible endpoints as chat models."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

from embedpipe._checks import checked_count, checked_text
from embedpipe._forking import PerProcess
from embedpipe._providers import (
    OPENAI,
    Allowance,
    OpenAIConnection,
    SdkAttempts,
    Service,
    UnusableReplyError,
    allowing,
    redirect,
    safe_cause,
    shown,
    unusable,
    words,
)
from embedpipe.errors import AuthenticationError, ConfigurationError, EmbedPipeError, GenerationError


class Source(NamedTuple):
    """A text that a model is to answer from and to cite, and the header above it, which is not cited."""

    text: str
    header: str | None = None


class Message(NamedTuple):
    """A message to a chat model.

    Attributes:
        role: "system" or "user".
        content: The text.
        shared: How many characters at the beginning of `content` other requests will repeat, after the same messages.
            A provider that caches prompts only where it is asked to is asked to cache up to there.
        sources: What the model is to answer from and to cite. Only for a `CitingChat`.
    """

    role: str
    content: str
    shared: int = 0
    sources: tuple[Source, ...] = ()


class NativeCitation(NamedTuple):
    """A citation that a model made by itself, and not by a mark in its text.

    Attributes:
        at: Where its mark, such as [1], begins in the reply's text.
        source: The number of the source, from 1.
        text: The text that is cited.
        start: Where that begins in the source, as the model says.
        end: Where it ends.
    """

    at: int
    source: int
    text: str
    start: int
    end: int


class ChatReply(NamedTuple):
    """A model's answer, or a piece of a streamed answer.

    Attributes:
        text: The text.
        tokens_used: The tokens of prompt and answer. None if the model did not say, and in all pieces of a stream but
            one.
        truncated: Whether the model stopped in mid-answer at its token limit.
        output_tokens: The tokens of the answer alone, None as for `tokens_used`.
        citations: Those that the model made by itself. The text has a mark for each.
    """

    text: str
    tokens_used: int | None = None
    truncated: bool = False
    output_tokens: int | None = None
    citations: tuple[NativeCitation, ...] = ()


@runtime_checkable
class ChatModel(Protocol):
    """A language model. Each method raises `GenerationError` if the model fails."""

    @property
    def name(self) -> str: ...

    def complete(self, messages: Sequence[Message]) -> ChatReply:
        """Return the whole answer."""
        ...

    def stream(self, messages: Sequence[Message]) -> Generator[ChatReply, None, None]:
        """Yield the answer in pieces. Their joined texts are the whole answer."""
        ...

    async def acomplete(self, messages: Sequence[Message]) -> ChatReply: ...

    def astream(self, messages: Sequence[Message]) -> AsyncGenerator[ChatReply, None]: ...


@runtime_checkable
class BatchingChat(Protocol):
    """A language model that also answers many requests in one job, later and cheaper."""

    def submit_batch(self, requests: Mapping[str, Sequence[Message]]) -> str:
        """Begin a job for requests, each under a name of its own, and return the job's id."""
        ...

    def batch_replies(self, job: str) -> Mapping[str, ChatReply | GenerationError] | None:
        """Return the replies by their requests' names, None while the job runs. One that got no reply is missing."""
        ...


@runtime_checkable
class CitingChat(Protocol):
    """A language model that takes sources apart from the text, and cites them by itself."""

    @property
    def cites(self) -> bool:
        """Whether it shall. Otherwise the sources stand in the text, and the model writes marks."""
        ...


class OpenAIChat:
    """A chat model behind an endpoint with OpenAI's chat completions API.

    The API key, a user name and password in `base_url`, and `extra_headers` appear in no repr and no pickle. A copy in
    another process reads its key from the environment. A redirect to another origin is an error.
    """

    provider = "openai"
    service: ClassVar[Service] = OPENAI

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
        """Set up the model. No request is sent yet.

        Args:
            model: The model's name at the endpoint.
            base_url: The URL of the endpoint. None takes `OPENAI_BASE_URL`, and otherwise OpenAI's.
            api_key: The API key. None takes `OPENAI_API_KEY`. Your own endpoint may need none.
            max_tokens: The most tokens of an answer.
            max_retries: How often to retry after status 429, 5xx, broken connections and timeouts. A provider's
                Retry-After is honoured up to two minutes. After a longer one there is no retry.
            timeout_s: Seconds for each try, from connecting to the last byte. For a stream: the longest wait for the
                first piece of text or reasoning, and for each further one.
            **options: Passed on with each request, such as temperature or seed.
        """
        self._model = checked_text("model", model, error=ConfigurationError)
        self._connection = OpenAIConnection(
            api_key=api_key, base_url=base_url, timeout_s=timeout_s, service=self.service
        )
        self._max_retries = checked_count("max_retries", max_retries, least=0, error=ConfigurationError)
        self._max_tokens = checked_count("max_tokens", max_tokens, error=ConfigurationError)
        self._options = options
        self._opened: PerProcess[Any] = PerProcess(OpenAIConnection.close)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._model!r})"

    def __getstate__(self) -> dict[str, Any]:
        options = {name: value for name, value in self._options.items() if name not in _HEADERS}
        return self.__dict__ | {"_connection": self._connection.bare, "_options": options}

    @property
    def name(self) -> str:
        return self._model

    def complete(self, messages: Sequence[Message]) -> ChatReply:
        """Return the whole answer. See `ChatModel`."""
        attempts = SdkAttempts(self._max_retries)
        for attempt in attempts:
            with attempt, self._translated(attempts), allowing(self._allowance()):
                client = self._opened.get(self._connection.client)
                reply = self._reply(client.chat.completions.create(**self._request(messages)))
        return reply

    async def acomplete(self, messages: Sequence[Message]) -> ChatReply:
        """Return the whole answer, on the running event loop."""
        attempts = SdkAttempts(self._max_retries)
        async for attempt in attempts:
            with attempt, self._translated(attempts):
                async with self._connection.client(is_async=True) as client:  # its connections belong to this loop
                    with allowing(self._allowance()):
                        reply = self._reply(await client.chat.completions.create(**self._request(messages)))
        return reply

    def stream(self, messages: Sequence[Message]) -> Generator[ChatReply, None, None]:
        """Yield the answer in pieces. See `ChatModel`."""
        progress, attempts = _Progress(self._allowance()), SdkAttempts(self._max_retries)
        for attempt in attempts:
            with attempt, self._translated(attempts), allowing(progress.allowance):
                client = self._opened.get(self._connection.client)
                stream = client.chat.completions.create(**self._request(messages), **_STREAM)
        with self._translated():
            with stream as events:
                for event in events:
                    yield progress.piece(event)
                    progress.resume()
            self._check_finished(progress.finished)

    async def astream(self, messages: Sequence[Message]) -> AsyncGenerator[ChatReply, None]:
        """Yield the answer in pieces, on the running event loop."""
        progress, attempts = _Progress(self._allowance()), SdkAttempts(self._max_retries)
        with self._translated():
            async with self._connection.client(is_async=True) as client:  # its connections belong to this loop
                async for attempt in attempts:
                    with attempt, self._translated(attempts), allowing(progress.allowance):
                        stream = await client.chat.completions.create(**self._request(messages), **_STREAM)
                async with stream as events:
                    async for event in events:
                        yield progress.piece(event)
                        progress.resume()
            self._check_finished(progress.finished)

    def submit_batch(self, requests: Mapping[str, Sequence[Message]]) -> str:
        """Begin a job of the Batch interface, which answers within a day for half the price, and return its id.

        Args:
            requests: The messages of each request, under a name of its own.

        Raises:
            GenerationError: If the job cannot be begun.
        """
        lines = [
            {"custom_id": name, "method": "POST", "url": f"/v1{_ENDPOINT}", "body": self._request(messages)}
            for name, messages in requests.items()
        ]
        data = "\n".join(json.dumps(line) for line in lines).encode()
        client = self._opened.get(self._connection.client)
        attempts = SdkAttempts(self._max_retries)
        for attempt in attempts:
            with attempt, self._translated(attempts), allowing(self._batch_allowance()):
                file = client.files.create(file=("requests.jsonl", data), purpose="batch")
        # Not retried: if a reply was lost, a second job would be paid, too.
        with self._translated(), allowing(self._allowance()):
            job: str = client.batches.create(
                input_file_id=file.id, endpoint=f"/v1{_ENDPOINT}", completion_window="24h"
            ).id
        return job

    def batch_replies(self, job: str) -> Mapping[str, ChatReply | GenerationError] | None:
        """Return the replies of a job by their requests' names, None while it runs.

        A request without a reply is missing, such as those of a job that expired, or that is not known any more.

        Raises:
            GenerationError: If the provider does not answer.
        """
        import openai

        client = self._opened.get(self._connection.client)
        attempts = SdkAttempts(self._max_retries)
        for attempt in attempts:
            with attempt, self._translated(attempts), allowing(self._batch_allowance()):
                try:
                    batch = client.batches.retrieve(job)
                except openai.NotFoundError:
                    return {}
                if batch.status not in _ENDED:
                    return None
                files = [file for file in (batch.output_file_id, batch.error_file_id) if file]
                lines = [line for file in files for line in client.files.content(file).content.splitlines() if line]
        return dict(map(self._batch_reply, lines))

    def _batch_reply(self, line: bytes) -> tuple[str, ChatReply | GenerationError]:
        from openai.types.chat import ChatCompletion

        with self._translated():
            reply = json.loads(line)
            name: str = reply["custom_id"]
            response = reply.get("response") or {}
        if response.get("status_code") != 200:
            told = words(reply.get("error") or response.get("body"), secrets=self._connection.secrets)
            return name, GenerationError(f"{self._model}: the request failed within its job: {told}")
        try:
            with self._translated():
                return name, self._reply(ChatCompletion.construct(**response["body"]))
        except GenerationError as error:
            return name, error

    def _batch_allowance(self) -> Allowance:
        return Allowance(max(self._connection.timeout_s, _BATCH_S), _BATCH_BYTES)

    def _allowance(self) -> Allowance:
        return Allowance(self._connection.timeout_s, FLOOR_BYTES + TOKEN_BYTES * self._max_tokens)

    def _request(self, messages: Sequence[Message]) -> dict[str, Any]:
        # OpenAI's newer models refuse the first.
        is_openai = self.service is OPENAI and self._connection.is_own
        limit = "max_completion_tokens" if is_openai else "max_tokens"
        turns = [{"role": message.role, "content": message.content} for message in messages]
        return {"model": self._model, "messages": turns, limit: self._max_tokens, **self._options}

    @contextmanager
    def _translated(self, attempts: SdkAttempts | None = None) -> Iterator[None]:
        """Translate the SDK's errors, and note for `attempts` how the request failed."""
        import openai

        headers = [str(value) for name in _HEADERS for value in (self._options.get(name) or {}).values()]
        secrets = (*self._connection.secrets, *headers)
        try:
            yield
        except AuthenticationError as error:
            raise ConfigurationError(
                f"{self!r} needs an API key. Set {self._connection.secret.variable} or pass api_key=. "
                f"For your own endpoint, pass base_url=. {error}"
            ) from None
        except EmbedPipeError:
            raise
        except openai.APIStatusError as error:
            if attempts is not None:
                attempts.note(error.status_code, error.response.headers)
            raise GenerationError(f"{self._model}: {self._refusal(error, secrets)}") from safe_cause(error, secrets)
        except (openai.OpenAIError, UnusableReplyError) as error:
            if attempts is not None and isinstance(error, openai.APIConnectionError) and unusable(error) is None:
                attempts.note(None, {})
            cause = unusable(error) or error.__cause__ or error
            raise GenerationError(
                f"{self._model} did not answer: {words(str(error), secrets=secrets)} "
                f"({type(cause).__name__}: {words(str(cause), secrets=secrets)})"
            ) from safe_cause(error, secrets)
        except _UNREADABLE as error:
            raise GenerationError(
                f"{self._model}: the reply is not in the form of OpenAI's API ({type(error).__name__}). Check base_url."
            ) from safe_cause(error, secrets)

    def _refusal(self, error: Any, secrets: Sequence[str]) -> str:
        status, response = error.status_code, error.response
        if status == 401:
            return f"the provider refused the API key (401). Check {self._connection.secret.variable}."
        if (onward := redirect(status, response.headers, self._connection.endpoint.url, secrets=secrets)) is not None:
            return f"the provider {onward}"
        return f"the request failed with status {status}: {words(response.content, secrets=secrets)}"

    def _reply(self, completion: Any) -> ChatReply:
        if not completion.choices:
            raise GenerationError(f"{self._model} returned no text (no choices). Ask again.")
        choice = completion.choices[0]
        text = _text(choice.message.content)
        if not text:
            raise GenerationError(
                f"{self._model} returned no text ({shown(choice.finish_reason)}). Ask again, or raise max_tokens."
            )
        return ChatReply(
            text, _count(completion, "total_tokens"), choice.finish_reason == "length", _output(completion)
        )

    def _check_finished(self, finished: bool) -> None:
        if not finished:
            raise GenerationError(f"{self._model}: the stream ended before the answer was complete. Ask again.")


_HEADERS = ("extra_headers", "extra_query")
"""Options of the openai client that often hold a key."""
_ENDPOINT = "/chat/completions"
_ENDED = ("completed", "failed", "expired", "cancelled")
_BATCH_S, _BATCH_BYTES = 600.0, 1 << 30  # a file may have 200 MB, and the replies' is as long
_STREAM = {"stream": True, "stream_options": {"include_usage": True}}
FLOOR_BYTES = 16 << 20  # reasoning may be longer than the answer
TOKEN_BYTES = 4096  # an event for each token, with the probabilities of twenty others
_UNREADABLE = (ValueError, TypeError, AttributeError, LookupError, RecursionError)


class _Progress:
    """The progress of a stream. Pieces of text or reasoning extend its time, other events do not."""

    def __init__(self, allowance: Allowance) -> None:
        self.allowance = allowance
        self.finished = False
        self._got_on = False

    def piece(self, event: Any) -> ChatReply:
        choice = event.choices[0] if event.choices else None
        delta = choice.delta if choice else None
        reason = choice.finish_reason if choice else None
        self.finished = self.finished or reason is not None
        fields: dict[str, Any] = {} if delta is None else dict(delta)
        self._got_on = reason is not None or any(value for name, value in fields.items() if name != "role")
        text = _text(fields.get("content"))
        return ChatReply(text, _count(event, "total_tokens"), reason == "length", _output(event))

    def resume(self) -> None:
        """Restart the clock after progress. The time that the reader of the pieces took does not count."""
        if self._got_on:
            self.allowance.restart()


def _text(content: object) -> str:
    if content is None:
        return ""
    if not isinstance(content, str):
        raise TypeError(type(content).__name__)
    return content


def _output(reply: Any) -> int | None:
    return _count(reply, "completion_tokens")


def _count(reply: Any, name: str) -> int | None:
    """Return a number of tokens from the reply, None if it is missing or not a number."""
    count = getattr(reply.usage, name, None)
    return count if type(count) is int and 0 <= count < 1 << 53 else None
