"""From a chat model's name to the model."""

from __future__ import annotations

from typing import Any

from embedpipe._plugins import Registry
from embedpipe.errors import ConfigurationError

CHAT_MODELS = Registry(
    "embedpipe.chat_models",
    {
        "openai": "embedpipe.answering.chat:OpenAIChat",
        "anthropic": "embedpipe.answering.anthropic:AnthropicChat",
        "gemini": "embedpipe.answering.gemini:GeminiChat",
        "ollama": "embedpipe.answering.ollama:OllamaChat",
    },
)
"""Each is called with the model's name, and with `base_url=` if it was given. What it returns is a `ChatModel`, or a
chat model of LangChain or LlamaIndex."""


def chat_model_named(name: str, *, base_url: str | None = None) -> Any:
    """Return the chat model of "PROVIDER:MODEL". A name without a provider is one of OpenAI, or of the server.

    Raises:
        ConfigurationError: If there is no such provider.
    """
    prefix, colon, model = name.partition(":")
    options = {} if base_url is None else {"base_url": base_url}
    if colon and model and prefix in CHAT_MODELS:
        return CHAT_MODELS.load(prefix)(model, **options)
    near = CHAT_MODELS.misspelt(prefix) if colon else ""
    if colon and (base_url is None or near):  # a server may have a model "llama3:8b"
        hint = f" Did you mean '{near}:{model}'?" if near else ""
        raise ConfigurationError(
            f"There is no provider {prefix!r:.100} of chat models.{hint} There are: {', '.join(CHAT_MODELS.names())}. "
            "A package adds one by an entry point in embedpipe.chat_models. For a model of this name on a server with "
            f"OpenAI's interface, pass base_url= and name it 'openai:{name:.100}'."
        )
    return CHAT_MODELS.load("openai")(name, **options)
