"""The steps from found passages to a cited answer: chat models, prompts, checked citations, extractive answers.

A chat model is one file here, and one line in `registry`.
"""

from embedpipe.answering.anthropic import AnthropicChat
from embedpipe.answering.chat import BatchingChat, ChatModel, ChatReply, CitingChat, Message, NativeCitation, OpenAIChat
from embedpipe.answering.citations import Citation, CitationState, State, Statement, checked_statements
from embedpipe.answering.extractive import Cosines, ExtractiveAnswerer, answer_text
from embedpipe.answering.gemini import GeminiChat
from embedpipe.answering.ollama import OllamaChat
from embedpipe.answering.prompt import Prompt, PromptBuilder, citing_messages
from embedpipe.answering.response import RAGResponse, Verifies
from embedpipe.answering.streams import AnswerStream, AsyncAnswerStream, Event, Tell
from embedpipe.answering.thoughts import ThoughtFilter, without_thoughts
from embedpipe.answering.verification import (
    AffectedAnswer,
    CitedPlace,
    affected_answers,
    places_of,
    texts_of_chunks,
    verified,
)
from embedpipe.answering.wrapped import as_chat_model

__all__ = [
    "AffectedAnswer",
    "AnswerStream",
    "AnthropicChat",
    "AsyncAnswerStream",
    "BatchingChat",
    "ChatModel",
    "ChatReply",
    "Citation",
    "CitationState",
    "CitedPlace",
    "CitingChat",
    "Cosines",
    "Event",
    "ExtractiveAnswerer",
    "GeminiChat",
    "Message",
    "NativeCitation",
    "OllamaChat",
    "OpenAIChat",
    "Prompt",
    "PromptBuilder",
    "RAGResponse",
    "State",
    "Statement",
    "Tell",
    "ThoughtFilter",
    "Verifies",
    "affected_answers",
    "answer_text",
    "as_chat_model",
    "checked_statements",
    "citing_messages",
    "places_of",
    "texts_of_chunks",
    "verified",
    "without_thoughts",
]
