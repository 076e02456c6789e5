"""Run the application on an address until a signal stops it."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from embedpipe.errors import ConfigurationError

_GRACE_S = 5.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_BACKLOG = 2048
_KEEP_ALIVE_S = 75
"""Longer than clients keep idle connections (5 to 60 s). Otherwise a request may arrive as the server closes one."""


def listen(host: str, port: int) -> socket.socket:
    """Open a listening socket.

    Args:
        host: A host name or address.
        port: The port. 0 takes a free one.

    Raises:
        ConfigurationError: If the address cannot be used.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise ConfigurationError(
            f"The server cannot listen on {host}:{port}: {error.strerror or error}. Choose another --host or --port."
        ) from error
    return listener


def address_of(listener: socket.socket) -> str:
    """Return the URL by which clients call the server."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def spare_machine() -> None:
    """Make a local model leave processor time and memory to the requests. Call this before the model is loaded.

    Otherwise the model's threads spin while they wait for each other, which takes processor time from the requests.
    PyTorch's oneDNN would also keep a compiled program for each batch shape: hundreds of megabytes within a minute,
    without being faster.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "0")


class Server(uvicorn.Server):
    """uvicorn's server, which calls `on_ready` when it can answer the first request."""

    def __init__(self, app: FastAPI, *, timeout_s: float, on_ready: Callable[[], object] | None = None) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",  # not uvloop if installed: it raises when a client has disconnected
                http="h11",
                log_config=None,
                access_log=False,
                backlog=_BACKLOG,
                timeout_keep_alive=_KEEP_ALIVE_S,
                server_header=False,
                timeout_graceful_shutdown=int(timeout_s + _GRACE_S),
            )
        )
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, then call `on_ready`."""
        await super().startup(sockets)
        if self._on_ready is not None and self.started:
            self._on_ready()


def run(app: FastAPI, listener: socket.socket, *, timeout_s: float, on_ready: Callable[[], object]) -> None:
    """Serve until SIGINT or SIGTERM, then finish the requests in progress.

    A second SIGINT stops the server at once.

    Args:
        app: The application, from `create_app`.
        listener: The socket, from `listen`.
        timeout_s: Seconds that the requests in progress get to finish.
        on_ready: Called when the first request can be answered.
    """
    with _ended_by_signals():
        Server(app, timeout_s=timeout_s, on_ready=on_ready).run(sockets=[listener])


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Ignore the signal that uvicorn raises again after it has stopped. It would look like a crash."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {each: signal.signal(each, lambda number, frame: None) for each in _SIGNALS}
    try:
        yield
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)
