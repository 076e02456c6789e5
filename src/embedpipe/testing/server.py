"""An embeddings server on loopback with planned faults. It uses real sockets."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias

import numpy as np

from embedpipe._forking import Lock, register
from embedpipe.types import EmbeddingModel, Kind, Vectors

Damage: TypeAlias = Literal["missing", "shuffled", "wrong_dimension", "nan", "zero", "not_json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A planned fault: what one request gets instead of a good reply. Use the constructors below."""

    kind: Literal["status", "cut", "hang", "damage"]
    code: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    damage: Damage | None = None

    @classmethod
    def status(cls, code: int, *, retry_after: float | str | None = None) -> Fault:
        """Reply with an error.

        Args:
            code: The HTTP status.
            retry_after: The Retry-After header: seconds or a date.
        """
        headers = () if retry_after is None else (("Retry-After", str(retry_after)),)
        return cls(kind="status", code=code, headers=headers)

    @classmethod
    def cut(cls) -> Fault:
        """Break the connection in the middle of the reply."""
        return cls(kind="cut")

    @classmethod
    def hang(cls) -> Fault:
        """Send no reply until the server stops."""
        return cls(kind="hang")

    @classmethod
    def damaged(cls, damage: Damage) -> Fault:
        """Reply with status 200 and wrong vectors.

        Args:
            damage: What is wrong with the vectors.
        """
        return cls(kind="damage", damage=damage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request that the server received. Header names are in lower case. `at` is its time by `time.monotonic`."""

    path: str
    headers: dict[str, str]
    model: str
    texts: Sequence[str]
    body: dict[str, Any] = field(repr=False)
    at: float


class EmbeddingServer:
    """Serves a model on a free loopback port, like OpenAI's `/v1/embeddings`, Azure's paths and Cohere's `/v2/embed`.

    Use it as a context manager, or call `start` and `stop`. Like the real APIs, it answers empty inputs and more than
    2,048 inputs with status 400. Its `requests` are the requests received.
    """

    def __init__(
        self,
        model: EmbeddingModel,
        *,
        faults: Iterable[Fault | None] = (),
        latency_s: float = 0.0,
        refuse: Callable[[str], bool] = lambda text: False,
        api_key: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Set up the server. `start` makes it listen.

        Args:
            model: Embeds the texts.
            faults: What the first requests get, in order. None in the list stands for a good reply.
            latency_s: Seconds to wait before each reply.
            refuse: Texts for which this is true are answered with status 400.
            api_key: The required API key. None accepts any.
            headers: Sent with each reply.
        """
        self.model = model
        self.faults = deque(faults)
        self.latency_s = latency_s
        self.refuse = refuse
        self.api_key = api_key
        self.headers = headers or {}
        self.requests: list[Request] = []
        self.lock = Lock()
        self.stopping = threading.Event()
        self._port = 0
        self._server: _Server | None = None
        register(self)

    @property
    def url(self) -> str:
        """Return the `base_url` for OpenAI's API."""
        return f"{self.origin}/v1"

    @property
    def origin(self) -> str:
        """Return the `base_url` for Cohere's API and for Azure's."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> Self:
        """Start listening. After `stop`, the port is the same as before."""
        self.stopping.clear()
        self._server = _Server(("127.0.0.1", self._port), _handler(self))
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Break all connections and stop listening."""
        self.stopping.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server.close_connections()
            self._server = None

    def after_fork(self) -> None:
        """Let the parent process serve alone. A child that calls `start` gets a server of its own."""
        if self._server is not None:
            self._server.leave()
        self._server, self.stopping = None, threading.Event()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._open: set[Any] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        for connection in list(self._open):
            self.shutdown_request(connection)

    def leave(self) -> None:
        """Close this process's copies of the sockets. The clients stay connected to the parent."""
        self.server_close()
        for connection in self._open:
            connection.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnected."""


def _handler(server: EmbeddingServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            texts = body["texts"] if "texts" in body else body["input"]
            texts = [texts] if isinstance(texts, str) else texts
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(
                path=self.path,
                headers=headers,
                model=body.get("model", ""),
                texts=texts,
                body=body,
                at=time.monotonic(),
            )
            with server.lock:
                server.requests.append(request)
                fault = server.faults.popleft() if server.faults else None
            server.stopping.wait(server.latency_s)
            self._answer(request, fault)

        def _answer(self, request: Request, fault: Fault | None) -> None:
            if fault and fault.kind == "hang":
                server.stopping.wait()
                self.close_connection = True
            elif fault and fault.kind == "status":
                self._send(fault.code, _error(f"planned fault {fault.code}"), headers=fault.headers)
            elif refusal := _refusal(server, request):
                self._send(*refusal)
            else:
                reply = _reply(server.model, request, fault.damage if fault else None)
                self._send(200, reply, cut=bool(fault and fault.kind == "cut"))

        def _send(self, code: int, body: bytes, *, headers: Iterable[tuple[str, str]] = (), cut: bool = False) -> None:
            self.send_response(code)
            for name, value in (*server.headers.items(), *headers):
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if cut else body)
            self.wfile.flush()
            self.close_connection = self.close_connection or cut

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

    return Handler


def _error(message: str, kind: str = "server_error") -> bytes:
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": None}}).encode()


def _refusal(server: EmbeddingServer, request: Request) -> tuple[int, bytes] | None:
    given = request.headers.get("authorization", "").removeprefix("Bearer ") or request.headers.get("api-key", "")
    if server.api_key is not None and given != server.api_key:
        return 401, _error(f"Incorrect API key provided: {given}", "invalid_request_error")
    if not request.texts or len(request.texts) > 2048:
        return 400, _error("input must have 1 to 2048 elements", "invalid_request_error")
    if any(not text or server.refuse(text) for text in request.texts):
        return 400, _error("'$.input' is invalid", "invalid_request_error")
    return None


def _reply(model: EmbeddingModel, request: Request, damage: Damage | None) -> bytes:
    if damage == "not_json":
        return b"<html>a proxy's page</html>"
    kind: Kind = "query" if request.body.get("input_type") == "search_query" else "document"
    vectors = _damaged(model.embed(request.texts, kind), damage)
    if "input_type" in request.body:
        embeddings = {"float": vectors.tolist()}
        return json.dumps({"id": "1", "embeddings": embeddings, "texts": list(request.texts)}).encode()
    as_text = request.body.get("encoding_format") == "base64"
    rows = [
        {"object": "embedding", "index": index, "embedding": _encoded(vector) if as_text else vector.tolist()}
        for index, vector in enumerate(vectors)
    ]
    if damage == "shuffled":
        rows.reverse()
    if damage == "missing":
        rows.pop()
    usage = {"prompt_tokens": 0, "total_tokens": 0}
    return json.dumps({"object": "list", "data": rows, "model": request.model, "usage": usage}).encode()


def _damaged(vectors: Vectors, damage: Damage | None) -> Vectors:
    if damage == "wrong_dimension":
        return vectors[:, :-1]
    if damage in ("nan", "zero"):
        vectors = vectors.copy()
        vectors[-1] = np.nan if damage == "nan" else 0.0
    return vectors


def _encoded(vector: Vectors) -> str:
    return base64.b64encode(np.ascontiguousarray(vector, dtype="<f4").tobytes()).decode()
