"""Cohere's embedding models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from embedpipe._forking import PerProcess
from embedpipe._optional import require
from embedpipe._providers import (
    Allowance,
    Endpoint,
    Secret,
    UnusableReplyError,
    allowing,
    async_client,
    client,
    safe_cause,
    unusable,
)
from embedpipe.embedding import catalogue
from embedpipe.embedding.backend import EmbeddingResponse, Limits
from embedpipe.embedding.providers.remote import LoopClients, room, translated
from embedpipe.embedding.vectors import stack_rows
from embedpipe.errors import ConfigurationError, EmbeddingError, InvalidVectorsError
from embedpipe.types import Kind, ModelSpec, Vectors

_INPUT_TYPES: dict[Kind, str] = {"document": "search_document", "query": "search_query"}


class CohereModel:
    """A Cohere model; documents and queries are embedded as `search_document` and `search_query`.

    `api_key` is read from CO_API_KEY where it is not given. A model that the catalogue does not know is asked once
    for a vector to learn its dimension. `timeout_s`, redirects and a login in `base_url` are as with `OpenAIModel`.
    """

    provider = "cohere"

    def __init__(
        self,
        name: str = "embed-english-v3.0",
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        self._endpoint = Endpoint(base_url, variable="CO_API_URL")
        self._settings = (name, self._endpoint.url, timeout_s)
        self._name = name
        self._secret = Secret.of(api_key, variable="CO_API_KEY")
        self._sync: PerProcess[Any] = PerProcess(lambda client: _http(client).close())
        self._async = LoopClients(lambda: self._make("AsyncClientV2", async_client), _closed)

    @cached_property
    def spec(self) -> ModelSpec:
        """The published specification; of a model that is not published, what Cohere sent for a probe."""
        known = catalogue.find(self._name)
        if known and known.provider != "cohere":
            raise ConfigurationError(f"A model of Cohere was expected, and {self._name} is of {known.provider}.")
        if known:
            spec = known.spec
        else:
            spec = ModelSpec(name=self._name, dimensions=self.fetch(["dimension"], "document").vectors.shape[1])
        return replace(spec, query_prompt=_INPUT_TYPES["query"], document_prompt=_INPUT_TYPES["document"])

    @property
    def limits(self) -> Limits:
        """Cohere's bound of a request: 96 texts."""
        return Limits(batch_items=96, batch_tokens=None)

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        """(n, d) float32, one row for each text, in order."""
        return self.fetch(texts, kind).vectors

    def fetch(self, texts: Sequence[str], kind: Kind) -> EmbeddingResponse:
        """One request."""
        made = self._sync.get(lambda: self._make("ClientV2", client))
        try:
            with allowing(self._allowance(texts)):
                return _reply(made.embed(**self._request(texts, kind)), len(texts), self._known_dimensions)
        except _errors() as error:
            raise self._translated(error) from safe_cause(error, self._secrets)

    async def afetch(self, texts: Sequence[str], kind: Kind) -> EmbeddingResponse:
        """One request, as `fetch`."""
        client = await self._async.get()
        try:
            with allowing(self._allowance(texts)):
                return _reply(await client.embed(**self._request(texts, kind)), len(texts), self._known_dimensions)
        except _errors() as error:
            raise self._translated(error) from safe_cause(error, self._secrets)

    def _allowance(self, texts: Sequence[str]) -> Allowance:
        return Allowance(self._settings[2], room(texts, self._known_dimensions))

    @property
    def _known_dimensions(self) -> int | None:
        known = catalogue.find(self._name)
        return known.dimensions if known else None

    @property
    def _secrets(self) -> tuple[str, ...]:
        return (*self._secret.values, *self._endpoint.values)

    def _request(self, texts: Sequence[str], kind: Kind) -> dict[str, Any]:
        return {
            "model": self._name,
            "texts": list(texts),
            "input_type": _INPUT_TYPES[kind],
            "embedding_types": ["float"],
            "truncate": "NONE",
        }

    def _translated(self, error: Exception) -> EmbeddingError:
        status = getattr(error, "status_code", None)
        unread = not isinstance(error, _answered()) or (status is not None and status < 300)
        if unread and unusable(error) is None:  # its client could not read the reply
            return InvalidVectorsError(
                f"The reply is not what Cohere's embeddings interface sends ({type(error).__name__}). Check base_url."
            )
        return translated(
            error,
            status=status,
            body=getattr(error, "body", None) or str(error),
            headers=getattr(error, "headers", None) or {},
            secret=self._secret,
            endpoint=self._endpoint,
        )

    def _make(self, name: str, bounded: Callable[..., Any]) -> Any:
        base_url, login = self._endpoint.resolved()
        return getattr(require("cohere", extra="cohere"), name)(
            self._secret.reveal(),
            base_url=base_url,
            timeout=self._settings[2],
            max_retries=0,
            log_warning_experimental_features=False,
            httpx_client=bounded("httpx", login=login),
        )

    def __repr__(self) -> str:
        return f"CohereModel({self._name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, self._settings


def _rebuild(name: str, base_url: str | None, timeout_s: float) -> CohereModel:
    return CohereModel(name, base_url=base_url, timeout_s=timeout_s)


def _reply(response: Any, expected: int, dimensions: int | None) -> EmbeddingResponse:
    rows = response.embeddings.float_
    if not isinstance(rows, list) or len(rows) != expected:
        raise InvalidVectorsError(
            f"Cohere's reply has {len(rows) if isinstance(rows, list) else 'no'} vectors for {expected} texts. "
            "Send the request again; report it to the provider if it stays."
        )
    return EmbeddingResponse(vectors=stack_rows(rows, dimensions))


def _answered() -> tuple[type[Exception], ...]:
    """What Cohere's client raises where a request fails; it lets its HTTP library's errors through."""
    error: type[Exception] = require("cohere.core.api_error", extra="cohere").ApiError
    broken: type[Exception] = require("httpx", extra="cohere").HTTPError
    return error, broken


def _errors() -> tuple[type[Exception], ...]:
    """What `_answered` says, and what its client meets in a reply that is not one."""
    return (*_answered(), UnusableReplyError, ValueError, TypeError, AttributeError, KeyError, RecursionError)


async def _closed(client: Any) -> None:
    await _http(client).aclose()


def _http(client: Any) -> Any:
    return client._client_wrapper.httpx_client.httpx_client  # noqa: SLF001 - Cohere's client has no close of its own
