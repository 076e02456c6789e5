"""Check a request's API key, its host name, and the web page that it comes from."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from embedpipe.server.web.api_keys import ApiKeys
from embedpipe.server.web.cross_site import is_called, is_foreign, is_local, name_of
from embedpipe.server.web.error_responses import ApiError, error_response
from embedpipe.server.web.routing import MAY_WRITE, RULES, Access, RouteTable


class AuthMiddleware:
    """Refuse requests without a valid key and requests from web pages of other origins, before the body is read.

    Host names protect against DNS rebinding, where an attacker's domain points to this server:

    - With `hosts`, only these names and loopback names are answered.
    - Without `hosts`, any name is answered if there are keys or if `any_host` is true. Otherwise only loopback names.

    Monitoring calls a server by its current address. So if there are keys, or with `any_host`, probes are answered
    under any name, and so are metrics with a key.
    """

    def __init__(
        self, app: ASGIApp, *, routes: RouteTable, keys: ApiKeys, any_host: bool = False, hosts: Sequence[str] = ()
    ) -> None:
        self._app = app
        self._routes = routes
        self._keys = keys
        self._is_monitored = any_host or bool(keys)
        self._any_host = not hosts and self._is_monitored
        self._hosts = frozenset(map(name_of, hosts))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # no route takes one, and browsers let any page open one
            await send({"type": "websocket.close", "code": 1008})
            return
        refusal = None
        if scope["type"] == "http":
            scope[RULES] = rules = self._routes.find(scope)
            scope[MAY_WRITE] = not self._keys or self._keys.may_write(_key(scope))
            refusal = self._refusal(scope, rules.access)
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await error_response(refusal, scope)(scope, receive, send)

    def _refusal(self, scope: Scope, access: Access) -> ApiError | None:
        key = _key(scope)
        has_key = bool(self._keys) and self._keys.holds(key)
        is_monitoring = access is Access.PROBE or (has_key and access is Access.METRICS)
        any_host = self._any_host or (self._is_monitored and is_monitoring)
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
    """Return the bearer token of a request, "" if it has none."""
    given = next((value for name, value in scope["headers"] if name == b"authorization"), b"").decode("latin-1")
    scheme, _, key = given.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


_NO_KEY = ApiError(
    401,
    "The API key is missing or not valid. Send it in the header `Authorization: Bearer KEY`.",
    type="authentication_error",
    code="invalid_api_key",
    headers={"WWW-Authenticate": "Bearer"},
)
_NO_RIGHT = ApiError(
    403,
    "This API key may only read: search, ask, embed and rerank. Use a key with all rights to change documents.",
    type="permission_error",
    code="read_only_key",
)
_WRONG_HOST = ApiError(
    403,
    "The server does not answer under this host name. Call it by 127.0.0.1 or localhost, or start it with "
    "--allow-host and this name.",
    type="permission_error",
    code="wrong_host",
)
_WRONG_ORIGIN = ApiError(
    403,
    "A web page of another origin sent this request. The server only answers its own page and programs. If the page is "
    "yours, start the server with --allow-host and the host name in the page's address.",
    type="permission_error",
    code="wrong_origin",
)
