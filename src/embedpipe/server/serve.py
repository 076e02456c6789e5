"""A server on an address, until it is told to stop."""

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
"""Longer than clients keep a connection (5 to 60 s), or a request may meet one that is being closed."""


def listen(host: str, port: int) -> socket.socket:
    """A socket on that address, of a free port where the port is 0; `ConfigurationError` where it cannot be had."""
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
    """The URL that a client on this machine or another calls it by."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def spare_machine() -> None:
    """Has a local model leave processor and memory to the rest; to be called before it is loaded.

    Else its threads spin while they wait for each other, which takes the processor from the requests; and PyTorch's
    oneDNN keeps a program for each shape of batch that it meets: hundreds of megabytes in a minute, for no more speed.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "0")


class Server(uvicorn.Server):
    """uvicorn's, with a word when it is ready."""

    def __init__(self, app: FastAPI, *, timeout_s: float, on_ready: Callable[[], object] | None = None) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",  # not whatever happens to be installed: uvloop raises where a client has gone
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
        await super().startup(sockets)
        if self._on_ready is not None and self.started:
            self._on_ready()


def run(app: FastAPI, listener: socket.socket, *, timeout_s: float, on_ready: Callable[[], object]) -> None:
    """Serves until SIGINT or SIGTERM: then nothing new is taken, and what was taken is answered within `timeout_s`.

    A second SIGINT ends it at once. `on_ready` is called when the first request can be answered.
    """
    with _ended_by_signals():
        Server(app, timeout_s=timeout_s, on_ready=on_ready).run(sockets=[listener])


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """uvicorn raises the signal that stopped it once more when it is done, which would look like a crash."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {each: signal.signal(each, lambda number, frame: None) for each in _SIGNALS}
    try:
        yield
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)
