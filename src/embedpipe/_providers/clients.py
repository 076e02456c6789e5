"""The clients of OpenAI's and Cohere's SDKs, bounded in bytes and time. `retry.py` retries for them: theirs is off."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Self

from embedpipe._checks import MOST_SECONDS, checked_number
from embedpipe._optional import require
from embedpipe._providers.http import async_client, client, openai_http_library
from embedpipe._providers.secret import Endpoint, Secret
from embedpipe.errors import ConfigurationError


class Connection:
    """Where a provider is reached, by which key and in which time. It shows no secret, and a pickle holds none."""

    def __init__(self, secret: Secret, endpoint: Endpoint, timeout_s: float) -> None:
        self.secret = secret
        self.endpoint = endpoint
        self.timeout_s = checked_number("timeout_s", timeout_s, above=0, most=MOST_SECONDS, error=ConfigurationError)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not stand in messages and logs: the key and the login."""
        return (*self.secret.values, *self.endpoint.values)

    @property
    def bare(self) -> Self:
        """The same without key and login, as a pickle has it."""
        return copy.copy(self)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"secret": self.secret.bare, "endpoint": self.endpoint.bare}


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service, as its clients reach it.

    Args:
        key_variable: The environment variable with its key.
        url_variable: The environment variable with another address.
        url: Its address. None for OpenAI's and Azure's own, which the SDK knows.
        needs_key: Whether it always takes a key. A server at an address of your own may take none.
        key_header: The header with the key. "Authorization" has it as a bearer's token.
        more_headers: Headers that each request has.
    """

    key_variable: str
    url_variable: str
    url: str | None = None
    needs_key: bool = True
    key_header: str = "Authorization"
    more_headers: tuple[tuple[str, str], ...] = ()

    def headers(self, key: str | None) -> dict[str, str]:
        """Return the headers of each request."""
        own = dict(self.more_headers)
        if key is None:
            return own
        return own | {self.key_header: f"Bearer {key}" if self.key_header == "Authorization" else key}


OPENAI = Service(key_variable="OPENAI_API_KEY", url_variable="OPENAI_BASE_URL")
AZURE = Service(key_variable="AZURE_OPENAI_API_KEY", url_variable="AZURE_OPENAI_ENDPOINT")


class OpenAIConnection(Connection):
    """A connection by OpenAI's SDK. `api_version` makes it Azure's, with `base_url` as the endpoint."""

    def __init__(
        self,
        *,
        api_key: str | None,
        base_url: str | None,
        timeout_s: float,
        api_version: str | None = None,
        service: Service = OPENAI,
    ) -> None:
        self.service = AZURE if api_version else service
        secret = Secret.of(api_key, variable=self.service.key_variable)
        super().__init__(secret, Endpoint(base_url, variable=self.service.url_variable), timeout_s)
        self.api_version = api_version

    @property
    def is_own(self) -> bool:
        """Whether this leads to OpenAI's or Azure's own service, and not to another server with its interface."""
        return bool(self.api_version) or self.endpoint.resolved()[0] is None

    def client(self, *, is_async: bool = False) -> Any:
        """Return a client for threads, or for the running event loop.

        Raises:
            AuthenticationError: If there is no key. A server of your own needs none.
        """
        import openai

        base_url, login = self.endpoint.resolved()
        keyless = not self.service.needs_key or (base_url and not self.api_version)
        settings = {
            "api_key": self.secret.reveal(default="none" if keyless else None),
            "timeout": self.timeout_s,
            "max_retries": 0,
            "http_client": (async_client if is_async else client)(openai_http_library(), login=login),
        }
        if not self.api_version:
            url = base_url or self.service.url
            return (openai.AsyncOpenAI if is_async else openai.OpenAI)(base_url=url, **settings)
        made: Any = openai.AsyncAzureOpenAI if is_async else openai.AzureOpenAI
        return made(azure_endpoint=base_url, api_version=self.api_version, **settings)

    @staticmethod
    def close(client: Any) -> None:
        """Close a client for threads."""
        client.close()

    @staticmethod
    async def aclose(client: Any) -> None:
        """Close a client for an event loop."""
        await client.close()


class CohereConnection(Connection):
    """A connection by Cohere's SDK."""

    def __init__(self, *, api_key: str | None, base_url: str | None, timeout_s: float) -> None:
        super().__init__(
            Secret.of(api_key, variable="CO_API_KEY"), Endpoint(base_url, variable="CO_API_URL"), timeout_s
        )

    def client(self, *, is_async: bool = False) -> Any:
        """Return a client for threads, or for the running event loop.

        Raises:
            AuthenticationError: If there is no key.
        """
        cohere = require("cohere", extra="cohere")
        base_url, login = self.endpoint.resolved()
        return (cohere.AsyncClientV2 if is_async else cohere.ClientV2)(
            self.secret.reveal(),
            base_url=base_url,
            timeout=self.timeout_s,
            max_retries=0,
            log_warning_experimental_features=False,
            httpx_client=(async_client if is_async else client)("httpx", login=login),
        )

    @staticmethod
    def close(client: Any) -> None:
        """Close a client for threads, which has no close of its own."""
        client._client_wrapper.httpx_client.httpx_client.close()  # noqa: SLF001

    @staticmethod
    async def aclose(client: Any) -> None:
        """Close a client for an event loop, which has no close of its own."""
        await client._client_wrapper.httpx_client.httpx_client.aclose()  # noqa: SLF001

    @staticmethod
    def failures() -> tuple[type[Exception], ...]:
        """Return what a client raises if a request fails. It lets its HTTP library's errors through."""
        api_error: type[Exception] = require("cohere.core.api_error", extra="cohere").ApiError
        http_error: type[Exception] = require("httpx", extra="cohere").HTTPError
        return api_error, http_error
