"""The provider "voyage": Voyage AI's embedding models."""

from __future__ import annotations

from typing import ClassVar

from embedpipe._providers import Service
from embedpipe.embedding.backend import Limits
from embedpipe.embedding.openai import OpenAIModel
from embedpipe.embedding.roles import ExtraBody


class VoyageModel(OpenAIModel):
    """A model of Voyage AI. Questions and documents are told apart by `input_type`.

    The arguments are those of `OpenAIModel`. The key is read from VOYAGE_API_KEY. Contextualised models, such as
    voyage-context-3, have another interface and are not supported.
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
