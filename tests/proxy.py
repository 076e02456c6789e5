"""A TCP proxy on loopback that mistreats PostgreSQL's protocol at a chosen message, and other protocols at any byte.

It acknowledges every packet, as a proxy or a stopped process does, so that TCP notices nothing.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qs, urlsplit

Phase = Literal[
    "connect",
    "tls",
    "handshake",
    "startup",
    "authentication",
    "query",
    "parameters",
    "result",
    "commit",
    "committed",
    "request",
    "reply",
]
"""The first message of which kind: `commit` is COMMIT on its way to the server, `committed` the answer on its way back.

`connect` is before any message, `tls` the answer to the client's wish for TLS, `handshake` what the client sends once
the server agreed, `parameters` a Bind of over 64 KB. `request` and `reply` are whatever comes from either side where
messages are not told apart: after a handshake, and with `blindly`.
"""
Action = Literal["swallow", "freeze", "reset", "delay", "trickle", "slow"]
"""What happens to it, and to what follows on its connection.

`swallow` reads on and forwards nothing; `freeze` does not even read; `reset` ends both sides; `delay` holds it for a
moment; `trickle` sends it on byte by byte, too slowly for any limit; `slow` in small pieces, in good time.
"""

BULK = 1 << 16
_WISHES, _CANCEL = (80877103, 80877104), 80877102  # for TLS or GSSAPI
_DELAY_S, _TRICKLE_S = 0.3, 2.0
_SLOW_BYTES, _SLOW_S = 1 << 14, 0.002


@dataclass
class Fault:
    """What is to happen, once."""

    phase: Phase
    action: Action
    happened: threading.Event = field(default_factory=threading.Event)


class Proxy:
    """Forwards connections to `upstream`, a Unix socket's path or a TCP address. Use as a context manager.

    With `blindly` the protocol may be any.
    """

    def __init__(self, upstream: str | tuple[str, int], *, blindly: bool = False) -> None:
        self._upstream = upstream
        self.blindly = blindly
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._armed: list[Fault] = []
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.read_only = False
        """Whether new sessions are read-only, as those of a standby."""
        self.seen: Counter[str] = Counter()
        """How many messages of each phase there were."""

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> Proxy:
        self.start(self._accept)
        return self

    def __exit__(self, *args: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            sockets, threads = list(self._sockets), list(self._threads)
        for each in sockets:
            end(each)
        for thread in threads:
            thread.join(10)
        for each in sockets:
            each.close()

    def arm(self, phase: Phase, action: Action) -> Fault:
        """Have the next message of the phase, on any connection, meet with the action."""
        fault = Fault(phase, action)
        with self._lock:
            self._armed.append(fault)
        return fault

    def disarm(self) -> None:
        with self._lock:
            self._armed.clear()

    def fault(self, phase: str) -> Fault | None:
        """Return what is to happen to a message of that phase, which happens now."""
        with self._lock:
            self.seen[phase] += 1
            for place, fault in enumerate(self._armed):
                if fault.phase == phase:
                    del self._armed[place]
                    fault.happened.set()
                    return fault
        return None

    def start(self, work: object, *args: object) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)  # type: ignore[arg-type]  # a callable
        with self._lock:
            self._threads.append(thread)
        thread.start()

    def keep(self, each: socket.socket) -> socket.socket:
        with self._lock:
            self._sockets.append(each)
        return each

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.start(_Session(self, self.keep(client), self._upstream).run)


class _EndedError(Exception):
    """One side closed its connection, or the fault did."""


class _Session:
    """One client's connection and the server's."""

    def __init__(self, proxy: Proxy, client: socket.socket, upstream: str | tuple[str, int]) -> None:
        self._proxy, self._client, self._address = proxy, client, upstream
        self._server: socket.socket | None = None
        self._action: Action | None = None

    def run(self) -> None:
        try:
            self._meet("connect", b"", self._client)
            self._server = self._proxy.keep(_connected(self._address))
            startup = b"" if self._proxy.blindly else self._startup()
            self._proxy.start(self._back, not startup)
            if startup:
                self._meet("startup", startup, self._server)
            else:
                self._meet("handshake", self._client.recv(BULK), self._server)
                self._blindly(self._client, self._server, "request")
            while True:
                self._front()
        except (_EndedError, OSError):
            self._close()

    def _startup(self) -> bytes:
        """Return the client's first message; empty where it and the server agreed on TLS, and cannot be read on."""
        assert self._server is not None
        while True:
            size = _exactly(self._client, 4)
            body = _exactly(self._client, struct.unpack("!I", size)[0] - 4)
            code = struct.unpack("!I", body[:4])[0]
            if code == _CANCEL:
                self._server.sendall(size + body)
                raise _EndedError
            if code not in _WISHES:
                return self._changed(body)
            self._server.sendall(size + body)
            answer = _exactly(self._server, 1)
            self._meet("tls", answer, self._client)
            if answer != b"N":
                return b""

    def _blindly(self, source: socket.socket, to: socket.socket, phase: str) -> None:
        while data := source.recv(BULK):
            self._meet(phase, data, to)
        raise _EndedError

    def _changed(self, startup: bytes) -> bytes:
        if self._proxy.read_only:
            startup = startup[:-1] + b"options\0-c default_transaction_read_only=on\0\0"
        return struct.pack("!I", len(startup) + 4) + startup

    def _front(self) -> None:
        assert self._server is not None
        head = _exactly(self._client, 5)
        kind, size = head[:1], struct.unpack("!I", head[1:])[0] - 4
        if kind == b"B" and size > BULK:
            self._meet("parameters", head, self._server)
            for start in range(0, size, BULK):
                self._send(_exactly(self._client, min(BULK, size - start)), self._server)
            return
        body = _exactly(self._client, size)
        statement = body.split(b"\0")[0 if kind == b"Q" else 1] if kind in b"QP" else b""
        if statement == b"COMMIT":
            self._meet("commit", head + body, self._server)
        elif statement and not statement.startswith((b"BEGIN", b"ROLLBACK")):
            self._meet("query", head + body, self._server)
        else:
            self._send(head + body, self._server)

    def _back(self, blindly: bool) -> None:
        assert self._server is not None
        try:
            if blindly:
                self._blindly(self._server, self._client, "reply")
            while True:
                head = _exactly(self._server, 5)
                body = _exactly(self._server, struct.unpack("!I", head[1:])[0] - 4)
                phase = {b"R": "authentication", b"D": "result"}.get(head[:1])
                if head[:1] == b"C" and body == b"COMMIT\0":
                    phase = "committed"
                if phase is None:
                    self._send(head + body, self._client)
                else:
                    self._meet(phase, head + body, self._client)
        except (_EndedError, OSError):
            if self._action not in ("swallow", "freeze"):  # else the client does not learn that the server is gone
                self._close()

    def _meet(self, phase: str, message: bytes, to: socket.socket) -> None:
        fault = self._proxy.fault(phase)
        if fault is not None:
            self._action = fault.action
            if fault.action == "reset":
                reset(self._client)
                raise _EndedError
        self._send(message, to)

    def _send(self, data: bytes, to: socket.socket) -> None:
        if self._action == "swallow" and self._server is None:
            _until_closed(self._client)
        elif self._action == "freeze":
            _end_if_hung_up(self._client, None)
        elif self._action == "delay":
            _end_if_hung_up(self._client, _DELAY_S)
            self._action = None
            to.sendall(data)
        elif self._action in ("trickle", "slow"):
            step, pause = (1, _TRICKLE_S) if self._action == "trickle" else (_SLOW_BYTES, _SLOW_S)
            for start in range(0, len(data), step):
                _end_if_hung_up(self._client, pause)
                to.sendall(data[start : start + step])
        elif self._action != "swallow":
            to.sendall(data)

    def _close(self) -> None:
        for each in (self._client, self._server):
            if each is not None:
                end(each)


