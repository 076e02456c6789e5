"""Every provider behind a network: how it is made and asked, and its habits, as far as we know its interface.

Not each habit was looked up in the provider's documentation, and none was tried against the service itself.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bad_provider import Habit, Provider
from embedpipe.answering.chat import ChatModel, Message
from embedpipe.answering.registry import CHAT_MODELS
from embedpipe.embedding import EmbeddingGenerator, Retry
from embedpipe.embedding.providers.registry import PROVIDERS
from embedpipe.reranking.registry import RERANKERS
from embedpipe.types import Chunk, SearchResult

KEY = "sk-0123456789-do-not-show"
TEXT = "a text that nobody else may read"

Kind = Literal["embeddings", "rerank", "chat"]
Make = Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One provider: how it is made at an origin, and its habit."""

    make: Make
    habit: Habit


@dataclass(frozen=True, kw_only=True)
class Client:
    """One way to ask one provider. Called with a `Provider`, it asks it and returns the answer."""

    name: str
    provider: str
    kind: Kind
    recorded: Recorded
    ask: Callable[[Any], Any]

    def made(self, origin: str | None, *, key: str | None = KEY, timeout_s: float = 30.0, retries: int = 0) -> Any:
        """Return the generator, reranker or chat model."""
        if self.kind != "embeddings":
            return self.recorded.make(origin, api_key=key, timeout_s=timeout_s, max_retries=retries)
        retry = Retry(attempts=retries + 1, initial_s=0.01, max_s=0.02)
        return EmbeddingGenerator(self.recorded.make(origin, api_key=key, timeout_s=timeout_s), retry=retry)

    def __call__(self, provider: Provider, timeout_s: float = 30.0, *, retries: int = 0) -> Any:
        provider.habit = self.recorded.habit
        return self.ask(self.made(provider.origin, timeout_s=timeout_s, retries=retries))


def _rows(texts: list[str]) -> list[list[float]]:
    return [[1.0, 2.0, float(len(text))] for text in texts]


def _as_openai(body: dict[str, Any], texts: list[str]) -> Any:
    return {"data": [{"index": n, "embedding": row} for n, row in enumerate(_rows(texts))]}


def _at(name: str, model: str, *, behind: str = "", **options: Any) -> Make:
    """Make a provider's embedding model at an origin. `behind` is the rest of its address."""

    def make(origin: str | None, **settings: Any) -> Any:
        url = None if origin is None else origin + behind
        return PROVIDERS.load(name)(model, base_url=url, **options, **settings)

    return make


def _openai_like(name: str) -> Recorded:
    return Recorded(make=_at(name, "m", behind="/v1", dimensions=3), habit=Habit(answer=_as_openai))


EMBEDDINGS: dict[str, Recorded] = {
    **{name: _openai_like(name) for name in ("openai", "voyage", "jina", "mistral", "ollama", "embedpipe")},
    "azure": Recorded(make=_at("openai", "m", dimensions=3, api_version="2024-10-21"), habit=Habit(answer=_as_openai)),
    "gemini": Recorded(
        make=_at("gemini", "m", behind="/v1beta", dimensions=3),
        habit=Habit(answer=lambda body, texts: {"embeddings": [{"values": row} for row in _rows(texts)]}),
    ),
    "bedrock": Recorded(
        make=_at("bedrock", "cohere.embed-new", dimensions=3, region="us-east-1"),
        habit=Habit(answer=lambda body, texts: {"id": "1", "embeddings": {"float": _rows(texts)}, "texts": texts}),
    ),
    "bedrock titan": Recorded(
        make=_at("bedrock", "amazon.titan-embed-new", region="us-east-1"),
        habit=Habit(answer=lambda body, texts: {"embedding": _rows(texts)[0], "inputTextTokenCount": 1}),
    ),
    "cohere": Recorded(
        make=_at("cohere", "own-model"),
        habit=Habit(answer=lambda body, texts: {"id": "1", "embeddings": {"float": _rows(texts)}, "texts": texts}),
    ),
}


