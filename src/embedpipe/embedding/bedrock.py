"""The provider "bedrock": embedding models of Amazon (Titan) and Cohere on Amazon Bedrock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any
from urllib.parse import quote

from embedpipe._checks import checked_count, checked_text
from embedpipe._providers import UNREADABLE, BedrockConnection, RefusedError, as_json, http_errors, unusable
from embedpipe.embedding.backend import EmbeddingResponse, Limits
from embedpipe.embedding.providers.remote import ProviderModel
from embedpipe.embedding.vectors import stack_rows
from embedpipe.errors import ConfigurationError, EmbeddingError, InvalidVectorsError
from embedpipe.types import Kind, ModelSpec

_INPUT_TYPES: Mapping[Kind, str] = {"document": "search_document", "query": "search_query"}
_TITAN_V2 = "amazon.titan-embed-text-v2"
_TITAN_SIZES = (1024, 512, 256)
_SPECS = {
    _TITAN_V2: ModelSpec(name=_TITAN_V2, dimensions=1024, max_tokens=8192),
    "cohere.embed-english-v3": ModelSpec(name="cohere.embed-english-v3", dimensions=1024, max_tokens=512),
    "cohere.embed-multilingual-v3": ModelSpec(name="cohere.embed-multilingual-v3", dimensions=1024, max_tokens=512),
    "cohere.embed-v4": ModelSpec(name="cohere.embed-v4", dimensions=1536, max_tokens=128_000),
}
"""The models by their names without a version, as far as we know them: only Titan's sizes were looked up."""


class BedrockModel(ProviderModel):
    """A model of Amazon (Titan) or Cohere on Amazon Bedrock. Cohere's are told what the texts are by `input_type`.

    Titan takes one text in a request, so that many requests are under way at once. A pickle holds neither a key nor
    credentials.

    Args:
        name: The model's id, such as "amazon.titan-embed-text-v2:0", or that of an inference profile.
        api_key: A key of Bedrock. By default AWS_BEARER_TOKEN_BEDROCK. Without one, requests are signed with the AWS
            credentials that botocore finds: in the environment, in a profile, or those of the machine.
        base_url: Another address of the interface, such as that of a VPC endpoint.
        dimensions: Ask for vectors of this dimension. Titan v2 has 256, 512 and 1024.
        region: The AWS region. By default AWS_REGION, or that of the profile.
        timeout_s: Seconds for a whole request, from connecting to the last byte of the reply.

    Raises:
        ConfigurationError: If the model is of another family, or has no vectors of `dimensions`.
    """

    provider = "bedrock"

    def __init__(
        self,
        name: str = "amazon.titan-embed-text-v2:0",
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        dimensions: int | None = None,
        region: str | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        checked_text("name", name, error=ConfigurationError)
        self._is_titan = "amazon.titan-embed" in name
        if not self._is_titan and "cohere.embed" not in name:
            raise ConfigurationError(
                f"{name} is not a Titan or Cohere embedding model of Bedrock. Pass 'amazon.titan-embed-text-v2:0' or "
                "'cohere.embed-multilingual-v3', or a LangChain or LlamaIndex embedding for another one."
            )
        if dimensions is not None:
            dimensions = checked_count("dimensions", dimensions, error=ConfigurationError)
            if self._is_titan and not (_TITAN_V2 in name and dimensions in _TITAN_SIZES):
                raise ConfigurationError(f"dimensions={dimensions} is not possible: Titan v2 has 256, 512 and 1024.")
        self._dimensions = dimensions
        self._settings = {"dimensions": dimensions, "region": region, "timeout_s": timeout_s}
        super().__init__(
            name, BedrockConnection(api_key=api_key, base_url=base_url, region=region, timeout_s=timeout_s)
        )

    @cached_property
    def spec(self) -> ModelSpec:
        """The published specification; for a model that is not known, what Bedrock sent for a probe."""
        known = self._known
        if known is not None:
            spec = replace(known, dimensions=self._dimensions or known.dimensions)
        else:
            size = self._dimensions or self.fetch(["dimension"], "document").vectors.shape[1]
            spec = ModelSpec(name=self._name, dimensions=size)
        if self._is_titan:
            return spec
        return replace(spec, query_prompt=_INPUT_TYPES["query"], document_prompt=_INPUT_TYPES["document"])

    @property
    def _known(self) -> ModelSpec | None:
        return next((spec for name, spec in _SPECS.items() if name in self._name), None)

    @property
    def limits(self) -> Limits:
        """Bedrock's limit for a request: one text for Titan, 96 for Cohere."""
        return Limits(batch_items=1, batch_tokens=None) if self._is_titan else Limits(batch_items=96, batch_tokens=None)

    @property
    def _known_dimensions(self) -> int | None:
        return self._dimensions or (self._known.dimensions if self._known else None)

    def _call(self, client: Any, texts: Sequence[str], kind: Kind) -> Any:
        return client.post(f"/model/{quote(self._name, safe='')}/invoke", json=self._body(texts, kind))

    def _body(self, texts: Sequence[str], kind: Kind) -> dict[str, Any]:
        if self._is_titan:
            (text,) = texts
            size = {"dimensions": self._dimensions, "normalize": True} if self._dimensions else {}
            return {"inputText": text, **size}
        size = {"output_dimension": self._dimensions} if self._dimensions else {}
        fields = {"input_type": _INPUT_TYPES[kind], "embedding_types": ["float"], "truncate": "NONE"}
        return {"texts": list(texts), **fields, **size}

    def _read(self, reply: Any, expected: int) -> EmbeddingResponse:
        answer = as_json(reply)
        rows: Any = [answer["embedding"]] if self._is_titan else answer["embeddings"]
        rows = rows["float"] if isinstance(rows, dict) else rows
        if not isinstance(rows, list) or len(rows) != expected:
            raise InvalidVectorsError(
                f"Bedrock's reply has {len(rows) if isinstance(rows, list) else 'no'} vectors for {expected} texts. "
                "Send the request again. Report it to the provider if it stays."
            )
        return EmbeddingResponse(vectors=stack_rows(rows, self._known_dimensions))

    def _sdk_errors(self) -> tuple[type[Exception], ...]:
        return (RefusedError, http_errors()[0], *UNREADABLE)

    def _translated(self, error: Exception) -> EmbeddingError:
        if isinstance(error, RefusedError):
            return self._provider_error(error, status=error.status, body=error.body, headers=error.headers)
        if isinstance(error, http_errors()[0]) or unusable(error) is not None:
            return self._provider_error(error, status=None, body=str(error), headers={})
        return InvalidVectorsError(
            f"The reply is not in the form of Bedrock's interface ({type(error).__name__}). Check base_url."
        )

    def __repr__(self) -> str:
        return f"BedrockModel({self._name!r}, dimensions={self._dimensions})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._name, self._connection.endpoint.url, self._settings)


def _rebuild(name: str, base_url: str | None, settings: dict[str, Any]) -> BedrockModel:
    return BedrockModel(name, base_url=base_url, **settings)
