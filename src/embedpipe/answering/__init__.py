"""The steps from found passages to a cited answer: chat models, prompts, checked citations, extractive answers.

A chat model is one file here, and one line in `registry`.
"""

from embedpipe.answering.anthropic import AnthropicChat
from embedpipe.answering.chat import OpenAIChat
from embedpipe.answering.gemini import GeminiChat
from embedpipe.answering.ollama import OllamaChat

__all__ = ["AnthropicChat", "GeminiChat", "OllamaChat", "OpenAIChat"]
