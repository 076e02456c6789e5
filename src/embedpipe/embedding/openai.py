"""The provider "openai": OpenAI's embeddings interface, Azure's, and any server that speaks it."""

from __future__ import annotations

import base64
import binascii
import importlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import cache, cached_property
from typing import Any

import numpy as np

from embedpipe._providers import OpenAIConnection, openai_http_library, shown
from embedpipe.embedding import catalogue
from embedpipe.embedding.backend import EmbeddingResponse, Limits
from embedpipe.embedding.providers.remote import ProviderModel
from embedpipe.embedding.roles import ExtraBody, checked_extra_body, checked_prompts, with_roles
from embedpipe.embedding.vectors import stack_rows
from embedpipe.errors import ConfigurationError, EmbeddingError, InvalidVectorsError, ProviderError
from embedpipe.text import EstimatedCounter, TokenCounter, encoding_name, token_counter
from embedpipe.types import Kind, ModelSpec, Vectors

_BASE64_REFUSALS = frozenset({400, 415, 422, 500, 501})
_MAX_ASKED = 2
_NUMBERS_ALONE: ContextVar[bool] = ContextVar("numbers_alone", default=False)
"""Whether the request under way asks for numbers, whatever the server has answered before."""


class OpenAIModel(ProviderModel):
    """An embedding model behind OpenAI's interface.

    A model that the catalogue does not know is asked once for a vector, to learn its dimension. A redirect to another
    origin is an error, so that neither key nor texts get there. A user name and password in `base_url` are sent with
    each request. They are in no pickle, and neither is the key.

    Args:
        name: The model's name; with `api_version`, the name of the deployment.
        api_key: By default it is read from OPENAI_API_KEY, or with `api_version` from AZURE_OPENAI_API_KEY. A server of
            your own may need none.
        base_url: A server with this interface; with `api_version`, the endpoint. By default OPENAI_BASE_URL, or
            AZURE_OPENAI_ENDPOINT, else OpenAI's own.
        dimensions: Ask the provider for vectors of this dimension.
        api_version: The version of Azure's interface, which makes this a model on Azure.
        timeout_s: Seconds for a whole request, from connecting to the last byte of the reply.
        query_prompt: Put before each question. By default the prompt that the catalogue has for the model. Pass "" for
            a server that puts it there itself.
        document_prompt: As `query_prompt`, for documents.
        extra_body: More fields for the request, by what is embedded, such as
            `{"query": {"input_type": "query"}, "document": {"input_type": "passage"}}`.

    Raises:
        ConfigurationError: If a published model has no vectors of `dimensions`, or if `extra_body` replaces a field of
            the request.
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
        query_prompt: str | None = None,
        document_prompt: str | None = None,
        extra_body: ExtraBody | None = None,
    ) -> None:
        self._known = catalogue.find(name)
        if dimensions is not None:
            _check_dimensions(dimensions, self._known, name)
        self._dimensions = dimensions
        self._extra = checked_extra_body(extra_body)
        self._prompts = checked_prompts(query_prompt=query_prompt, document_prompt=document_prompt)
        self._settings = {
            "dimensions": dimensions,
            "api_version": api_version,
            "timeout_s": timeout_s,
            "query_prompt": query_prompt,
            "document_prompt": document_prompt,
            "extra_body": extra_body,
        }
        self._service = OpenAIConnection(
            api_key=api_key, base_url=base_url, timeout_s=timeout_s, api_version=api_version
        )
        super().__init__(name, self._service)
        self._takes_base64: bool | None = None  # nothing was answered yet
        self._asked_for_numbers = 0

    @cached_property
    def spec(self) -> ModelSpec:
        """The published specification; for a model that is not published, what the provider sent for a probe."""
        return with_roles(self._bare_spec(), self._prompts, self._extra)

    def _bare_spec(self) -> ModelSpec:
        if self._known:
            published = self._known.spec
            return replace(published, dimensions=self._dimensions or published.dimensions)
        if self._dimensions:
            return ModelSpec(name=self._name, dimensions=self._dimensions)
        probe = self.fetch(["dimension"], "document").vectors[0]
        unit = bool(abs(float(np.linalg.norm(probe)) - 1.0) < 1e-3)
        return ModelSpec(name=self._name, dimensions=len(probe), normalized=unit)

    @cached_property
    def counter(self) -> TokenCounter:
        """tiktoken's counter for OpenAI's own models, an estimate for a compatible server's."""
        return token_counter(self._name) if encoding_name(self._name) else EstimatedCounter(self._name)

    @property
    def special_tokens(self) -> int:
        return 0

    @property
    def limits(self) -> Limits:
        """The interface's limits for a request: 2,048 inputs and 300,000 tokens."""
        return Limits()

    @property
    def _known_dimensions(self) -> int | None:
        return self._dimensions or (self._known.dimensions if self._known else None)

    def fetch(self, texts: Sequence[str], kind: Kind) -> EmbeddingResponse:
        """Do the same as `ProviderModel.fetch`. A server that may not know base64 is asked once more for numbers."""
        try:
            return self._understood(super().fetch(texts, kind), base64=True)
        except (ProviderError, InvalidVectorsError) as error:
            if not self._may_refuse_base64(error):
                raise
        with _asking_for_numbers():
            return self._understood(super().fetch(texts, kind), base64=False)

    async def afetch(self, texts: Sequence[str], kind: Kind) -> EmbeddingResponse:
        """As `fetch`."""
        try:
            return self._understood(await super().afetch(texts, kind), base64=True)
        except (ProviderError, InvalidVectorsError) as error:
            if not self._may_refuse_base64(error):
                raise
        with _asking_for_numbers():
            return self._understood(await super().afetch(texts, kind), base64=False)

    def _understood(self, response: EmbeddingResponse, *, base64: bool) -> EmbeddingResponse:
        """Remember in which form the server sends vectors."""
        if self._takes_base64 is None:
            self._takes_base64 = base64
        return response

    def _may_refuse_base64(self, error: EmbeddingError) -> bool:
        """Return whether this may be the failure of a server that does not know base64. OpenAI's own and Azure's do.

        A server that has answered knows it. One that fails otherwise is asked for numbers only a few times.
        """
        if self._takes_base64 is not None or self._asked_for_numbers == _MAX_ASKED or self._service.is_own:
            return False
        if not isinstance(error, InvalidVectorsError) and getattr(error, "status", None) not in _BASE64_REFUSALS:
            return False
        self._asked_for_numbers += 1
        return True

    def _call(self, client: Any, texts: Sequence[str], kind: Kind) -> Any:
        """Call the SDK with the texts, each behind the prompt of its kind."""
        prompt = self._prompt(kind)
        body: dict[str, Any] = {"model": self._name, "input": [prompt + text for text in texts] if prompt else [*texts]}
        body["encoding_format"] = "float" if self._takes_base64 is False or _NUMBERS_ALONE.get() else "base64"
        if self._dimensions:
            body["dimensions"] = self._dimensions
        return client.post("/embeddings", body={**body, **self._fields(kind)}, cast_to=_raw_reply())

    def _prompt(self, kind: Kind) -> str:
        """Return what is put before each text of this kind."""
        given = self._prompts.get(kind)
        published = self._known.prompts[kind] if self._known else ""
        return published if given is None else given

    def _fields(self, kind: Kind) -> Mapping[str, Any]:
        """Return the further fields of a request for texts of this kind."""
        return self._extra.get(kind, {})

    def _read(self, reply: Any, expected: int) -> EmbeddingResponse:
        vectors = _vectors(reply.content, expected, self._known_dimensions)
        return EmbeddingResponse(
            vectors=vectors, headers={name.lower(): value for name, value in reply.headers.items()}
        )

    def _sdk_errors(self) -> tuple[type[Exception], ...]:
        import openai

        return (openai.APIError,)

    def _translated(self, error: Exception) -> EmbeddingError:
        response = getattr(error, "response", None)
        return self._provider_error(
            error,
            status=getattr(error, "status_code", None),
            body=response.content if response is not None else str(error),
            headers=response.headers if response is not None else {},
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name!r}, dimensions={self._dimensions})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self._name, self._connection.endpoint.url, self._settings)


