"""A provider on loopback with one bad habit at a time, for embeddings, chat and rerank."""

from __future__ import annotations

import json
import socket
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BOMB = 256 << 20


@dataclass(frozen=True, kw_only=True)
class Habit:
    """How a provider answers when all is well, as its published interface says.

    Args:
        answer: The JSON for a request's body and its texts.
        opening: A stream's events before the first piece.
        piece: The event of a piece of text.
        thought: The event of a piece of reasoning.
        silent: Events with neither.
        ending: A stream's events behind the last piece.
        broken: Streams, or their beginnings, that are none.
    """

    answer: Callable[[dict[str, Any], list[str]], Any]
    opening: bytes = b""
    piece: Callable[[str], bytes] = str.encode
    thought: Callable[[str], bytes] = str.encode
    silent: tuple[bytes, ...] = ()
    ending: bytes = b""
    broken: Mapping[str, bytes] = field(default_factory=dict)

    def stream(self, *pieces: str) -> bytes:
        """The stream of a whole answer."""
        return self.opening + b"".join(map(self.piece, pieces)) + self.ending


def _as_openai(body: dict[str, Any], texts: list[str]) -> Any:
    return {"data": [{"index": n, "embedding": [1.0, 2.0, float(len(text))]} for n, text in enumerate(texts)]}


@dataclass
class Provider:
    """What was asked, and how to answer: `reply` gets the request's handler, its body and its texts."""

    reply: Callable[[Handler, dict[str, Any], list[str]], None]
    habit: Habit = field(default_factory=lambda: Habit(answer=_as_openai))
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
        texts = [each["content"]["parts"][0]["text"] for each in body.get("requests", [])] or texts
        texts = [body["inputText"]] if "inputText" in body else texts
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


def is_stream(handler: Handler, body: dict[str, Any]) -> bool:
    """Whether the request asks for a stream."""
    return bool(body.get("stream")) or "streamGenerateContent" in handler.provider.paths[0]


def good(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
    habit = handler.provider.habit
    if is_stream(handler, body):
        handler.send(habit.stream("An ", "answer."), headers={"Content-Type": "text/event-stream"})
    else:
        handler.send_json(habit.answer(body, texts))


def dripping(data: bytes, *, head: bool) -> Callable[[Handler, dict[str, Any], list[str]], None]:
    """One byte at a time, for ever: the reply's head, or its body after a good head."""

    def reply(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
        if not head:
            handler.send_response(200)
            handler.send_header("Content-Type", "text/event-stream" if is_stream(handler, body) else "application/json")
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
        kind = "text/event-stream" if is_stream(handler, body) else "application/json"
        handler.send(bomb, headers={"Content-Encoding": coding, "Content-Type": kind})

    return reply


def redirecting(status: int, location: str) -> Callable[[Handler, dict[str, Any], list[str]], None]:
    def reply(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
        handler.send_json({"moved": True}, status=status, headers={"Location": location})

    return reply
