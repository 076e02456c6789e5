"""What the backends behind a network share: errors, a reply's bounds, clients that live as long as their loop."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from embedpipe._forking import PerProcess
from embedpipe._providers import Endpoint, Secret, redirect, retry_after, unusable, words
from embedpipe.errors import AuthenticationError, EmbeddingError, InvalidVectorsError, ProviderError, RateLimitError


def translated(
    error: Exception,
    *,
    status: int | None,
    body: object,
    headers: Mapping[str, str],
    secret: Secret,
    endpoint: Endpoint,
) -> EmbeddingError:
    """Return a provider's error as ours, with its own words; of a refused key without, since they quote a part of it.

    `body` is that of the reply, or what is said of a request that got none.
    """
    if (bad := unusable(error)) is not None:
        return InvalidVectorsError(f"The embeddings provider's reply cannot be taken. {bad}")
    secrets = (*secret.values, *endpoint.values)
    reason = words(body, secrets=secrets)
    if status is None:
        cause = error.__cause__ or error
        if (said := words(str(cause), secrets=secrets)) not in reason:
            reason = f"{reason} {said}"
        return ProviderError(
            f"The request to the embeddings provider failed: {reason} ({type(cause).__name__}). "
            "Check the network and base_url."
        )
    if (onward := redirect(status, headers, endpoint.url, secrets=secrets)) is not None:
        return ProviderError(f"The embeddings provider {onward}", status=status)
    if status in (401, 403):
        return AuthenticationError(
            f"The embeddings provider refused the key (HTTP {status}). Check api_key= or {secret.variable}, and that "
            "the key may use this model."
        )
    if status == 429:
        return RateLimitError(
            f"The embeddings provider's rate limit holds: {reason} (HTTP 429). Lower Limits(requests_per_minute=, "
            "tokens_per_minute=) or wait.",
            retry_after=retry_after({name.lower(): value for name, value in headers.items()}),
        )
    return ProviderError(
        f"The embeddings provider answered with HTTP {status}: {reason}. Below 500 the request itself is refused: "
        "check its texts, the model's name and dimensions=.",
        status=status,
    )


def room(texts: Sequence[str], dimensions: int | None) -> int:
    """Return how many bytes a reply with these texts' vectors may have, as JSON with white space and the texts again.

    A vector of unknown dimension may have 65,536.
    """
    numbers = len(texts) * (dimensions or 1 << 16)
    return (1 << 20) + 32 * numbers + 1024 * len(texts) + 6 * sum(map(len, texts))


class LoopClients:
    """An async client for each event loop, closed with its loop: its connections cannot outlive that."""

    def __init__(self, make: Callable[[], Any], close: Callable[[Any], Awaitable[object]]) -> None:
        self._make = make
        self._close = close
        self._clients: PerProcess[weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Any, Any]]] = PerProcess(
            _let_go
        )

    async def get(self) -> Any:
        """The running loop's client."""
        loop = asyncio.get_running_loop()
        clients = self._clients.get(weakref.WeakKeyDictionary)
        client, _ = clients.get(loop, (None, None))
        if client is None:
            client = self._make()
            holder = _held(client, self._close)
            await anext(holder)
            clients[loop] = (client, holder)
        return client


def _let_go(clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Any, Any]]) -> None:
    """Close the clients of loops that still run, before the garbage collector takes them with open connections."""
    for loop, (_, holder) in list(clients.items()):
        if loop.is_running():
            loop.call_soon_threadsafe(loop.create_task, holder.aclose())


async def _held(client: Any, close: Callable[[Any], Awaitable[object]]) -> AsyncGenerator[None, None]:
    """An event loop that ends closes the async generators that began in it."""
    try:
        yield
    finally:
        await close(client)
