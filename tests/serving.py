"""Servers on a real socket of loopback, and a model that waits until it is let go."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
from fastapi import FastAPI

from embedpipe.server import ApiKeys, Server, ServerSettings, address_of, create_app, listen, run
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Kind, Vectors


@contextmanager
def serving(app: FastAPI, *, timeout_s: float = 30.0) -> Iterator[str]:
    """The URL of the application, which is served in a thread until the end."""
    listener = listen("127.0.0.1", 0)
    url = address_of(listener)
    ready = threading.Event()
    served = Server(app, timeout_s=timeout_s, on_ready=ready.set)
    thread = threading.Thread(target=served.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not ready.wait(0.1):
            assert thread.is_alive(), "the server did not start"
        yield url
    finally:
        served.should_exit = True
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


JSON = {"content-type": "application/json"}


@contextmanager
def server(
    database_url: str, *, keys: ApiKeys | None = None, **settings: Any
) -> Iterator[tuple[httpx.Client, GatedModel]]:
    """A client of a server with these settings, and the gated model behind it."""
    model = GatedModel()
    app = create_app(model, database=database_url, keys=keys or ApiKeys(), settings=ServerSettings(**settings))
    with serving(app) as url, httpx.Client(base_url=url, timeout=30) as client:
        try:
            yield client, model
        finally:
            model.gate.set()


def check_error(response: httpx.Response, status: int, code: str | None = None) -> str:
    """The message, once the error has its one shape."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    error = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code", "request_id"}
    assert error["request_id"] == response.headers["x-request-id"]
    assert code in (None, error["code"])
    message: str = error["message"]
    assert "Traceback" not in message
    return message


def embed(client: httpx.Client, text: str) -> httpx.Response:
    return client.post("/embed/batch", json={"texts": [text]})


def check_well(client: httpx.Client) -> None:
    assert embed(client, "still there").status_code == 200
    found = client.post("/search", json={"query": "a text"})
    assert found.status_code in (200, 404)


def raw(client: httpx.Client) -> socket.socket:
    address = urlsplit(str(client.base_url))
    return socket.create_connection((address.hostname, address.port), timeout=20)


def head(path: str, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "host: 127.0.0.1", "content-type: application/json", *headers, "", ""]
    return "\r\n".join(lines).encode()


def received(connection: socket.socket) -> bytes:
    return connection.recv(65536)


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.02)


def refuses(url: str) -> bool:
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname, address.port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


if __name__ == "__main__":
    gated = GatedModel()
    application = create_app(gated, database=sys.argv[1])
    bound = listen("127.0.0.1", 0)

    def opened_by_stdin() -> None:
        sys.stdin.readline()
        gated.gate.set()

    def ready() -> None:
        sys.stdout.write(address_of(bound) + "\n")
        sys.stdout.flush()

    threading.Thread(target=opened_by_stdin, daemon=True).start()
    run(application, bound, timeout_s=30, on_ready=ready)