@contextmanager
def _asking_for_numbers() -> Iterator[None]:
    token = _NUMBERS_ALONE.set(True)
    try:
        yield
    finally:
        _NUMBERS_ALONE.reset(token)


class EmbedPipeServerModel(OpenAIModel):
    """A model behind `embedpipe serve`, which knows the model's prompts: it is told what each text is.

    The arguments are those of `OpenAIModel`. The fingerprint is that of the same model on this machine.
    """

    provider = "embedpipe"

    def _prompt(self, kind: Kind) -> str:
        return self._prompts.get(kind) or ""

    def _fields(self, kind: Kind) -> Mapping[str, Any]:
        return {"input_type": kind, **super()._fields(kind)}


def _rebuild(kind: type[OpenAIModel], name: str, base_url: str | None, settings: dict[str, Any]) -> OpenAIModel:
    return kind(name, base_url=base_url, **settings)


def _check_dimensions(dimensions: int, known: catalogue.CatalogueModel | None, name: str) -> None:
    longest = known.dimensions if known else dimensions
    if known and known.min_dimensions is None and dimensions != longest:
        raise ConfigurationError(
            f"dimensions={dimensions} is not possible: {name} has {longest} dimensions and cannot be shortened. "
            "Leave dimensions out, or use text-embedding-3-small or -large."
        )
    if not 1 <= dimensions <= longest:
        raise ConfigurationError(f"dimensions={dimensions} is not possible: for {name} it is between 1 and {longest}.")


