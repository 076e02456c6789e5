"""Cohere's embedding models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from embedpipe._forking import PerProcess
from embedpipe._optional import require
from embedpipe.embedding import catalogue
from embedpipe.embedding.backend import Limits, Reply
from embedpipe.embedding.provider import LoopClients, translated
from embedpipe.embedding.secret import Secret
from embedpipe.errors import ConfigurationError, EmbeddingError
from embedpipe.types import Kind, ModelSpec, Vectors

_INPUT_TYPES: dict[Kind, str] = {"document": "search_document", "query": "search_query"}


class CohereModel:
    """A Cohere model; documents and queries are embedded as `search_document` and `search_query`.

    `api_key` is read from CO_API_KEY where it is not given. A model that the catalogue does not know is asked once
    for a vector to learn its dimension.
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
        self._settings = (name, base_url, timeout_s)
        self._name = name
        self._secret = Secret.of(api_key, variable="CO_API_KEY")
        self._sync: PerProcess[Any] = PerProcess(lambda client: _http(client).close())
        self._async = LoopClients(lambda: self._make("AsyncClientV2"), _closed)

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

    def fetch(self, texts: Sequence[str], kind: Kind) -> Reply:
        """One request."""
        client = self._sync.get(lambda: self._make("ClientV2"))
        try:
            return _reply(client.embed(**self._request(texts, kind)))
        except _errors() as error:
            raise self._translated(error) from self._secret.safe(error)

    async def afetch(self, texts: Sequence[str], kind: Kind) -> Reply:
        """One request, as `fetch`."""
        client = await self._async.get()
        try:
            return _reply(await client.embed(**self._request(texts, kind)))
        except _errors() as error:
            raise self._translated(error) from self._secret.safe(error)

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
        reason = getattr(error, "body", None) or error
        headers = getattr(error, "headers", None) or {}
        return translated(error, status=status, reason=str(reason), headers=headers, secret=self._secret)

    def _make(self, client: str) -> Any:
        _, base_url, timeout_s = self._settings
        key = self._secret.reveal()
        return getattr(require("cohere", extra="cohere"), client)(
            key, base_url=base_url, timeout=timeout_s, max_retries=0, log_warning_experimental_features=False
        )

    def __repr__(self) -> str:
        return f"CohereModel({self._name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, self._settings


def _rebuild(name: str, base_url: str | None, timeout_s: float) -> CohereModel:
    return CohereModel(name, base_url=base_url, timeout_s=timeout_s)


def _reply(response: Any) -> Reply:
    return Reply(vectors=np.array(response.embeddings.float_, dtype=np.float32, ndmin=2))


def _errors() -> tuple[type[Exception], ...]:
    """Cohere's client lets its HTTP library's errors through."""
    error: type[Exception] = require("cohere.core.api_error", extra="cohere").ApiError
    broken: type[Exception] = require("httpx", extra="cohere").HTTPError
    return error, broken


async def _closed(client: Any) -> None:
    await _http(client).aclose()


def _http(client: Any) -> Any:
    return client._client_wrapper.httpx_client.httpx_client  # noqa: SLF001 - Cohere's client has no close of its own