def _ranker(name: str, *model: str, behind: str = "") -> Make:
    def make(origin: str | None, **settings: Any) -> Any:
        return RERANKERS.load(name)(*model, base_url=None if origin is None else origin + behind, **settings)

    return make


def _as_results(body: dict[str, Any], texts: list[str]) -> Any:
    results = [{"index": n, "relevance_score": 0.5} for n in range(len(texts))]
    return {"id": "1", "model": "m", "results": results, "meta": {}, "usage": {"total_tokens": 7}}


RERANKS: dict[str, Recorded] = {
    "cohere": Recorded(make=_ranker("cohere"), habit=Habit(answer=_as_results)),
    "infinity": Recorded(make=_ranker("infinity", "m"), habit=Habit(answer=_as_results)),
    "jina": Recorded(make=_ranker("jina", behind="/v1"), habit=Habit(answer=_as_results)),
    "tei": Recorded(
        make=_ranker("tei"),
        habit=Habit(answer=lambda body, texts: [{"index": n, "score": 0.5} for n in range(len(texts))]),
    ),
    "voyage": Recorded(
        make=_ranker("voyage", behind="/v1"),
        habit=Habit(
            answer=lambda body, texts: {
                "object": "list",
                "data": [{"index": n, "relevance_score": 0.5} for n in range(len(texts))],
                "model": "rerank-2.5",
                "usage": {"total_tokens": 7},
            }
        ),
    ),
}


def _chatter(name: str, *, behind: str = "", **options: Any) -> Make:
    def make(origin: str | None, **settings: Any) -> Any:
        return CHAT_MODELS.load(name)("m", base_url=None if origin is None else origin + behind, **options, **settings)

    return make


def sse(*data: object) -> bytes:
    """Server-sent events with this data."""
    return b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in data)


DEEP = "[" * 100_000
BROKEN_STREAMS = {
    "no JSON": b"data: <html>\n\n",
    "nested": b"data: " + DEEP.encode() + b"\n\n",
    "null": b"data: null\n\n",
    "text": b'data: "abc"\n\n',
    "nothing": b"",
}


def event(delta: Mapping[str, Any], finish: str | None = None) -> bytes:
    """An event in the form of OpenAI's interface."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return sse({"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]})


def _openai_answer(body: dict[str, Any], texts: list[str]) -> Any:
    message = {"role": "assistant", "content": "An answer."}
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }


OPENAI_CHAT = Habit(
    answer=_openai_answer,
    piece=lambda text: event({"content": text}),
    thought=lambda text: event({"reasoning_content": text}),
    silent=(event({}), event({"role": "assistant"}), event({"content": ""}), event({"content": None})),
    ending=event({}, "stop") + b"data: [DONE]\n\n",
    broken={
        **BROKEN_STREAMS,
        "choices of null": b'data: {"choices": [null]}\n\n',
        "content is a number": b'data: {"choices": [{"delta": {"content": 5}}]}\n\n',
        "cut": event({"content": "An "}),
        "an error": b'data: {"error": {"message": "out of memory"}}\n\n',
    },
)


def gemini_event(*parts: Mapping[str, Any], reason: str | None = None, **fields: Any) -> dict[str, Any]:
    """A reply of the Gemini API, whole or a piece of a stream."""
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    return {"candidates": [candidate | ({"finishReason": reason} if reason else {})], **fields}


GEMINI_USAGE = {"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3}
GEMINI_CHAT = Habit(
    answer=lambda body, texts: gemini_event({"text": "An answer."}, reason="STOP", usageMetadata=GEMINI_USAGE),
    piece=lambda text: sse(gemini_event({"text": text}, usageMetadata=GEMINI_USAGE)),
    thought=lambda text: sse(gemini_event({"text": text, "thought": True})),
    silent=(sse({"candidates": []}), sse(gemini_event()), sse(gemini_event({"text": ""})), sse({})),
    ending=sse(gemini_event({"text": ""}, reason="STOP", usageMetadata=GEMINI_USAGE)),
    broken={
        **BROKEN_STREAMS,
        "candidates of null": b'data: {"candidates": [null]}\n\n',
        "text is a number": sse(gemini_event({"text": 5})),
        "cut": sse(gemini_event({"text": "An "})),
        "an error": sse({"error": {"code": 503, "message": "overloaded"}}),
        "blocked": sse({"promptFeedback": {"blockReason": "SAFETY"}}),
        "broken off": sse(gemini_event({"text": "An "}, reason="RECITATION")),
    },
)


def claude_event(kind: str, **fields: Any) -> bytes:
    """An event of Anthropic's Messages interface."""
    return f"event: {kind}\n".encode() + sse({"type": kind, **fields})


