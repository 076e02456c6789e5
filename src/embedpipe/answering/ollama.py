"""The chat models "ollama": models that Ollama runs."""

from __future__ import annotations

from embedpipe._providers import Service
from embedpipe.answering.chat import OpenAIChat


class OllamaChat(OpenAIChat):
    """A chat model that Ollama runs, by its interface in the form of OpenAI's.

    The arguments are those of `OpenAIChat`. By default it is the Ollama of this machine, which needs no key. Another
    address is read from OLLAMA_BASE_URL. Ollama cuts prompts that are longer than its own setting of the context:
    start it with OLLAMA_CONTEXT_LENGTH for long sources.
    """

    provider = "ollama"
    service = Service(
        key_variable="OLLAMA_API_KEY",
        url_variable="OLLAMA_BASE_URL",
        url="http://localhost:11434/v1",
        needs_key=False,
    )
