"""Who is let in, for how long, and how much of a body is read."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from embedpipe.server import errors
from embedpipe.server.errors import ApiError
from embedpipe.server.settings import ServerSettings

_DRAIN_S = 5.0
_SMOOTHING = 0.1


class Load:
    """The requests under way and the bytes of their bodies, within bounds; who does not fit is refused with 429."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self.requests = 0
        self.bytes = 0
        self._seconds = 0.0

    def enter(self) -> None:
        """Takes a place."""
        if self.requests >= self._settings.max_requests:
            raise self._refusal(f"{self.requests} requests are under way")
        self.requests += 1

    def leave(self, seconds: float, held: int) -> None:
        """Gives the place and the body's bytes back."""
        self.requests -= 1
        self.bytes -= held
        self._seconds += _SMOOTHING * (seconds - self._seconds)

    def hold(self, count: int) -> None:
        """Takes room for so many bytes of a body."""
        if self.bytes + count > self._settings.max_pending_bytes:
            raise self._refusal(f"{self.bytes} bytes of requests are under way")
        self.bytes += count

    def _refusal(self, reason: str) -> ApiError:
        wait = min(max(math.ceil(self._seconds), 1), 60)  # by then, most of those under way will have been answered
        return ApiError(
            429,
            f"The server is at its limit: {reason}. Send the request again in {wait} s.",
            type="rate_limit_error",
            code="overloaded",
            headers={"Retry-After": str(wait)},
        )


class Admission:
    """Runs a request once its whole body is there, until it is answered, its time is up or its client has gone.

    What is cancelled holds no place, no memory and no turn at the model any longer. `is_open` says which paths are
    let in whatever the load, with their bodies bounded all the same.
    """

    def __init__(self, app: ASGIApp, *, settings: ServerSettings, load: Load, is_open: Callable[[str], bool]) -> None:
        self._app = app
        self._settings = settings
        self._load = load
        self._is_open = is_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._is_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        body = _Body(scope, receive, limit=self._settings.max_body_bytes, load=self._load)
        started = time.monotonic()
        try:
            self._load.enter()
        except ApiError as error:
            await self._refuse(error, scope, body, answer)
            return
        try:
            await self._answered(scope, body, answer)
        except ApiError as error:
            await self._refuse(error, scope, body, answer)
        except _GoneError:
            return
        finally:
            self._load.leave(time.monotonic() - started, body.held)

    async def _answered(self, scope: Scope, body: _Body, answer: _Answer) -> None:
        limit_s = self._settings.request_timeout_s
        try:
            async with asyncio.timeout(limit_s) as timeout:
                await body.read()
                answer.timeout = timeout
                await _while_connected(self._app(scope, body.replay, answer), body, answer)
        except TimeoutError:
            if not timeout.expired():
                raise
            if not body.complete:
                raise ApiError(408, f"The body did not come within {limit_s:g} s.", code="timeout") from None
            raise ApiError(
                504,
                f"There was no answer within {limit_s:g} s, and the work was given up.",
                type="server_error",
                code="timeout",
            ) from None

    async def _refuse(self, error: ApiError, scope: Scope, body: _Body, answer: _Answer) -> None:
        if answer.started:
            return
        if body.complete:
            await errors.response(error, scope)(scope, body.replay, answer.send)
            return
        response = errors.response(error, scope)
        response.headers["Connection"] = "close"
        await answer.send(
            {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers}
        )
        await answer.send({"type": "http.response.body", "body": response.body, "more_body": True})
        await body.drain()
        await answer.send({"type": "http.response.body", "body": b""})


class _GoneError(Exception):
    """The client has gone."""


class _Answer:
    """The way to the client; knows whether the answer has begun and ended, and ends the time limit when it begins."""

    def __init__(self, send: Send) -> None:
        self.send = send
        self.started = False
        self.complete = False
        self.timeout: asyncio.Timeout | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            if self.timeout is not None and not self.timeout.expired():
                self.timeout.reschedule(None)
        else:
            self.complete = not message.get("more_body", False)
        await self.send(message)


class _Body:
    """A request's body, read within its limit before the request runs, and then handed on in one piece."""

    def __init__(self, scope: Scope, receive: Receive, *, limit: int, load: Load) -> None:
        self._receive = receive
        self._limit = limit
        self._load = load
        self._declared = _declared(scope)
        self._chunks: list[bytes] = []
        self._handed_on = False
        self.held = 0
        self.complete = False
        self.gone = asyncio.Event()

    async def read(self) -> None:
        """Reads it; `ApiError` 413 as soon as it is known to be too large."""
        self._check(self._declared)
        while not self.complete:
            message = await self._next()
            chunk: bytes = message.get("body", b"")
            if chunk:
                self._check(self.held + len(chunk))
                self._load.hold(len(chunk))
                self.held += len(chunk)
                self._chunks.append(chunk)

    async def replay(self) -> Message:
        """The body, and from then on nothing until the client has gone."""
        if self._handed_on:
            await self.gone.wait()
            return {"type": "http.disconnect"}
        self._handed_on = True
        body = b"".join(self._chunks)
        self._chunks.clear()
        return {"type": "http.request", "body": body, "more_body": False}

    async def until_gone(self) -> None:
        """Returns when the client has gone."""
        while (await self._receive())["type"] != "http.disconnect":
            continue
        self.gone.set()

    async def drain(self) -> None:
        """Reads on for a while and throws away, since a client that still sends would not see its refusal."""
        try:
            async with asyncio.timeout(_DRAIN_S):
                while not self.complete:
                    await self._next()
        except (TimeoutError, _GoneError):
            return

    async def _next(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise _GoneError
        self.complete = not message.get("more_body", False)
        return message

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise ApiError(
                413,
                f"A body of at most {self._limit} bytes was expected, and a larger one came. Send it in parts.",
                code="body_too_large",
            )


def _declared(scope: Scope) -> int:
    """The body's size as its header states it; 0 where it does not."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


async def _while_connected(work: Awaitable[None], body: _Body, answer: _Answer) -> None:
    """Runs the request; cancels it, and raises `_GoneError`, where the client goes before it is answered."""
    running = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(body.until_gone())
    try:
        await asyncio.wait((running, watching), return_when=asyncio.FIRST_COMPLETED)
        if not running.done() and not answer.complete:
            raise _GoneError
        await running
    finally:
        running.cancel()
        watching.cancel()
        await asyncio.gather(running, watching, return_exceptions=True)
