"""At the door: the key, and on this machine alone the name that the server was called by."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from embedpipe.server import errors
from embedpipe.server.errors import ApiError
from embedpipe.server.security import ApiKeys, is_loopback

OPEN_PATHS = ("/", "/healthz", "/docs", "/openapi.json")
"""Those that need no key: they hold nothing of the collections."""

PAGE_PATHS = "/page/"

_READING_POSTS = ("/answer", "/embed", "/embed/batch", "/rerank", "/search", "/v1/embeddings")
"""What is asked by POST and changes nothing."""


def is_open(path: str) -> bool:
    """Whether the path needs no key."""
    return path in OPEN_PATHS or path.startswith(PAGE_PATHS)


class Guard:
    """Refuses whoever brings no key of these, before a byte of the body is read.

    Without keys, and unless `any_host`, only calls to a loopback name are taken: a web page that has its own name
    point to this machine (DNS rebinding) gets nothing.
    """

    def __init__(self, app: ASGIApp, *, keys: ApiKeys, any_host: bool = False) -> None:
        self._app = app
        self._keys = keys
        self._any_host = any_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await errors.response(refusal, scope)(scope, receive, send)

    def _refusal(self, scope: Scope) -> ApiError | None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if not self._keys:
            return None if self._any_host or _is_local(headers.get(b"host", "")) else _WRONG_HOST
        if is_open(scope["path"]):
            return None
        scheme, _, key = headers.get(b"authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not self._keys.holds(key.strip()):
            return _NO_KEY
        return None if _only_reads(scope) or self._keys.may_write(key.strip()) else _NO_RIGHT


def _only_reads(scope: Scope) -> bool:
    return scope["method"] in ("GET", "HEAD", "OPTIONS") or scope["path"] in _READING_POSTS


def _is_local(host: str) -> bool:
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    return is_loopback(name)


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
    "Without API keys the server answers to 127.0.0.1 and localhost alone. Call it by one of these names.",
    type="permission_error",
    code="wrong_host",
)
