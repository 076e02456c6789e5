"""Read a request's body within its limits, and send its answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from starlette.types import Message, Receive, Scope, Send

from embedpipe._threads import in_thread
from embedpipe.server.web.cross_site import header
from embedpipe.server.web.error_responses import ApiError
from embedpipe.server.web.json_size import is_utf8, values_in
from embedpipe.server.web.routing import RULES

_DRAIN_S = 5.0
_FEW_BYTES = 65_536
_JSON = re.compile(r"application/([^\s/]+\+)?json")


class ClientGoneError(Exception):
    """The client has disconnected."""


class RequestBody:
    """A request's body. It is read within its limits before the request runs, and then passed on in one piece."""

    def __init__(self, scope: Scope, receive: Receive, *, limit: int, most_values: int) -> None:
        self._receive = receive
        self._limit = limit
        self._most_values = most_values
        self._number_weight = scope[RULES].number_weight
        self._declared = _declared(scope)
        self._is_json = _is_json(scope)
        self._chunks: list[bytes] = []
        self._size = 0
        self._handed_on = False
        self._gone = asyncio.Event()
        self.complete = False

    async def read(self, hold: Callable[[int], None]) -> None:
        """Read the body, and call `hold` with the size of each piece.

        Raises:
            ApiError: With status 413 as soon as the body is known to be too large, and with 400 if it holds too many
                values or is not sent as JSON. (Browsers send other content types to any address without asking first,
                so those may come from any web page.)
        """
        self._check(self._declared)
        while not self.complete:
            chunk: bytes = (await self._next()).get("body", b"")
            if chunk and not self._is_json:
                raise ApiError(
                    400, "The body is not sent as JSON. Send Content-Type: application/json.", code="not_json"
                )
            self._size += len(chunk)
            self._check(self._size)
            hold(len(chunk))
            self._chunks.append(chunk)
        self._chunks = [b"".join(self._chunks)]
        if self._size > _FEW_BYTES:
            await in_thread(self._check_values)
        else:
            self._check_values()

    async def replay(self) -> Message:
        """Return the body. Later calls wait until the client disconnects."""
        if self._handed_on:
            await self._gone.wait()
            return {"type": "http.disconnect"}
        self._handed_on = True
        [body] = self._chunks
        self._chunks.clear()  # frees the body as soon as it is parsed
        return {"type": "http.request", "body": body, "more_body": False}

    async def until_gone(self) -> None:
        """Wait until the client disconnects."""
        while (await self._receive())["type"] != "http.disconnect":
            continue
        self._gone.set()

    async def drain(self) -> None:
        """Read and discard the rest for a while. A client that is still sending would not see its refusal."""
        try:
            async with asyncio.timeout(_DRAIN_S):
                while not self.complete:
                    await self._next()
        except (TimeoutError, ClientGoneError):
            return

    async def _next(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        self.complete = not message.get("more_body", False)
        return message

    def _check_values(self) -> None:
        [body] = self._chunks
        if not is_utf8(body):
            raise ApiError(400, "The body is not in UTF-8, as JSON must be.", code="invalid_json")
        count = values_in(body, number_weight=self._number_weight)
        if count > self._most_values:
            raise ApiError(
                400,
                f"The body holds about {count} values (texts, keys, numbers, lists and objects). The limit is "
                f"{self._most_values}. Send it in parts.",
                code="too_many",
            )

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise ApiError(
                413,
                f"The body is larger than {self._limit} bytes. Send it in parts.",
                code="body_too_large",
            )


class ResponseSender:
    """Sends the answer to the client, and knows whether it has started and ended.

    Raises `ClientGoneError` if the client reads nothing for `limit_s` seconds.
    """

    def __init__(self, send: Send, *, limit_s: float, on_end: Callable[[], None]) -> None:
        self._send = send
        self._limit_s = limit_s
        self.started = False
        self.complete = False
        self.timeout: asyncio.Timeout | None = None
        self._on_end = on_end

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            # The time limit is for the beginning of an answer. A stream may take longer.
            if self.timeout is not None and not self.timeout.expired():
                self.timeout.reschedule(None)
        elif not message.get("more_body", False):
            self.complete = True
            self._on_end()  # before the client can send its next request, which would not find a free slot
        try:
            async with asyncio.timeout(self._limit_s):
                await self._send(message)
        except TimeoutError:
            raise ClientGoneError from None


def _declared(scope: Scope) -> int:
    """Return the Content-Length, 0 if there is none."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


def _is_json(scope: Scope) -> bool:
    kinds = [value.partition(";")[0].strip() for value in header(scope, b"content-type")]
    return bool(kinds) and all(_JSON.fullmatch(kind) for kind in kinds)
