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
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np

from embedpipe._checks import checked_count, checked_text
from embedpipe._providers import OPENAI, OpenAIConnection, Service, openai_http_library, shown
from embedpipe.embedding import catalogue
from embedpipe.embedding.backend import EmbeddingResponse, Limits
from embedpipe.embedding.providers.remote import ProviderModel
from embedpipe.embedding.roles import ExtraBody, checked_extra_body, checked_prompts, with_roles
from embedpipe.embedding.vectors import stack_rows
from embedpipe.errors import ConfigurationError, EmbeddingError, InvalidVectorsError, ProviderError
from embedpipe.text import EstimatedCounter, TokenCounter, encoding_name, token_counter
from embedpipe.types import Kind, ModelSpec, Vectors

Form: TypeAlias = Literal["base64", "float"]

_BASE64_REFUSALS = frozenset({400, 415, 422})
_MAX_ASKED = 2
_FORM: ContextVar[Form] = ContextVar("form", default="base64")
"""The form of vectors that the request under way asks for."""


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
    service: ClassVar[Service] = OPENAI
    roles: ClassVar[ExtraBody] = {}
    """Fields by which the service is told what the texts are."""
    dimensions_field: ClassVar[str] = "dimensions"
    form_field: ClassVar[str] = "encoding_format"

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
        self._known = catalogue.find(checked_text("name", name, error=ConfigurationError))
        if api_version is not None:
            checked_text("api_version", api_version, error=ConfigurationError)
        if dimensions is not None:
            dimensions = checked_count("dimensions", dimensions, error=ConfigurationError)
            catalogue.check_dimensions(dimensions, self._known, name)
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
        self._openai = OpenAIConnection(
            api_key=api_key, base_url=base_url, timeout_s=timeout_s, api_version=api_version, service=self.service
        )
        super().__init__(name, self._openai)
        self._takes_base64: bool | None = None  # nothing was answered yet
        self._suspects_base64 = False
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
        form = self._form()
        try:
            with _asking_for(form):
                return self._understood(super().fetch(texts, kind), form)
        except (ProviderError, InvalidVectorsError) as error:
            if not self._refuses_base64(error, form):
                raise
        with _asking_for("float"):
            return self._understood(super().fetch(texts, kind), "float")

    async def afetch(self, texts: Sequence[str], kind: Kind) -> EmbeddingResponse:
        """As `fetch`."""
        form = self._form()
        try:
            with _asking_for(form):
                return self._understood(await super().afetch(texts, kind), form)
        except (ProviderError, InvalidVectorsError) as error:
            if not self._refuses_base64(error, form):
                raise
        with _asking_for("float"):
            return self._understood(await super().afetch(texts, kind), "float")

    def _form(self) -> Form:
        """Return the form of vectors to ask for: base64, which is the faster one, if the server knows it."""
        return "float" if self._takes_base64 is False or self._suspects_base64 else "base64"

    def _understood(self, response: EmbeddingResponse, form: Form) -> EmbeddingResponse:
        """Remember the first form in which the server sent vectors."""
        if self._takes_base64 is None:
            self._takes_base64 = form == "base64"
            self._suspects_base64 = False
        return response

    def _refuses_base64(self, error: ProviderError | InvalidVectorsError, form: Form) -> bool:
        """Return whether to ask for numbers at once, since the server may have refused base64.

        OpenAI's and Azure's own services know it, and so does a server that has answered. After a failure that is
        retried anyhow, the next request asks for the other form instead.
        """
        if self._takes_base64 is not None or self._openai.is_own:
            return False
        if isinstance(error, ProviderError) and error.status in _BASE64_REFUSALS:
            self._asked_for_numbers += 1
            return form == "base64" and self._asked_for_numbers <= _MAX_ASKED
        if isinstance(error, InvalidVectorsError) or error.status in (500, 501):
            self._suspects_base64 = form == "base64"
        return False

    def _call(self, client: Any, texts: Sequence[str], kind: Kind) -> Any:
        """Call the SDK with the texts, each behind the prompt of its kind."""
        prompt = self._prompt(kind)
        body: dict[str, Any] = {"model": self._name, "input": [prompt + text for text in texts] if prompt else [*texts]}
        body[self.form_field] = _FORM.get()
        if self._dimensions:
            body[self.dimensions_field] = self._dimensions
        return client.post("/embeddings", body={**body, **self._fields(kind)}, cast_to=raw_reply())

    def _prompt(self, kind: Kind) -> str:
        """Return what is put before each text of this kind."""
        given = self._prompts.get(kind)
        published = self._known.prompts[kind] if self._known else ""
        return published if given is None else given

    def _fields(self, kind: Kind) -> Mapping[str, Any]:
        """Return the further fields of a request for texts of this kind."""
        return {**self.roles.get(kind, {}), **self._extra.get(kind, {})}

    def _read(self, reply: Any, expected: int) -> EmbeddingResponse:
        vectors = vectors_of(reply.content, expected, self._known_dimensions)
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

    @property
    def _about_name(self) -> str:
        """What may be wrong with a name that has a prefix: an unknown provider is not told from a server's model."""
        prefix, colon, _ = self._name.partition(":")
        return f" {prefix!r:.100} is no provider, and was sent as a part of the model's name." if colon else ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name!r}, dimensions={self._dimensions})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self._name, self._connection.endpoint.url, self._settings)