@cache
def _raw_reply() -> type[Any]:
    """Return the reply's class in the HTTP library that this version of the client stands on.

    The client's `embeddings.create` would look at each text for something to convert, which takes longer than the rest
    of a request.
    """
    reply: type[Any] = importlib.import_module(openai_http_library()).Response
    return reply


def _vectors(body: bytes, expected: int, dimensions: int | None) -> Vectors:
    """Return the reply's vectors in the input's order, with a row of NaN for a text that got no vector."""
    try:
        data = json.loads(body)["data"]
        indices = [_index(item, position) for position, item in enumerate(data)]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidVectorsError(
            f"The provider's reply is not a JSON object with {expected} embeddings in 'data'. It begins with "
            f"{shown(body[:200].decode(errors='replace'))}. Check that base_url leads to an embeddings interface."
        ) from (None if isinstance(error, RecursionError) else error)
    if expected and sorted(indices) == list(range(1, expected + 1)):  # some servers count from 1
        indices = [index - 1 for index in indices]
    complete = len(data) == expected or all("index" in item for item in data)
    if not complete or len(set(indices)) < len(indices) or not set(indices) <= set(range(expected)):
        raise InvalidVectorsError(
            f"The provider's reply has {len(indices)} vectors for {expected} texts, with the indices "
            f"{shown(indices)}. Send the request again. Report it to the provider if it stays."
        )
    rows: list[object] = [None] * expected
    for index, item in zip(indices, data, strict=True):
        rows[index] = _row(item.get("embedding"))
    return stack_rows(rows, dimensions)


def _index(item: Any, position: int) -> int:
    """Return the item's index, or its position if it states none: some servers leave out all, others the first."""
    index = item.get("index") if isinstance(item, dict) else None
    if index is None and isinstance(item, dict):
        return position
    if type(index) is not int:
        raise TypeError(index)
    return index


def _row(embedding: object) -> object:
    """Decode a vector in base64, or one whose numbers are text. Others stay as they are; any other text is None."""
    if isinstance(embedding, list) and embedding and all(isinstance(number, str) for number in embedding):
        return _numbers(embedding)
    if not isinstance(embedding, str):
        return embedding
    try:
        if embedding.lstrip().startswith("["):
            return _row(json.loads(embedding)) if "[[" not in embedding else None
        return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4")
    except (binascii.Error, ValueError, RecursionError):
        return None


def _numbers(words: Sequence[str]) -> object:
    try:
        return [float(word) for word in words]
    except ValueError:
        return None
