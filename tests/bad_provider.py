"""A provider on loopback with one bad habit at a time, for embeddings, chat and rerank."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from embedpipe.answering.chat import Message, OpenAIChat
from embedpipe.embedding import CohereModel, EmbeddingGenerator, OpenAIModel, Retry
from embedpipe.reranking import CohereReranker
from embedpipe.types import Chunk, SearchResult

BOMB = 256 << 20


@dataclass
class Provider:
    """What was asked, and how to answer: `reply` gets the request's handler, its body and its texts."""

    reply: Callable[[Handler, dict[str, Any], list[str]], None]
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    origin: str = ""

    @property
    def seen(self) -> str:
        """Everything that came, in one text."""
        return repr((self.requests, self.headers, self.paths))


class Handler(BaseHTTPRequestHandler):
    provider: Provider
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")
        self.provider.requests.append(body)
        self.provider.headers.append({name.lower(): value for name, value in self.headers.items()})
        self.provider.paths.append(self.path)
        texts = body.get("input") or body.get("texts") or body.get("documents") or []
        try:
            self.provider.reply(self, body, texts)
        except OSError:  # the client went away, as it should
            self.close_connection = True

    def send(self, body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_json(self, value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.send(json.dumps(value).encode(), status=status, headers=headers)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error of a test's server."""


@contextmanager
def serving(reply: Callable[[Handler, dict[str, Any], list[str]], None]) -> Iterator[Provider]:
    provider = Provider(reply)
    server = _Server(("127.0.0.1", 0), type("Bound", (Handler,), {"provider": provider}))
    provider.origin = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        provider.stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()


def answer(body: dict[str, Any], texts: list[str]) -> dict[str, Any]:
    """What a good provider answers: vectors of three numbers, scores, or an answer."""
    if "messages" in body:
        message = {"role": "assistant", "content": "An answer."}
        return {
            "id": "1",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
        }
    if "documents" in body:
        return {"id": "1", "results": [{"index": n, "relevance_score": 0.5} for n in range(len(texts))], "meta": {}}
    vectors = [[1.0, 2.0, float(len(text))] for text in texts]
    if "texts" in body:
        return {"id": "1", "embeddings": {"float": vectors}, "texts": texts}
    return {"data": [{"index": n, "embedding": vector} for n, vector in enumerate(vectors)]}


def good(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
    if body.get("stream"):
        handler.send(events("An ", "answer."), headers={"Content-Type": "text/event-stream"})
    else:
        handler.send_json(answer(body, texts))


def event(delta: Mapping[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    base = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return f"data: {json.dumps(base | {'choices': [choice]})}\n\n".encode()


def events(*pieces: str) -> bytes:
    return b"".join(event({"content": piece}) for piece in pieces) + event({}, "stop") + b"data: [DONE]\n\n"


def dripping(data: bytes, *, head: bool) -> Callable[[Handler, dict[str, Any], list[str]], None]:
    """One byte at a time, for ever: the reply's head, or its body after a good head."""

    def reply(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
        if not head:
            handler.send_response(200)
            handler.send_header("Content-Type", "text/event-stream" if body.get("stream") else "application/json")
            handler.end_headers()
            handler.close_connection = True
        handler.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        rest = iter(b"HTTP/1.1 200 OK\r\nX-Slow: " if head else data)
        while not handler.provider.stopping.wait(0.02):
            handler.connection.sendall(bytes([next(rest, ord("a"))]))

    return reply


def endless(piece: bytes, kind: str) -> Callable[[Handler, dict[str, Any], list[str]], None]:
    """The same piece of a body, for ever and as fast as it goes."""

    def reply(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.end_headers()
        handler.close_connection = True
        while not handler.provider.stopping.is_set():
            handler.wfile.write(piece)

    return reply


def packed(coding: str = "gzip") -> Callable[[Handler, dict[str, Any], list[str]], None]:
    """A reply of a quarter of a megabyte that unpacks to a quarter of a gigabyte."""
    packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    piece = b" " * (1 << 20)  # the test measures the process's memory
    bomb = b"".join([packer.compress(b"["), *(packer.compress(piece) for _ in range(BOMB >> 20)), packer.flush()])

    def reply(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
        kind = "text/event-stream" if body.get("stream") else "application/json"
        handler.send(bomb, headers={"Content-Encoding": coding, "Content-Type": kind})

    return reply


def redirecting(status: int, location: str) -> Callable[[Handler, dict[str, Any], list[str]], None]:
    def reply(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
        handler.send_json({"moved": True}, status=status, headers={"Location": location})

    return reply


KEY = "sk-0123456789-do-not-show"
TEXT = "a text that nobody else may read"
ONCE = Retry(attempts=1)

Ask = Callable[[Provider, float], Any]


def _embed(model: Any) -> Any:
    return EmbeddingGenerator(model, retry=ONCE).generate(TEXT)


async def _aembed(model: Any) -> Any:
    return await EmbeddingGenerator(model, retry=ONCE).agenerate(TEXT)


def openai_model(provider: Provider, timeout_s: float) -> OpenAIModel:
    return OpenAIModel("m", api_key=KEY, base_url=f"{provider.origin}/v1", dimensions=3, timeout_s=timeout_s)


def azure_model(provider: Provider, timeout_s: float) -> OpenAIModel:
    return OpenAIModel(
        "m", api_key=KEY, base_url=provider.origin, api_version="2024-10-21", dimensions=3, timeout_s=timeout_s
    )


def cohere_model(provider: Provider, timeout_s: float) -> CohereModel:
    return CohereModel("own-model", api_key=KEY, base_url=provider.origin, timeout_s=timeout_s)


def chat_model(provider: Provider, timeout_s: float) -> OpenAIChat:
    return OpenAIChat("m", api_key=KEY, base_url=f"{provider.origin}/v1", timeout_s=timeout_s, max_retries=0)


def messages() -> list[Message]:
    return [Message("user", TEXT)]


async def astreamed(chat: OpenAIChat) -> str:
    return "".join([piece.text async for piece in chat.astream(messages())])


def reranked(provider: Provider, timeout_s: float) -> list[SearchResult]:
    reranker = CohereReranker(api_key=KEY, base_url=provider.origin, timeout_s=timeout_s, max_retries=0)
    return reranker.rerank("question", [result("a"), result("b")])


def result(id: str) -> SearchResult:
    return SearchResult(chunk=Chunk.whole(TEXT, id=id), score=1.0)


def streamed(chat: OpenAIChat) -> str:
    return "".join(piece.text for piece in chat.stream(messages()))


CLIENTS: dict[str, Ask] = {
    "embeddings": lambda p, t: _embed(openai_model(p, t)),
    "async embeddings": lambda p, t: asyncio.run(_aembed(openai_model(p, t))),
    "azure": lambda p, t: _embed(azure_model(p, t)),
    "async azure": lambda p, t: asyncio.run(_aembed(azure_model(p, t))),
    "cohere": lambda p, t: _embed(cohere_model(p, t)),
    "async cohere": lambda p, t: asyncio.run(_aembed(cohere_model(p, t))),
    "chat": lambda p, t: chat_model(p, t).complete(messages()),
    "async chat": lambda p, t: asyncio.run(chat_model(p, t).acomplete(messages())),
    "chat stream": lambda p, t: streamed(chat_model(p, t)),
    "async chat stream": lambda p, t: asyncio.run(astreamed(chat_model(p, t))),
    "rerank": reranked,
}
