"""Services that take and give JSON, by the bounded HTTP client alone: an SDK for each would be more to install."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from embedpipe._providers.clients import Connection, Service
from embedpipe._providers.http import UnusableReplyError, async_client, client, openai_http_library
from embedpipe._providers.retry import SdkAttempts
from embedpipe._providers.secret import Endpoint, Secret, safe_cause
from embedpipe._providers.words import redirect, words
from embedpipe.errors import AuthenticationError, ConfigurationError, EmbedPipeError, GenerationError, RerankError

UNREADABLE = (ValueError, TypeError, AttributeError, LookupError, RecursionError)
"""What reading a reply raises if it is not in the form of the interface."""


class RefusedError(Exception):
    """A reply with a status that is none of success."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.headers = headers
        self.body = body


class JsonConnection(Connection):
    """A connection to a service that takes and gives JSON."""

    def __init__(self, service: Service, *, api_key: str | None, base_url: str | None, timeout_s: float) -> None:
        secret = Secret.of(api_key, variable=service.key_variable)
        super().__init__(secret, Endpoint(base_url, variable=service.url_variable), timeout_s)
        self.service = service

    def client(self, *, is_async: bool = False) -> Any:
        """Return a client for threads, or for the running event loop.

        Raises:
            AuthenticationError: If there is no key, and the service needs one.
        """
        base_url, login = self.endpoint.resolved()
        keyless = not self.service.needs_key or base_url is not None
        key = None if keyless and not self.secret.values else self.secret.reveal()
        made = (async_client if is_async else client)(openai_http_library(), login=login)
        made.base_url = base_url or self.service.url
        made.headers.update(self.service.headers(key))
        return made

    @staticmethod
    def close(client: Any) -> None:
        """Close a client for threads."""
        client.close()

    @staticmethod
    async def aclose(client: Any) -> None:
        """Close a client for an event loop."""
        await client.aclose()


def http_errors() -> tuple[type[Exception], type[Exception]]:
    """Return what the HTTP library raises: for any failure, and for a broken connection or a timeout."""
    library = importlib.import_module(openai_http_library())
    return library.HTTPError, library.TransportError


def as_json(reply: Any) -> Any:
    """Return the JSON of a reply that has been read.

    Raises:
        RefusedError: If its status is none of success.
        ValueError: If it is no JSON.
    """
    check_status(reply)
    return json.loads(reply.content)


def check_status(reply: Any) -> None:
    """Raise `RefusedError` if the status of a reply that has been read is none of success."""
    if not reply.is_success:
        raise RefusedError(reply.status_code, reply.headers, reply.content)


@contextmanager
def translated(
    model: str,
    connection: Connection,
    kind: type[RerankError] | type[GenerationError],
    attempts: SdkAttempts | None = None,
) -> Iterator[None]:
    """Turn what a request by a `JsonConnection` raises into `kind`, and note for `attempts` how the request failed."""
    secrets = connection.secrets
    http_error, transport_error = http_errors()
    try:
        yield
    except AuthenticationError as error:
        raise ConfigurationError(f"{model} needs a key. {error}") from None
    except EmbedPipeError:
        raise
    except RefusedError as error:
        if attempts is not None:
            attempts.note(error.status, error.headers)
        raise kind(f"{model}: {_refusal(error, connection)}", status=error.status) from safe_cause(error, secrets)
    except (http_error, UnusableReplyError) as error:
        if attempts is not None and isinstance(error, transport_error):
            attempts.note(None, {})
        said = words(str(error), secrets=secrets)
        raise kind(f"{model} did not answer: {said} ({type(error).__name__}). Check base_url.") from safe_cause(
            error, secrets
        )
    except UNREADABLE as error:
        raise kind(
            f"{model}: the reply is not in the form of the service's interface ({type(error).__name__}). "
            "Check base_url."
        ) from safe_cause(error, secrets)


def _refusal(error: RefusedError, connection: Connection) -> str:
    """Return what a refusal says. What it says of a refused key is left out, since it may quote it."""
    secrets, status = connection.secrets, error.status
    if (onward := redirect(status, error.headers, connection.endpoint.url, secrets=secrets)) is not None:
        return f"the service {onward}"
    if status == 401:
        return f"the service refused the key (HTTP 401). Check api_key= or {connection.secret.variable}."
    return f"the service answered with HTTP {status}: {words(error.body, secrets=secrets)}"
