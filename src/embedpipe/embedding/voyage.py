"""The provider "voyage": Voyage AI's embedding models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar

from embedpipe._providers import Service
from embedpipe.embedding.backend import EmbeddingResponse, Limits
from embedpipe.embedding.openai import OpenAIModel, raw_reply, unreadable, vectors_of
from embedpipe.embedding.roles import ExtraBody
from embedpipe.embedding.together import ContextualModel
from embedpipe.types import Kind


class VoyageModel(OpenAIModel):
    """A model of Voyage AI. Questions and documents are told apart by `input_type`.

    The arguments are those of `OpenAIModel`. The key is read from VOYAGE_API_KEY. A contextualised model, such as
    voyage-context-3, is a `VoyageContextModel`.
    """

    provider = "voyage"
    service = Service(key_variable="VOYAGE_API_KEY", url_variable="VOYAGE_BASE_URL", url="https://api.voyageai.com/v1")
    roles: ClassVar[ExtraBody] = {
        "query": {"input_type": "query", "truncation": False},
        "document": {"input_type": "document", "truncation": False},
    }
    dimensions_field = "output_dimension"

    @property
    def limits(self) -> Limits:
        """Voyage's limits for a request: 1,000 texts, and 120,000 tokens for its largest models."""
        return Limits(batch_items=1000, batch_tokens=120_000)


class VoyageContextModel(ContextualModel, VoyageModel):
    """A model of Voyage AI that embeds the chunks of a document together, by the interface that it has for them.

    Without `late_chunking`, each text is a document of its own.
    """

    roles: ClassVar[ExtraBody] = {"query": {"input_type": "query"}, "document": {"input_type": "document"}}

    def _call(self, client: Any, texts: Sequence[str], kind: Kind) -> Any:
        body: dict[str, Any] = {"model": self._name, "inputs": [[*texts]] if self._together else [[t] for t in texts]}
        if self._form() == "base64":
            body["encoding_format"] = "base64"
        if self._dimensions:
            body["output_dimension"] = self._dimensions
        return client.post("/contextualizedembeddings", body={**body, **self._fields(kind)}, cast_to=raw_reply())

    def _read(self, reply: Any, expected: int) -> EmbeddingResponse:
        """Read a list for each document, with a vector for each of its chunks."""
        try:
            documents = sorted(json.loads(reply.content)["data"], key=lambda document: document["index"])
            chunks = [
                chunk for document in documents for chunk in sorted(document["data"], key=lambda chunk: chunk["index"])
            ]
            data = json.dumps({"data": [{**chunk, "index": place} for place, chunk in enumerate(chunks)]}).encode()
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise unreadable(reply.content, expected, "data") from (
                None if isinstance(error, RecursionError) else error
            )
        headers = {name.lower(): value for name, value in reply.headers.items()}
        return EmbeddingResponse(vectors=vectors_of(data, expected, self._known_dimensions), headers=headers)


def voyage_model(name: str, **options: Any) -> VoyageModel:
    """Return the model of this name, for `PROVIDERS`. The options are those of `OpenAIModel`."""
    return (VoyageContextModel if name.startswith("voyage-context") else VoyageModel)(name, **options)
