"""Servers on a real socket of loopback, and a model that waits until it is let go."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from fastapi import FastAPI

from embedpipe.server import create_app
from embedpipe.server.running import Server, address_of, listen, run
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Kind, Vectors


@contextmanager
def serving(app: FastAPI, *, timeout_s: float = 30.0) -> Iterator[str]:
    """The URL of the application, which is served in a thread until the end."""
    listener = listen("127.0.0.1", 0)
    url = address_of(listener)
    ready = threading.Event()
    server = Server(app, timeout_s=timeout_s, on_ready=ready.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not ready.wait(0.1):
            assert thread.is_alive(), "the server did not start"
        yield url
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


class GatedModel(FakeEmbeddingModel):
    """A model at which texts that hold "wait" stay until the gate is opened; it remembers its batches."""

    def __init__(self) -> None:
        super().__init__(16)
        self.gate = threading.Event()
        self.arrived = threading.Event()
        self.batches: list[list[str]] = []

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        self.batches.append(list(texts))
        if any("wait" in text for text in texts):
            self.arrived.set()
            assert self.gate.wait(30), "nobody opened the gate"
        return super().embed(texts, kind)


if __name__ == "__main__":
    gated = GatedModel()
    served = create_app(gated, database=sys.argv[1])
    socket = listen("127.0.0.1", 0)

    def opened_by_stdin() -> None:
        sys.stdin.readline()
        gated.gate.set()

    def ready() -> None:
        sys.stdout.write(address_of(socket) + "\n")
        sys.stdout.flush()

    threading.Thread(target=opened_by_stdin, daemon=True).start()
    run(served, socket, timeout_s=30, on_ready=ready)