def _connected(address: str | tuple[str, int]) -> socket.socket:
    if isinstance(address, tuple):
        return socket.create_connection(address)
    server = socket.socket(socket.AF_UNIX)
    server.connect(address)
    return server


def _exactly(source: socket.socket, size: int) -> bytes:
    parts = []
    while size:
        part = source.recv(min(size, 1 << 20))
        if not part:
            raise _EndedError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _until_closed(source: socket.socket) -> None:
    while source.recv(1 << 20):
        pass
    raise _EndedError


def _end_if_hung_up(client: socket.socket, seconds: float | None) -> None:
    """Wait for so long, None for ever, unless the client closes its side meanwhile. Nothing that it sent is read."""
    poll = select.poll()
    poll.register(client, select.POLLRDHUP)
    if poll.poll(None if seconds is None else seconds * 1000):
        raise _EndedError


def end(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)


def reset(client: socket.socket) -> None:
    """Close a connection with RST, as a machine does that knows nothing of it."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.shutdown(socket.SHUT_RD)  # ends the other thread's wait, without which nothing is sent
    client.close()


@contextmanager
def before(url: str) -> Iterator[tuple[Proxy, str]]:
    """A proxy before the server that the URL names by its Unix socket, and the URL through the proxy."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    with Proxy(f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}") as proxy:
        yield proxy, f"postgresql://{parts.netloc}127.0.0.1:{proxy.port}{parts.path}"
