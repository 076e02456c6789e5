"""The provider "cohere": Cohere's embedding models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from embedpipe._checks import checked_count, checked_text
from embedpipe._providers import CohereConnection, unusable
from embedpipe.embedding import catalogue
from embedpipe.embedding.backend import EmbeddingResponse, Limits
from embedpipe.embedding.providers.remote import ProviderModel
from embedpipe.embedding.vectors import stack_rows
from embedpipe.errors import ConfigurationError, EmbeddingError, InvalidVectorsError
from embedpipe.types import Kind, ModelSpec

_INPUT_TYPES: dict[Kind, str] = {"document": "search_document", "query": "search_query"}


class CohereModel(ProviderModel):
    """A Cohere model. Documents and queries are embedded as `search_document` and `search_query`.

    A model that the catalogue does not know is asked once for a vector, to learn its dimension. A redirect to another
    origin is an error, so that neither key nor texts get there. A pickle holds neither the key nor a login in
    `base_url`.

    Args:
        name: The model's name.
        api_key: By default it is read from CO_API_KEY.
        base_url: Another address of the interface. By default CO_API_URL, else Cohere's own.
        dimensions: Ask Cohere for vectors of this dimension. embed-v4.0 has 256, 512, 1024 and 1536.
        timeout_s: Seconds for a whole request, from connecting to the last byte of the reply.
    """

    provider = "cohere"

    def __init__(
        self,
        name: str = "embed-english-v3.0",
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        dimensions: int | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        known = catalogue.find(checked_text("name", name, error=ConfigurationError))
        if dimensions is not None:
            dimensions = checked_count("dimensions", dimensions, error=ConfigurationError)
            catalogue.check_dimensions(dimensions, known, name)
        self._dimensions = dimensions
        super().__init__(name, CohereConnection(api_key=api_key, base_url=base_url, timeout_s=timeout_s))

    @cached_property
    def spec(self) -> ModelSpec:
        """The published specification; for a model that is not published, what Cohere sent for a probe."""
        known = catalogue.find(self._name)
        if known and known.provider != "cohere":
            raise ConfigurationError(
                f"{self._name} is a model of {known.provider}, not of Cohere. Name it '{known.provider}:{self._name}'."
            )
        if known:
            spec = replace(known.spec, dimensions=self._dimensions or known.dimensions)
        elif self._dimensions:
            spec = ModelSpec(name=self._name, dimensions=self._dimensions)
        else:
            spec = ModelSpec(name=self._name, dimensions=self.fetch(["dimension"], "document").vectors.shape[1])
        return replace(spec, query_prompt=_INPUT_TYPES["query"], document_prompt=_INPUT_TYPES["document"])

    @property
    def limits(self) -> Limits:
        """Cohere's limit for a request: 96 texts."""
        return Limits(batch_items=96, batch_tokens=None)

    @property
    def _known_dimensions(self) -> int | None:
        known = catalogue.find(self._name)
        return self._dimensions or (known.dimensions if known else None)

    def _call(self, client: Any, texts: Sequence[str], kind: Kind) -> Any:
        return client.embed(
            model=self._name,
            texts=list(texts),
            input_type=_INPUT_TYPES[kind],
            embedding_types=["float"],
            truncate="NONE",
            **({"output_dimension": self._dimensions} if self._dimensions else {}),
        )

    def _read(self, reply: Any, expected: int) -> EmbeddingResponse:
        rows = reply.embeddings.float_
        if not isinstance(rows, list) or len(rows) != expected:
            raise InvalidVectorsError(
                f"Cohere's reply has {len(rows) if isinstance(rows, list) else 'no'} vectors for {expected} texts. "
                "Send the request again. Report it to the provider if it stays."
            )
        return EmbeddingResponse(vectors=stack_rows(rows, self._known_dimensions))

    def _sdk_errors(self) -> tuple[type[Exception], ...]:
        """Return the failures of a request, and what the SDK meets in a reply that is not one."""
        return (*CohereConnection.failures(), ValueError, TypeError, AttributeError, KeyError, RecursionError)

    def _translated(self, error: Exception) -> EmbeddingError:
        status = getattr(error, "status_code", None)
        unread = not isinstance(error, CohereConnection.failures()) or (status is not None and status < 300)
        if unread and unusable(error) is None:
            return InvalidVectorsError(
                f"The reply is not in the form of Cohere's embeddings interface ({type(error).__name__}). "
                "Check base_url."
            )
        return self._provider_error(
            error,
            status=status,
            body=getattr(error, "body", None) or str(error),
            headers=getattr(error, "headers", None) or {},
        )

    def __repr__(self) -> str:
        return f"CohereModel({self._name!r}, dimensions={self._dimensions})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (
            self._name,
            self._connection.endpoint.url,
            self._dimensions,
            self._connection.timeout_s,
        )


def _rebuild(name: str, base_url: str | None, dimensions: int | None, timeout_s: float) -> CohereModel:
    return CohereModel(name, base_url=base_url, dimensions=dimensions, timeout_s=timeout_s)
