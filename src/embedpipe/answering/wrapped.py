"""Use names, LangChain chat models and LlamaIndex LLMs as `ChatModel`s. The latter are recognised by their methods."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from embedpipe._optional import require
from embedpipe._providers import component_errors
from embedpipe.answering.chat import ChatModel, ChatReply, Message
from embedpipe.answering.registry import chat_model_named
from embedpipe.errors import ConfigurationError, GenerationError

_LONGEST = 16 << 20


def as_chat_model(llm: object, *, base_url: str | None = None) -> ChatModel:
    """Return the chat model of a name, wrap a LangChain chat model or LlamaIndex LLM, and return others as they are.

    Args:
        llm: A `ChatModel`, a LangChain chat model, a LlamaIndex LLM, or a name such as "anthropic:claude-sonnet-4-5".
            A name without a provider is a model of OpenAI, or of the server at `base_url`.
        base_url: Where a model that is given by name is reached.

    Raises:
        ConfigurationError: If `llm` is none of these.
    """
    if isinstance(llm, str):
        return as_chat_model(chat_model_named(llm, base_url=base_url))
    if base_url is not None:
        raise ConfigurationError("base_url needs a chat model that is given by name. Set it in the model.")
    if isinstance(llm, ChatModel):
        return llm
    if all(hasattr(llm, name) for name in ("invoke", "ainvoke", "stream", "astream")):
        return LangChainChat(llm)
    if all(hasattr(llm, name) for name in ("chat", "achat", "stream_chat", "astream_chat")):
        return LlamaIndexChat(llm)
    raise ConfigurationError(
        f"`llm` is a {type(llm).__name__}. Pass a name such as 'openai:gpt-4o-mini', an embedpipe ChatModel such as "
        "OpenAIChat, a LangChain chat model or a LlamaIndex LLM."
    )


@asynccontextmanager
async def _closing(stream: AsyncIterator[Any]) -> AsyncIterator[AsyncIterator[Any]]:
    """Close a framework's stream at the end, where it can be closed."""
    try:
        yield stream
    finally:
        if isinstance(stream, AsyncGenerator):
            await stream.aclose()


class _Streamed:
    """Limits the length of a stream. The framework's own client may read one without end."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._characters = 0

    def counted(self, reply: ChatReply) -> ChatReply:
        self._characters += len(reply.text)
        if self._characters > _LONGEST:
            raise GenerationError(
                f"{self._name}: the stream is longer than {_LONGEST:,} characters. Limit the model's tokens."
            )
        return reply


class LangChainChat:
    """A LangChain chat model, or any runnable that takes messages and gives a message or a string."""

    def __init__(self, model: Any) -> None:
        self._model = model

    @property
    def name(self) -> str:
        return _model_name(self._model, "model_name", "model") or type(self._model).__name__

    def complete(self, messages: Sequence[Message]) -> ChatReply:
        with component_errors(self.name, self._model, GenerationError):
            return _langchain_reply(self._model.invoke(_pairs(messages)))

    async def acomplete(self, messages: Sequence[Message]) -> ChatReply:
        with component_errors(self.name, self._model, GenerationError):
            return _langchain_reply(await self._model.ainvoke(_pairs(messages)))

    def stream(self, messages: Sequence[Message]) -> Generator[ChatReply, None, None]:
        with component_errors(self.name, self._model, GenerationError):
            streamed = _Streamed(self.name)
            for piece in self._model.stream(_pairs(messages)):
                yield streamed.counted(_langchain_reply(piece))

    async def astream(self, messages: Sequence[Message]) -> AsyncGenerator[ChatReply, None]:
        with component_errors(self.name, self._model, GenerationError):
            streamed = _Streamed(self.name)
            async with _closing(self._model.astream(_pairs(messages))) as pieces:
                async for piece in pieces:
                    yield streamed.counted(_langchain_reply(piece))


class LlamaIndexChat:
    """A LlamaIndex LLM."""

    def __init__(self, llm: Any) -> None:
        self._llm = llm

    @property
    def name(self) -> str:
        return _model_name(getattr(self._llm, "metadata", None), "model_name") or type(self._llm).__name__

    def complete(self, messages: Sequence[Message]) -> ChatReply:
        with component_errors(self.name, self._llm, GenerationError):
            return _llama_reply(self._llm.chat(_llama_messages(messages)), whole=True)

    async def acomplete(self, messages: Sequence[Message]) -> ChatReply:
        with component_errors(self.name, self._llm, GenerationError):
            return _llama_reply(await self._llm.achat(_llama_messages(messages)), whole=True)

    def stream(self, messages: Sequence[Message]) -> Generator[ChatReply, None, None]:
        with component_errors(self.name, self._llm, GenerationError):
            streamed = _Streamed(self.name)
            for piece in self._llm.stream_chat(_llama_messages(messages)):
                yield streamed.counted(_llama_reply(piece, whole=False))

    async def astream(self, messages: Sequence[Message]) -> AsyncGenerator[ChatReply, None]:
        with component_errors(self.name, self._llm, GenerationError):
            streamed = _Streamed(self.name)
            async with _closing(await self._llm.astream_chat(_llama_messages(messages))) as pieces:
                async for piece in pieces:
                    yield streamed.counted(_llama_reply(piece, whole=False))


def _model_name(model: Any, *fields: str) -> str:
    names = (getattr(model, field, None) for field in fields)
    return next((name for name in names if isinstance(name, str) and name), "")


def _pairs(messages: Sequence[Message]) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in messages]


def _langchain_reply(message: Any) -> ChatReply:
    if isinstance(message, str):
        return ChatReply(message)
    usage = getattr(message, "usage_metadata", None) or {}
    reason = getattr(message, "response_metadata", {}).get("finish_reason")
    return ChatReply(str(message.text), usage.get("total_tokens"), reason == "length", usage.get("output_tokens"))


def _llama_messages(messages: Sequence[Message]) -> list[Any]:
    types = require("llama_index.core.llms", extra="llama-index")
    return [types.ChatMessage(role=message.role, content=message.content) for message in messages]


def _llama_reply(response: Any, *, whole: bool) -> ChatReply:
    text = response.message.content if whole else response.delta
    usage = getattr(response.raw, "usage", None)
    choices = getattr(response.raw, "choices", None) or [None]
    return ChatReply(
        text or "",
        getattr(usage, "total_tokens", None),
        getattr(choices[0], "finish_reason", "") == "length",
        getattr(usage, "completion_tokens", None),
    )
