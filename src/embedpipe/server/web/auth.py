"""At the door: the key, the name that the server was called by, and the page that a request comes from."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from embedpipe.server.web.api_keys import ApiKeys
from embedpipe.server.web.cross_site import is_called, is_foreign, is_local, name_of
from embedpipe.server.web.error_responses import ApiError, error_response
from embedpipe.server.web.routing import RULES, Access, RouteTable


class AuthMiddleware:
    """Refuses whoever brings no key of these, and what a page of another origin sends, before a byte of the body.

    Where `hosts` are given the server is called by these names and by loopback ones alone, so that a web page that has
    its own name point to it (DNS rebinding) gets nothing. Without them that holds where there are no keys, unless
    `any_host`. Where there are keys, or `any_host`, others than this machine may look after the server, and call it by
    its present address: they get its health under any name, and its metrics with a key.
    """

    def __init__(
        self, app: ASGIApp, *, routes: RouteTable, keys: ApiKeys, any_host: bool = False, hosts: Sequence[str] = ()
    ) -> None:
        self._app = app
        self._routes = routes
        self._keys = keys
        self._looked_after = any_host or bool(keys)
        self._any_host = not hosts and self._looked_after
        self._hosts = frozenset(map(name_of, hosts))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # no route takes one, and a browser opens one to any origin
            await send({"type": "websocket.close", "code": 1008})
            return
        refusal = None
        if scope["type"] == "http":
            scope[RULES] = rules = self._routes.find(scope)
            refusal = self._refusal(scope, rules.access)
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await error_response(refusal, scope)(scope, receive, send)

    def _refusal(self, scope: Scope, access: Access) -> ApiError | None:
        key = _key(scope)
        has_key = bool(self._keys) and self._keys.holds(key)
        watched = access is Access.PROBE or (has_key and access is Access.METRICS)
        any_host = self._any_host or (self._looked_after and watched)
        if not (any_host or is_local(scope) or is_called(scope, self._hosts)):
            return _WRONG_HOST
        if is_foreign(scope, self._hosts, has_key=has_key, is_page=access is Access.PAGE):
            return _WRONG_ORIGIN
        if not self._keys or not access.needs_key:
            return None
        if not has_key:
            return _NO_KEY
        return _NO_RIGHT if access is Access.WRITE and not self._keys.may_write(key) else None


def _key(scope: Scope) -> str:
    """The key of a request as it was written; "" where it has none."""
    given = next((value for name, value in scope["headers"] if name == b"authorization"), b"").decode("latin-1")
    scheme, _, key = given.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


_NO_KEY = ApiError(
    401,
    "A valid API key was expected in the header `Authorization: Bearer ...`.",
    type="authentication_error",
    code="invalid_api_key",
    headers={"WWW-Authenticate": "Bearer"},
)
_NO_RIGHT = ApiError(
    403,
    "This API key may only read: search, ask, embed and rerank. Changes need a key that may do everything.",
    type="permission_error",
    code="read_only_key",
)
_WRONG_HOST = ApiError(
    403,
    "The server does not answer to the name that it was called by. Call it by 127.0.0.1 or localhost, or start it with "
    "--allow-host and that name.",
    type="permission_error",
    code="wrong_host",
)
_WRONG_ORIGIN = ApiError(
    403,
    "A web page of another origin sent this, and the server answers its own page and programs alone. Where the page is "
    "yours, start the server with --allow-host and the name in the page's address.",
    type="permission_error",
    code="wrong_origin",
)
