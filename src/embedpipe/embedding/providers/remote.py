"""What the backends behind a network share: one request by an SDK's client, its errors, and clients by event loop."""

from __future__ import annotations

import asyncio
import weakref
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from embedpipe._forking import PerProcess
from embedpipe._providers import (
    Allowance,
    CohereConnection,
    JsonConnection,
    OpenAIConnection,
    UnusableReplyError,
    allowing,
    redirect,
    retry_after,
    safe_cause,
    unusable,
    words,
)
from embedpipe.embedding.backend import EmbeddingResponse
from embedpipe.errors import AuthenticationError, EmbeddingError, InvalidVectorsError, ProviderError, RateLimitError
from embedpipe.types import Kind, Vectors


class ProviderModel(ABC):
    """An embedding model behind a provider's SDK. Each call is one request, within its time and its bytes.

    A provider says how its SDK is called, how its reply is read, and how its errors become ours.
    """

    def __init__(self, name: str, connection: OpenAIConnection | CohereConnection | JsonConnection) -> None:
        self._name = name
        self._connection = connection
        self._clients: PerProcess[Any] = PerProcess(connection.close)
        self._loop_clients = _LoopClients(connection, owner=self)

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        """Return (n, d) float32, one row for each text, in order."""
        return self.fetch(texts, kind).vectors

    def fetch(self, texts: Sequence[str], kind: Kind) -> EmbeddingResponse:
        """Send one request, and return its vectors and headers.

        Raises:
            EmbeddingError: If it fails, or if the reply is not one vector for each text. Nothing is retried.
        """
        client = self._clients.get(self._connection.client)
        with self._requesting(texts):
            return self._read(self._call(client, texts, kind), len(texts))

    async def afetch(self, texts: Sequence[str], kind: Kind) -> EmbeddingResponse:
        """As `fetch`, on the running event loop."""
        client = await self._loop_clients.get()
        with self._requesting(texts):
            return self._read(await self._call(client, texts, kind), len(texts))

    @contextmanager
    def _requesting(self, texts: Sequence[str]) -> Iterator[None]:
        """Bound a request in time and bytes, and translate its errors."""
        failures: tuple[type[Exception], ...] = (*self._sdk_errors(), UnusableReplyError)
        try:
            with allowing(Allowance(self._connection.timeout_s, _most_bytes(texts, self._known_dimensions))):
                yield
        except failures as error:
            raise self._translated(error) from safe_cause(error, self._connection.secrets)

    @property
    @abstractmethod
    def _known_dimensions(self) -> int | None:
        """The dimensions, if they are known without asking the provider."""

    @abstractmethod
    def _call(self, client: Any, texts: Sequence[str], kind: Kind) -> Any:
        """Call the SDK. With the client for event loops, return what is to be awaited."""

    @abstractmethod
    def _read(self, reply: Any, expected: int) -> EmbeddingResponse:
        """Read the SDK's reply. Raise `InvalidVectorsError` if it has no place for each of the `expected` texts."""

    @abstractmethod
    def _sdk_errors(self) -> tuple[type[Exception], ...]:
        """Return what the SDK raises if a request fails, or if it cannot read the reply."""

    @abstractmethod
    def _translated(self, error: Exception) -> EmbeddingError:
        """Return the SDK's error as ours."""

    def _provider_error(
        self, error: Exception, *, status: int | None, body: object, headers: Mapping[str, str]
    ) -> EmbeddingError:
        """Return the error for a status, with the provider's own words, except about a refused key: they quote it.

        `body` is that of the reply, or what is said of a request that got none.
        """
        if (bad := unusable(error)) is not None:
            return InvalidVectorsError(f"The embeddings provider's reply cannot be used. {bad}")
        secrets = self._connection.secrets
        reason = words(body, secrets=secrets)
        if status is None:
            cause = error.__cause__ or error
            if (said := words(str(cause), secrets=secrets)) not in reason:
                reason = f"{reason} {said}"
            return ProviderError(
                f"The request to the embeddings provider failed: {reason} ({type(cause).__name__}). "
                "Check the network and base_url."
            )
        if (onward := redirect(status, headers, self._connection.endpoint.url, secrets=secrets)) is not None:
            return ProviderError(f"The embeddings provider {onward}", status=status)
        if status in (401, 403):
            return AuthenticationError(
                f"The embeddings provider refused the key (HTTP {status}). Check api_key= or "
                f"{self._connection.secret.variable}, and that the key may use this model."
            )
        if status == 429:
            return RateLimitError(
                f"The embeddings provider's rate limit holds: {reason} (HTTP 429). Lower Limits(requests_per_minute=, "
                "tokens_per_minute=) or wait.",
                retry_after=retry_after({name.lower(): value for name, value in headers.items()}),
            )
        return ProviderError(
            f"The embeddings provider answered with HTTP {status}: {reason}. If the status is below 500, check "
            f"the texts, the model's name and dimensions=.{self._about_name}",
            status=status,
        )

    @property
    def _about_name(self) -> str:
        """What else may be wrong with the model's name, for an error."""
        return ""


def _most_bytes(texts: Sequence[str], dimensions: int | None) -> int:
    """Return how many bytes a reply may have: the vectors as JSON with white space, and the texts again.

    A vector of unknown dimension may have 65,536 numbers.
    """
    numbers = len(texts) * (dimensions or 1 << 16)
    return (1 << 20) + 32 * numbers + 1024 * len(texts) + 6 * sum(map(len, texts))


class _LoopClients:
    """A client for each event loop, closed when its loop ends: its connections cannot outlive that."""

    def __init__(self, connection: OpenAIConnection | CohereConnection | JsonConnection, *, owner: object) -> None:
        self._connection = connection
        # A cycle, so that the garbage collector ends the model, and not the return of the function that made it. With
        # that, the loop often ends as well, and cancels the closing of connections that has just begun.
        self._owner = owner
        self._clients: PerProcess[weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Any, Any]]] = PerProcess(
            _let_go
        )

    async def get(self) -> Any:
        """Return the running loop's client."""
        loop = asyncio.get_running_loop()
        clients = self._clients.get(weakref.WeakKeyDictionary)
        client, _ = clients.get(loop, (None, None))
        if client is None:
            client = self._connection.client(is_async=True)
            holder = _held(client, self._connection.aclose)
            await anext(holder)
            clients[loop] = (client, holder)
        return client


def _let_go(clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Any, Any]]) -> None:
    """Close the clients of loops that still run, before the garbage collector takes them with open connections."""
    for loop, (_, holder) in list(clients.items()):
        if loop.is_running():
            loop.call_soon_threadsafe(loop.create_task, holder.aclose())


async def _held(client: Any, close: Callable[[Any], Awaitable[object]]) -> AsyncGenerator[None, None]:
    """Close the client when the event loop ends, which closes the async generators that began in it."""
    try:
        yield
    finally:
        await close(client)
