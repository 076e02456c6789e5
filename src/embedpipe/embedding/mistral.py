"""The provider "mistral": Mistral's embedding models."""

from __future__ import annotations

from embedpipe._providers import Service
from embedpipe.embedding.backend import Limits
from embedpipe.embedding.openai import OpenAIModel


class MistralModel(OpenAIModel):
    """A model of Mistral, which embeds questions and documents alike.

    The arguments are those of `OpenAIModel`. The key is read from MISTRAL_API_KEY.
    """

    provider = "mistral"
    service = Service(key_variable="MISTRAL_API_KEY", url_variable="MISTRAL_BASE_URL", url="https://api.mistral.ai/v1")
    dimensions_field = "output_dimension"

    @property
    def limits(self) -> Limits:
        """Mistral's limit for a request: 16,384 tokens."""
        return Limits(batch_tokens=16_384)
