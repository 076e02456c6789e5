"""An OpenAI-compatible chat server on loopback, which answers by quoting the sources of the prompt that it gets."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Behaviour = Literal["quote", "misquote", "unknown", "empty", "length"]

_SOURCE = re.compile(r"<<< source \[(\d+)\] (\w{16})\n(.*?)\nsource \[\1\] \2 >>>", re.DOTALL)


@dataclass
class ChatServer:
    """`faults`: statuses for the next requests, 0 for a stream that breaks off; `requests`: the bodies that came."""

    behaviour: Behaviour = "quote"
    faults: list[int] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    base_url: str = ""

    def answer(self, request: dict[str, Any]) -> str:
        sources = {int(m[1]): m[3] for m in _SOURCE.finditer(request["messages"][-1]["content"])}
        number, text = next(iter(sources.items()))
        quote = " ".join(text.split()[:8])
        match self.behaviour:
            case "misquote":
                return f'The source says "nothing of this was ever written" [{number}].'
            case "unknown":
                return f'The source says "{quote}" [{number + 98}].'
            case "empty":
                return ""
            case _:
                return f'The source says "{quote}" [{number}]. That is all.'


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    chat: ChatServer

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.chat.requests.append(body)
        self.chat.headers.append({name.lower(): value for name, value in self.headers.items()})
        fault = self.chat.faults.pop(0) if self.chat.faults else 200
        if fault not in (200, 0):
            self._send(fault, "application/json", json.dumps({"error": {"message": f"planned {fault}"}}))
        elif body.get("stream"):
            self._send(200, "text/event-stream", "".join(self._events(body, broken=fault == 0)))
        else:
            self._send(200, "application/json", json.dumps(self._completion(body)))

    def _completion(self, body: dict[str, Any]) -> dict[str, Any]:
        message = {"role": "assistant", "content": self.chat.answer(body)}
        choice = {"index": 0, "message": message, "finish_reason": self._reason()}
        return {"id": "1", "object": "chat.completion", "created": 1, "model": body["model"], "choices": [choice]} | {
            "usage": {"prompt_tokens": 30, "completion_tokens": 12, "total_tokens": 42}
        }

    def _reason(self) -> str:
        return "length" if self.chat.behaviour == "length" else "stop"

    def _events(self, body: dict[str, Any], *, broken: bool) -> Iterator[str]:
        pieces = re.findall(r"\S+\s*", self.chat.answer(body))
        base = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
        for piece in pieces[: 2 if broken else None]:
            choice = {"index": 0, "delta": {"content": piece}, "finish_reason": None}
            yield f"data: {json.dumps(base | {'choices': [choice]})}\n\n"
        if broken:
            return
        last = {"index": 0, "delta": {}, "finish_reason": self._reason()}
        yield f"data: {json.dumps(base | {'choices': [last]})}\n\n"
        usage = {"prompt_tokens": 30, "completion_tokens": 12, "total_tokens": 42}
        yield f"data: {json.dumps(base | {'choices': [], 'usage': usage})}\n\n"
        yield "data: [DONE]\n\n"

    def _send(self, status: int, kind: str, text: str) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # who hangs up is none
            super().handle_error(request, client_address)


@contextmanager
def running(behaviour: Behaviour = "quote", *, faults: list[int] | None = None) -> Iterator[ChatServer]:
    chat = ChatServer(behaviour, faults=list(faults or []))
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"chat": chat}))
    chat.base_url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield chat
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
