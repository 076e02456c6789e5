"""OpenAI's embeddings interface, Azure's, and any server that speaks it."""

from __future__ import annotations

import asyncio
import base64
import json
import weakref
from collections.abc import AsyncGenerator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from embedpipe.embedding import catalogue
from embedpipe.embedding.backend import Limits, Reply
from embedpipe.embedding.secret import Secret
from embedpipe.errors import (
    AuthenticationError,
    ConfigurationError,
    EmbeddingError,
    InvalidVectorsError,
    ProviderError,
    RateLimitError,
)
from embedpipe.text.tokens import TokenCounter, token_counter
from embedpipe.types import Kind, ModelSpec, Vectors


class OpenAIModel:
    """An embedding model behind OpenAI's interface.

    `api_key` is read from OPENAI_API_KEY (with `api_version`, AZURE_OPENAI_API_KEY) where it is not given. `base_url`
    is any compatible server, which may need no key. `api_version` makes it Azure's, with `base_url` as the endpoint
    and the name as the deployment. `dimensions` asks the provider for shorter vectors. A model that the catalogue
    does not know is asked once for a vector to learn its dimension.
    """

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
        self._settings = (name, base_url, dimensions, api_version, timeout_s)
        self._name = name
        self._secret = Secret.of(api_key, variable=variable)
        self._known = catalogue.find(name)
        if dimensions is not None:
            _check_dimensions(dimensions, self._known, name)
        self._dimensions = dimensions
        self._sync: Any = None
        self._async: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = weakref.WeakKeyDictionary()

    @cached_property
    def spec(self) -> ModelSpec:
        """The published specification; of a model that is not published, what the provider sent for a probe."""
        if self._known:
            published = self._known.spec
            size = self._dimensions or published.dimensions
            return ModelSpec(name=published.name, dimensions=size, max_tokens=published.max_tokens)
        if self._dimensions:
            return ModelSpec(name=self._name, dimensions=self._dimensions)
        probe = self.fetch(["dimension"], "document").vectors[0]
        unit = bool(abs(float(np.linalg.norm(probe)) - 1.0) < 1e-3)
        return ModelSpec(name=self._name, dimensions=len(probe), normalized=unit)

    @cached_property
    def counter(self) -> TokenCounter:
        return token_counter(self._name)

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

    def fetch(self, texts: Sequence[str], kind: Kind) -> Reply:
        """One request. `kind` is not used: the models embed documents and queries alike."""
        client = self._client()
        try:
            raw = client.embeddings.with_raw_response.create(**self._request(texts))
        except _api_error() as error:
            raise _translated(error, self._secret) from self._secret.safe(error)
        return Reply(vectors=_vectors(raw.content, len(texts)), headers=_headers(raw.headers))

    async def afetch(self, texts: Sequence[str], kind: Kind) -> Reply:
        """One request, as `fetch`."""
        client = await self._async_client()
        try:
            raw = await client.embeddings.with_raw_response.create(**self._request(texts))
        except _api_error() as error:
            raise _translated(error, self._secret) from self._secret.safe(error)
        return Reply(vectors=_vectors(raw.content, len(texts)), headers=_headers(raw.headers))

    def _request(self, texts: Sequence[str]) -> dict[str, Any]:
        request: dict[str, Any] = {"model": self._name, "input": list(texts), "encoding_format": "base64"}
        if self._dimensions:
            request["dimensions"] = self._dimensions
        return request

    def _client(self) -> Any:
        import openai

        if self._sync is None:
            azure = self._settings[3] is not None
            client = (openai.AzureOpenAI if azure else openai.OpenAI)(**self._client_settings())
            weakref.finalize(self, client.close)
            self._sync = client
        return self._sync

    async def _async_client(self) -> Any:
        """One client for each event loop, whose connections live and die with the loop."""
        import openai

        loop = asyncio.get_running_loop()
        client, _ = self._async.get(loop, (None, None))
        if client is None:
            azure = self._settings[3] is not None
            client = (openai.AsyncAzureOpenAI if azure else openai.AsyncOpenAI)(**self._client_settings())
            holder = _held(client)
            await anext(holder)
            self._async[loop] = (client, holder)
        return client

    def _client_settings(self) -> dict[str, Any]:
        _, base_url, _, api_version, timeout_s = self._settings
        key = self._secret.reveal(default="none" if base_url and not api_version else None)
        settings: dict[str, Any] = {"api_key": key, "timeout": timeout_s, "max_retries": 0}
        if api_version:
            return settings | {"azure_endpoint": base_url, "api_version": api_version}
        return settings | {"base_url": base_url}

    def __repr__(self) -> str:
        return f"OpenAIModel({self._name!r}, dimensions={self._dimensions})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, self._settings


async def _held(client: Any) -> AsyncGenerator[None, None]:
    """Closes the client with its loop: an event loop that ends closes the async generators that began in it."""
    try:
        yield
    finally:
        await client.close()


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


def _headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _vectors(body: bytes, expected: int) -> Vectors:
    """The reply's vectors, put in the input's order by `index`."""
    try:
        data = json.loads(body)["data"]
        rows = sorted(((item["index"], item["embedding"]) for item in data), key=lambda row: row[0])
        vectors = [_vector(embedding) for _, embedding in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidVectorsError(
            f"A JSON object with 'data' of {expected} embeddings was expected from the provider, and {_shown(body)} "
            "came. Check that base_url leads to an embeddings interface, and send the request again."
        ) from error
    if [index for index, _ in rows] != list(range(expected)):
        raise InvalidVectorsError(
            f"Vectors for the {expected} inputs were expected, one each, and the reply has {len(rows)} with the "
            f"indices {_shown([index for index, _ in rows])}. Send the request again; report it to the provider if "
            f"it stays."
        )
    if len({len(vector) for vector in vectors}) > 1:
        raise InvalidVectorsError(
            "Vectors of one dimension were expected, and the reply mixes several. Report it to the provider."
        )
    return np.stack(vectors)


def _vector(embedding: str | list[float]) -> Vectors:
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding), dtype="<f4")
    return np.asarray(embedding, dtype=np.float32)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _translated(error: Any, secret: Secret) -> EmbeddingError:
    """The provider's error as ours; of a refused key not its own words, which quote a part of it."""
    status = getattr(error, "status_code", None)
    if status is None:
        return ProviderError(
            f"A reply from the embeddings provider was expected, and the request failed: {secret.redact(str(error))} "
            f"({type(error.__cause__).__name__}). "
            "Check the network and base_url."
        )
    if status in (401, 403):
        return AuthenticationError(
            f"The embeddings provider refused the key (HTTP {status}). Check api_key= or its environment variable, "
            "and that the key may use this model."
        )
    message = f"{secret.redact(_reason(error))} (HTTP {status})"
    if status == 429:
        return RateLimitError(
            f"The embeddings provider's rate limit holds: {message}. Lower Limits(requests_per_minute=, "
            "tokens_per_minute=) or wait.",
            retry_after=retry_after(_headers(error.response.headers)),
        )
    return ProviderError(f"The embeddings provider refused or failed: {message}.", status=status)


def _reason(error: Any) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    return _shown(body.get("message") or error.message)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that `retry-after-ms` or `retry-after` ask for; None where neither states a number."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) / unit)
        except (KeyError, ValueError):
            continue
    return None
