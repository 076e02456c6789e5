"""OpenAI's embeddings interface, Azure's, and any server that speaks it."""

from __future__ import annotations

import base64
import binascii
import importlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, cached_property
from typing import Any

import numpy as np

from embedpipe._forking import PerProcess
from embedpipe._providers import (
    Allowance,
    Endpoint,
    Secret,
    UnusableReplyError,
    allowing,
    async_client,
    client,
    openai_http_library,
    safe_cause,
    shown,
)
from embedpipe.embedding import catalogue
from embedpipe.embedding.backend import EmbeddingResponse, Limits
from embedpipe.embedding.providers.remote import LoopClients, room, translated
from embedpipe.embedding.vectors import stack_rows
from embedpipe.errors import ConfigurationError, EmbeddingError, InvalidVectorsError
from embedpipe.text import EstimatedCounter, TokenCounter, encoding_name, token_counter
from embedpipe.types import Kind, ModelSpec, Vectors


class OpenAIModel:
    """An embedding model behind OpenAI's interface.

    `api_key` is read from OPENAI_API_KEY (with `api_version`, AZURE_OPENAI_API_KEY) where it is not given. `base_url`
    is any compatible server, which may need no key. `api_version` makes it Azure's, with `base_url` as the endpoint
    and the name as the deployment. `dimensions` asks the provider for shorter vectors. A model that the catalogue
    does not know is asked once for a vector to learn its dimension. `timeout_s` is for a whole request, from connecting
    to the last byte of the reply.

    A redirect to another origin is an error, so that neither key nor texts get there. A user name and password in
    `base_url` go with each request and into no pickle, as the key.
    """

    provider = "openai"

    def __init__(
        self,
        name: str = "text-embedding-3-small",
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        dimensions: int | None = None,
        api_version: str | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        variable = "AZURE_OPENAI_API_KEY" if api_version else "OPENAI_API_KEY"
        self._endpoint = Endpoint(base_url, variable="AZURE_OPENAI_ENDPOINT" if api_version else "OPENAI_BASE_URL")
        self._settings = (name, self._endpoint.url, dimensions, api_version, timeout_s)
        self._name = name
        self._secret = Secret.of(api_key, variable=variable)
        self._known = catalogue.find(name)
        if dimensions is not None:
            _check_dimensions(dimensions, self._known, name)
        self._dimensions = dimensions
        self._sync: PerProcess[Any] = PerProcess(lambda client: client.close())
        self._async = LoopClients(self._make_async, lambda client: client.close())

    @cached_property
    def spec(self) -> ModelSpec:
        """The published specification; of a model that is not published, what the provider sent for a probe."""
        if self._known:
            published = self._known.spec
            size = self._dimensions or published.dimensions
            return replace(published, dimensions=size)
        if self._dimensions:
            return ModelSpec(name=self._name, dimensions=self._dimensions)
        probe = self.fetch(["dimension"], "document").vectors[0]
        unit = bool(abs(float(np.linalg.norm(probe)) - 1.0) < 1e-3)
        return ModelSpec(name=self._name, dimensions=len(probe), normalized=unit)

    @cached_property
    def counter(self) -> TokenCounter:
        """tiktoken's for OpenAI's own models, an estimate for a compatible server's."""
        return token_counter(self._name) if encoding_name(self._name) else EstimatedCounter(self._name)

    @property
    def special_tokens(self) -> int:
        return 0

    @property
    def limits(self) -> Limits:
        """The interface's bounds of a request: 2,048 inputs and 300,000 tokens."""
        return Limits()

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        """(n, d) float32, one row for each text, in order."""
        return self.fetch(texts, kind).vectors

    def fetch(self, texts: Sequence[str], kind: Kind) -> EmbeddingResponse:
        """One request. `kind` is not used: the models embed documents and queries alike."""
        made = self._sync.get(self._make_sync)
        try:
            with allowing(self._allowance(texts)):
                raw = made.post("/embeddings", body=self._request(texts), cast_to=_raw_reply())
        except (_api_error(), UnusableReplyError) as error:
            raise self._translated(error) from safe_cause(error, self._secrets)
        return self._reply(raw, len(texts))

    async def afetch(self, texts: Sequence[str], kind: Kind) -> EmbeddingResponse:
        """One request, as `fetch`."""
        client = await self._async.get()
        try:
            with allowing(self._allowance(texts)):
                raw = await client.post("/embeddings", body=self._request(texts), cast_to=_raw_reply())
        except (_api_error(), UnusableReplyError) as error:
            raise self._translated(error) from safe_cause(error, self._secrets)
        return self._reply(raw, len(texts))

    def _allowance(self, texts: Sequence[str]) -> Allowance:
        return Allowance(self._settings[4], room(texts, self._expected_dimensions))

    @property
    def _expected_dimensions(self) -> int | None:
        """The dimension, where it is known without asking the provider."""
        return self._dimensions or (self._known.dimensions if self._known else None)

    def _reply(self, raw: Any, expected: int) -> EmbeddingResponse:
        vectors = _vectors(raw.content, expected, self._expected_dimensions)
        return EmbeddingResponse(vectors=vectors, headers={name.lower(): value for name, value in raw.headers.items()})

    def _request(self, texts: Sequence[str]) -> dict[str, Any]:
        request: dict[str, Any] = {"model": self._name, "input": list(texts), "encoding_format": "base64"}
        if self._dimensions:
            request["dimensions"] = self._dimensions
        return request

    def _make_sync(self) -> Any:
        import openai

        azure = self._settings[3] is not None
        return (openai.AzureOpenAI if azure else openai.OpenAI)(**self._client_settings(client))

    def _make_async(self) -> Any:
        import openai

        azure = self._settings[3] is not None
        return (openai.AsyncAzureOpenAI if azure else openai.AsyncOpenAI)(**self._client_settings(async_client))

    def _client_settings(self, bounded: Callable[..., Any]) -> dict[str, Any]:
        *_, api_version, timeout_s = self._settings
        base_url, login = self._endpoint.resolved()
        key = self._secret.reveal(default="none" if base_url and not api_version else None)
        settings: dict[str, Any] = {"api_key": key, "timeout": timeout_s, "max_retries": 0}
        settings["http_client"] = bounded(openai_http_library(), login=login)
        if api_version:
            return settings | {"azure_endpoint": base_url, "api_version": api_version}
        return settings | {"base_url": base_url}

    @property
    def _secrets(self) -> tuple[str, ...]:
        return (*self._secret.values, *self._endpoint.values)

    def _translated(self, error: Any) -> EmbeddingError:
        response = getattr(error, "response", None)
        return translated(
            error,
            status=getattr(error, "status_code", None),
            body=response.content if response is not None else str(error),
            headers=response.headers if response is not None else {},
            secret=self._secret,
            endpoint=self._endpoint,
        )

    def __repr__(self) -> str:
        return f"OpenAIModel({self._name!r}, dimensions={self._dimensions})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, self._settings


def _rebuild(
    name: str, base_url: str | None, dimensions: int | None, api_version: str | None, timeout_s: float
) -> OpenAIModel:
    return OpenAIModel(name, base_url=base_url, dimensions=dimensions, api_version=api_version, timeout_s=timeout_s)


def _check_dimensions(dimensions: int, known: catalogue.CatalogueModel | None, name: str) -> None:
    longest = known.dimensions if known else dimensions
    if known and known.min_dimensions is None and dimensions != longest:
        raise ConfigurationError(
            f"{name} has {longest} dimensions and cannot be shortened, and dimensions={dimensions} was given. "
            "Leave dimensions out, or take text-embedding-3-small or -large."
        )
    if not 1 <= dimensions <= longest:
        raise ConfigurationError(
            f"dimensions= was expected between 1 and {longest} for {name}, and {dimensions} came. Choose a size within."
        )


def _api_error() -> type[Exception]:
    import openai

    return openai.APIError


@cache
def _raw_reply() -> type[Any]:
    """The reply's class in the HTTP library that this version of the client stands on.

    The client's `embeddings.create` would look at each text for what it might convert, which takes longer than the rest
    of a request.
    """
    reply: type[Any] = importlib.import_module(openai_http_library()).Response
    return reply


def _vectors(body: bytes, expected: int, dimensions: int | None) -> Vectors:
    """Return the reply's vectors in the input's order; a row of NaN for a text that got none, or none that is one."""
    try:
        data = json.loads(body)["data"]
        indices = [_index(item, position) for position, item in enumerate(data)]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidVectorsError(
            f"The provider's reply is no JSON object with 'data' of {expected} embeddings: it begins with "
            f"{shown(body[:200].decode(errors='replace'))}. Check that base_url leads to an embeddings interface."
        ) from (None if isinstance(error, RecursionError) else error)
    complete = len(data) == expected or all("index" in item for item in data)
    if not complete or len(set(indices)) < len(indices) or not set(indices) <= set(range(expected)):
        raise InvalidVectorsError(
            f"The provider's reply has {len(indices)} vectors for {expected} texts, with the indices "
            f"{shown(indices)}. Send the request again; report it to the provider if it stays."
        )
    rows: list[object] = [None] * expected
    for index, item in zip(indices, data, strict=True):
        rows[index] = _row(item.get("embedding"))
    return stack_rows(rows, dimensions)


def _index(item: Any, position: int) -> int:
    """The item's index; its position where it states none, as some servers do for all and others for the first."""
    index = item.get("index") if isinstance(item, dict) else None
    if index is None and isinstance(item, dict):
        return position
    if type(index) is not int:
        raise TypeError(index)
    return index


def _row(embedding: object) -> object:
    if not isinstance(embedding, str):
        return embedding
    try:
        return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4")
    except (binascii.Error, ValueError):
        return None