def claude_delta(**delta: Any) -> bytes:
    """A piece of a content block."""
    return claude_event("content_block_delta", index=0, delta=delta)


CLAUDE_CHAT = Habit(
    answer=lambda body, texts: {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "An answer.", "citations": None}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 2},
    },
    opening=claude_event("message_start", message={"id": "msg_1", "usage": {"input_tokens": 1, "output_tokens": 1}})
    + claude_event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    + claude_event("ping"),
    piece=lambda text: claude_delta(type="text_delta", text=text),
    thought=lambda text: claude_delta(type="thinking_delta", thinking=text),
    silent=(claude_event("ping"), claude_delta(type="text_delta", text="")),
    ending=claude_event("content_block_stop", index=0)
    + claude_event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 2})
    + claude_event("message_stop"),
    broken={
        **BROKEN_STREAMS,
        "no type": b"data: {}\n\n",
        "text is a number": claude_delta(type="text_delta", text=5),
        "delta is null": b'data: {"type": "content_block_delta", "delta": null}\n\n',
        "cut": claude_delta(type="text_delta", text="An "),
        "an error": claude_event("error", error={"type": "overloaded_error", "message": "Overloaded"}),
        "a citation of nothing": claude_delta(type="citations_delta", citation={"cited_text": "a"}),
    },
)

CHATS: dict[str, Recorded] = {
    "openai": Recorded(make=_chatter("openai", behind="/v1"), habit=OPENAI_CHAT),
    "ollama": Recorded(make=_chatter("ollama", behind="/v1"), habit=OPENAI_CHAT),
    "gemini": Recorded(make=_chatter("gemini", behind="/v1beta"), habit=GEMINI_CHAT),
    "anthropic": Recorded(make=_chatter("anthropic"), habit=CLAUDE_CHAT),
}


def messages() -> list[Message]:
    return [Message("system", "Answer."), Message("user", TEXT)]


def result(id: str) -> SearchResult:
    return SearchResult(chunk=Chunk.whole(TEXT, id=id), score=1.0)


def streamed(chat: ChatModel) -> str:
    return "".join(piece.text for piece in chat.stream(messages()))


async def astreamed(chat: ChatModel) -> str:
    return "".join([piece.text async for piece in chat.astream(messages())])


ASKING: dict[Kind, dict[str, Callable[[Any], Any]]] = {
    "embeddings": {
        "embeddings": lambda generator: generator.generate(TEXT),
        "async embeddings": lambda generator: asyncio.run(generator.agenerate(TEXT)),
    },
    "rerank": {"rerank": lambda reranker: reranker.rerank("question", [result("a"), result("b")])},
    "chat": {
        "chat": lambda chat: chat.complete(messages()),
        "async chat": lambda chat: asyncio.run(chat.acomplete(messages())),
        "chat stream": streamed,
        "async chat stream": lambda chat: asyncio.run(astreamed(chat)),
    },
}
RECORDED: dict[Kind, dict[str, Recorded]] = {"embeddings": EMBEDDINGS, "rerank": RERANKS, "chat": CHATS}
CLIENTS: dict[str, Client] = {
    f"{provider} {way}": Client(name=f"{provider} {way}", provider=provider, kind=kind, recorded=recorded, ask=ask)
    for kind, providers in RECORDED.items()
    for provider, recorded in providers.items()
    for way, ask in ASKING[kind].items()
}
"""Every way to ask every provider, such as "openai async embeddings"."""
