"""OpenAI's embeddings interface, Azure's, and any server that speaks it."""

from __future__ import annotations

import base64
import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, cached_property
from typing import Any

import numpy as np

from embedpipe._forking import PerProcess
from embedpipe.embedding import catalogue
from embedpipe.embedding.backend import Limits, Reply
from embedpipe.embedding.provider import LoopClients, shown, translated
from embedpipe.embedding.secret import Secret
from embedpipe.errors import ConfigurationError, EmbeddingError, InvalidVectorsError
from embedpipe.text.tokens import EstimatedCounter, TokenCounter, encoding_name, token_counter
from embedpipe.types import Kind, ModelSpec, Vectors


class OpenAIModel:
    """An embedding model behind OpenAI's interface.

    `api_key` is read from OPENAI_API_KEY (with `api_version`, AZURE_OPENAI_API_KEY) where it is not given. `base_url`
    is any compatible server, which may need no key. `api_version` makes it Azure's, with `base_url` as the endpoint
    and the name as the deployment. `dimensions` asks the provider for shorter vectors. A model that the catalogue
    does not know is asked once for a vector to learn its dimension.
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
        self._settings = (name, base_url, dimensions, api_version, timeout_s)
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

    def fetch(self, texts: Sequence[str], kind: Kind) -> Reply:
        """One request. `kind` is not used: the models embed documents and queries alike."""
        client = self._sync.get(self._make_sync)
        try:
            raw = client.post("/embeddings", body=self._request(texts), cast_to=_raw_reply())
        except _api_error() as error:
            raise _translated(error, self._secret) from self._secret.safe(error)
        return Reply(vectors=_vectors(raw.content, len(texts)), headers=_headers(raw.headers))

    async def afetch(self, texts: Sequence[str], kind: Kind) -> Reply:
        """One request, as `fetch`."""
        client = await self._async.get()
        try:
            raw = await client.post("/embeddings", body=self._request(texts), cast_to=_raw_reply())
        except _api_error() as error:
            raise _translated(error, self._secret) from self._secret.safe(error)
        return Reply(vectors=_vectors(raw.content, len(texts)), headers=_headers(raw.headers))

    def _request(self, texts: Sequence[str]) -> dict[str, Any]:
        request: dict[str, Any] = {"model": self._name, "input": list(texts), "encoding_format": "base64"}
        if self._dimensions:
            request["dimensions"] = self._dimensions
        return request

    def _make_sync(self) -> Any:
        import openai

        azure = self._settings[3] is not None
        return (openai.AzureOpenAI if azure else openai.OpenAI)(**self._client_settings())

    def _make_async(self) -> Any:
        import openai

        azure = self._settings[3] is not None
        return (openai.AsyncAzureOpenAI if azure else openai.AsyncOpenAI)(**self._client_settings())

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
    import openai

    library = openai.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0]
    reply: type[Any] = importlib.import_module(library).Response
    return reply


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
            f"A JSON object with 'data' of {expected} embeddings was expected from the provider, and {shown(body)} "
            "came. Check that base_url leads to an embeddings interface, and send the request again."
        ) from error
    if [index for index, _ in rows] != list(range(expected)):
        raise InvalidVectorsError(
            f"Vectors for the {expected} inputs were expected, one each, and the reply has {len(rows)} with the "
            f"indices {shown([index for index, _ in rows])}. Send the request again; report it to the provider if "
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


def _translated(error: Any, secret: Secret) -> EmbeddingError:
    body = error.body if isinstance(error.body, dict) else {}
    response = getattr(error, "response", None)
    return translated(
        error,
        status=getattr(error, "status_code", None),
        reason=str(body.get("message") or error.message),
        headers=response.headers if response is not None else {},
        secret=secret,
    )
