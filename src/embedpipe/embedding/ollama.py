"""The provider "ollama": models that Ollama runs."""

from __future__ import annotations

from embedpipe._providers import Service
from embedpipe.embedding.openai import OpenAIModel


class OllamaModel(OpenAIModel):
    """A model that Ollama runs. Ollama adds no prompts, so those of the catalogue are put before each text.

    The arguments are those of `OpenAIModel`. By default it is the Ollama of this machine, which needs no key.
    """

    provider = "ollama"
    service = Service(
        key_variable="OLLAMA_API_KEY",
        url_variable="OLLAMA_BASE_URL",
        url="http://localhost:11434/v1",
        needs_key=False,
    )
