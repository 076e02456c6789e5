"""Requests given to an application itself, as a server on a socket would give them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI
from starlette.types import Message

HOST = "127.0.0.1:8000"


def routes(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Every method and path that the application answers, those of included routers too."""
    waiting = list(app.routes)
    while waiting:
        route: Any = waiting.pop()
        if hasattr(route, "original_router"):
            waiting += route.original_router.routes
        elif getattr(route, "methods", None):
            yield from ((method, route.path) for method in route.methods)
        else:
            yield "GET", route.path


class Asked:
    """The answer to one request, and how much of its body was read for it."""

    def __init__(self) -> None:
        self.status = 0
        self.body = b""
        self.read = 0


async def ask(
    app: FastAPI,
    method: str,
    path: str,
    headers: Mapping[str, str] | list[tuple[str, str]],
    body: bytes = b"",
    *,
    leaves: bool = False,
) -> Asked:
    """Send one request with these headers, and by default the host that the server is called by.

    A client that `leaves` takes the first piece of the answer's body and goes.
    """
    asked, gone = Asked(), asyncio.Event()
    given = list(headers.items()) if isinstance(headers, Mapping) else headers
    if not any(name == "host" for name, _ in given):
        given = [("host", HOST), *given]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in given],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
    }

    async def receive() -> Message:
        asked.read += 1
        if asked.read > 1:
            await gone.wait()
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        asked.status = message.get("status", asked.status)
        asked.body += message.get("body", b"")
        if leaves and asked.body:
            gone.set()
            await asyncio.Event().wait()  # as where nobody reads what is sent

    await app(scope, receive, send)
    return asked


def code(asked: Asked) -> str | None:
    try:
        return str(json.loads(asked.body)["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return None
