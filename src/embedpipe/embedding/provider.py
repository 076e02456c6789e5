"""What the backends behind a network share: errors in our words, and clients that live as long as their loop."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from embedpipe._forking import PerProcess
from embedpipe.embedding.secret import Secret
from embedpipe.errors import AuthenticationError, EmbeddingError, ProviderError, RateLimitError


def translated(
    error: Exception, *, status: int | None, reason: str, headers: Mapping[str, str], secret: Secret
) -> EmbeddingError:
    """A provider's error as ours; of a refused key not its own words, which quote a part of it."""
    reason = secret.redact(shown(reason))
    if status is None:
        cause = type(error.__cause__ or error).__name__
        return ProviderError(
            f"A reply from the embeddings provider was expected, and the request failed: {reason} ({cause}). "
            "Check the network and base_url."
        )
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
        f"Vectors were expected, and the embeddings provider answered with HTTP {status}: {reason}. Below 500 the "
        "request itself is refused: check its texts, the model's name and dimensions=.",
        status=status,
    )


def shown(value: object) -> str:
    """The value's beginning, for a message."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 120 else text[:117] + "..."


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that `retry-after-ms` or `retry-after` (a number or a date) ask for; None where neither does."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) / unit)
        except (KeyError, ValueError):
            continue
    try:
        return max(0.0, parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time())
    except (KeyError, ValueError):
        return None


class LoopClients:
    """An async client for each event loop, closed with its loop: its connections cannot outlive that."""

    def __init__(self, make: Callable[[], Any], close: Callable[[Any], Awaitable[object]]) -> None:
        self._make = make
        self._close = close
        self._clients: PerProcess[weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Any, Any]]] = PerProcess()

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


async def _held(client: Any, close: Callable[[Any], Awaitable[object]]) -> AsyncGenerator[None, None]:
    """An event loop that ends closes the async generators that began in it."""
    try:
        yield
    finally:
        await close(client)
