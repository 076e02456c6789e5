"""Limit the requests in progress, their bodies, and the time until each is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from starlette.types import ASGIApp, Receive, Scope, Send

from embedpipe.server.settings import ServerSettings
from embedpipe.server.web.body import ClientGoneError, RequestBody, ResponseSender
from embedpipe.server.web.capacity import Capacity, Slot
from embedpipe.server.web.error_responses import ApiError, error_response
from embedpipe.server.web.routing import RULES


class BackpressureMiddleware:
    """Run a request once its whole body has arrived. Cancel it when its time is up or its client disconnects.

    A cancelled request frees its slot, its memory and its turn at the model at once. Routes whose `Access` is not
    limited pass through, whatever the load.
    """

    def __init__(self, app: ASGIApp, *, settings: ServerSettings) -> None:
        self._app = app
        self._settings = settings
        self._capacity = Capacity(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope[RULES].access.is_limited:
            await self._app(scope, receive, send)
            return
        limits = self._settings
        body = RequestBody(scope, receive, limit=limits.max_body_bytes, most_values=limits.max_values)
        try:
            await self._admitted(scope, body, send)
        except ApiError as error:
            await _refuse(error, scope, body, send)
        except ClientGoneError:
            return

    async def _admitted(self, scope: Scope, body: RequestBody, send: Send) -> None:
        slot = self._capacity.enter()
        answer = ResponseSender(send, limit_s=self._settings.request_timeout_s, on_end=slot.leave)
        try:
            await self._answered(scope, body, answer, slot=slot)
        except ApiError:
            if not answer.started:
                raise
        finally:
            slot.leave()

    async def _answered(self, scope: Scope, body: RequestBody, answer: ResponseSender, *, slot: Slot) -> None:
        limit_s = self._settings.request_timeout_s
        try:
            async with asyncio.timeout(limit_s) as timeout:
                await body.read(slot.hold)
                answer.timeout = timeout
                await _while_connected(self._app(scope, body.replay, answer), body, answer)
        except TimeoutError:
            if not timeout.expired():
                raise
            raise _too_slow(limit_s, body) from None


def _too_slow(limit_s: float, body: RequestBody) -> ApiError:
    if not body.complete:
        return ApiError(408, f"The body did not arrive within {limit_s:g} s.", code="timeout")
    message = f"There was no answer within {limit_s:g} s, and the server stopped working on it. Ask for less at once."
    return ApiError(504, message, type="server_error", code="timeout")


async def _refuse(error: ApiError, scope: Scope, body: RequestBody, send: Send) -> None:
    """Send the refusal at once. If the body is still arriving, close the connection afterwards."""
    response = error_response(error, scope)
    if body.complete:
        await response(scope, body.replay, send)
        return
    # The status goes out first, and the response ends only after the rest of the body is read. If the connection were
    # closed with unread data, TCP would reset it, and the client would see an error instead of the refusal.
    response.headers["Connection"] = "close"
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    await body.drain()
    await send({"type": "http.response.body", "body": b""})


async def _while_connected(work: Awaitable[None], body: RequestBody, answer: ResponseSender) -> None:
    """Run the request. If the client disconnects before the answer, cancel it and raise `ClientGoneError`."""
    running = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(body.until_gone())
    try:
        await asyncio.wait((running, watching), return_when=asyncio.FIRST_COMPLETED)
        if not running.done() and not answer.complete:
            raise ClientGoneError
        await running
    finally:
        running.cancel()
        watching.cancel()
        await asyncio.gather(running, watching, return_exceptions=True)