@contextmanager
def _asking_for(form: Form) -> Iterator[None]:
    token = _FORM.set(form)
    try:
        yield
    finally:
        _FORM.reset(token)


def _rebuild(kind: type[OpenAIModel], name: str, base_url: str | None, settings: dict[str, Any]) -> OpenAIModel:
    return kind(name, base_url=base_url, **settings)


@cache
def raw_reply() -> type[Any]:
    """Return the reply's class in the HTTP library that this version of the client stands on.

    The client's `embeddings.create` would look at each text for something to convert, which takes longer than the rest
    of a request.
    """
    reply: type[Any] = importlib.import_module(openai_http_library()).Response
    return reply


def vectors_of(body: bytes, expected: int, dimensions: int | None) -> Vectors:
    """Return the reply's vectors in the input's order, with a row of NaN for a text that got no vector."""
    try:
        data = json.loads(body)["data"]
        indices = [_index(item, position) for position, item in enumerate(data)]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise unreadable(body, expected, "data") from (None if isinstance(error, RecursionError) else error)
    if expected and sorted(indices) == list(range(1, expected + 1)):  # some servers count from 1
        indices = [index - 1 for index in indices]
    complete = len(data) == expected or all("index" in item for item in data)
    if not complete or len(set(indices)) < len(indices) or not set(indices) <= set(range(expected)):
        raise InvalidVectorsError(
            f"The provider's reply has {len(indices)} vectors for {expected} texts, with the indices "
            f"{shown(indices)}. Send the request again. Report it to the provider if it stays."
        )
    decode = _as_text if data and all(_is_text(item.get("embedding")) for item in data) else _row
    rows: list[object] = [None] * expected
    for index, item in zip(indices, data, strict=True):
        rows[index] = decode(item.get("embedding"))
    return stack_rows(rows, dimensions)


def unreadable(body: bytes, expected: int, field: str) -> InvalidVectorsError:
    """Return the error for a reply that is not in the form of the interface."""
    return InvalidVectorsError(
        f"The provider's reply is not a JSON object with {expected} embeddings in {field!r}. It begins with "
        f"{shown(body[:200].decode(errors='replace'))}. Check that base_url leads to an embeddings interface."
    )


def _index(item: Any, position: int) -> int:
    """Return the item's index, or its position if it states none: some servers leave out all, others the first."""
    index = item.get("index") if isinstance(item, dict) else None
    if index is None and isinstance(item, dict):
        return position
    if type(index) is not int:
        raise TypeError(index)
    return index


def _row(embedding: object) -> object:
    """Decode a vector in base64. Others stay as they are; what is no base64 is None."""
    if not isinstance(embedding, str):
        return embedding
    try:
        return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4")
    except (binascii.Error, ValueError):
        return None


def _is_text(embedding: object) -> bool:
    """Return whether the vector's numbers are text, or the whole vector is JSON."""
    if isinstance(embedding, list):
        return bool(embedding) and isinstance(embedding[0], str)
    return isinstance(embedding, str) and embedding.startswith("[")


def _as_text(embedding: Any) -> object:
    """Read a vector of a server that sends every number, or every vector, as text. None if it is no vector."""
    try:
        return [float(number) for number in (json.loads(embedding) if isinstance(embedding, str) else embedding)]
    except (ValueError, TypeError, RecursionError):
        return None
