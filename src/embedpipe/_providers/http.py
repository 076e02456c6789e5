"""HTTP clients for the providers' SDKs: bounded in bytes and in time, and never redirected to another origin.

An SDK takes a client of the HTTP library that it stands on (httpx, or httpx2 for newer ones of OpenAI's), so the
classes are made for the library that is given.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import math
import re
import socket
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Any, Self

_CONNECT_S = 10.0  # a host that does not answer is known by then
_REDIRECTS = 5
_ERROR_BYTES = 1 << 16  # of a failure only a line is shown
_SLICE = 1 << 16  # sent at once, between two looks at the clock
_MAX_DEPTH = 100  # of lists and objects within one another, far from where parsing them fills the stack


class UnusableReplyError(Exception):
    """A reply that is too large for its request, nested too deep, or packed in a way that was not asked for."""


@dataclass(slots=True)
class Allowance:
    """The limits of one request: seconds in all, from connecting to the reply's last byte, and bytes once unpacked.

    The time of a stream is counted anew from each `restart`.
    """

    timeout_s: float
    reply_bytes: int
    _ends: float = math.inf

    def restart(self) -> None:
        self._ends = time.monotonic() + self.timeout_s

    def left(self) -> float:
        return self._ends - time.monotonic()


_CURRENT: ContextVar[Allowance | None] = ContextVar("embedpipe_allowance", default=None)


@contextlib.contextmanager
def allowing(allowance: Allowance) -> Iterator[None]:
    """Bound each request that is sent within this context."""
    token = _CURRENT.set(allowance)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def client(library: str, *, login: tuple[str, str] | None = None) -> Any:
    """Return a bounded `Client` of the library, which sends `login` (name, password) if there is one."""
    made = _sync_class(library)(auth=login, limits=_limits(library))
    _watch(made, _WatchedBackend)
    return made


def async_client(library: str, *, login: tuple[str, str] | None = None) -> Any:
    """Return a bounded `AsyncClient` of the library, as `client`."""
    made = _async_class(library)(auth=login, limits=_limits(library))
    _watch(made, _KeptAliveBackend)
    return made


@cache
def openai_http_library() -> str:
    """Return the name of the HTTP library that the installed version of OpenAI's client uses."""
    import openai

    return openai.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0]


def unusable(error: BaseException) -> UnusableReplyError | None:
    """Return the `UnusableReplyError` that led to an SDK's error; None if none did."""
    each: BaseException | None = error
    while each is not None and not isinstance(each, UnusableReplyError):
        each = each.__cause__
    return each


def _limits(library: str) -> Any:
    # The library's own limit of 100 connections would hold requests back that `Limits` lets go.
    return importlib.import_module(library).Limits(max_connections=1000, max_keepalive_connections=100)


@cache
def _sync_class(library: str) -> type[Any]:
    http = importlib.import_module(library)

    class SyncBody(http.SyncByteStream):  # type: ignore[name-defined,misc]
        def __init__(self, response: Any, allowance: Allowance) -> None:
            self._given = response, allowance

        def __iter__(self) -> Iterator[bytes]:
            return _pieces(http, *self._given)

        def close(self) -> None:
            self._given[0].close()

    class BoundedClient(http.Client):  # type: ignore[name-defined,misc]
        def send(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
            allowance = _started(request)
            options["follow_redirects"] = False
            for onward in range(_REDIRECTS + 1):
                with allowing(allowance):
                    response = super().send(request, stream=True, **options)
                if onward == _REDIRECTS or not _same_origin(response):
                    break
                response.close()
                request = response.next_request
            try:
                reply = _reply(http, response, SyncBody(response, allowance))
                if not stream:
                    reply.read()
            except BaseException:
                response.close()
                raise
            return reply

    return BoundedClient


def _pieces(http: Any, response: Any, allowance: Allowance) -> Iterator[bytes]:
    """Yield the reply's bytes, unpacked, in its time and within its bounds."""
    meter = _Meter(response, allowance)
    chunks = response.iter_raw()
    while not meter.full:
        with allowing(allowance):
            chunk = next(chunks, None)
        if chunk is None:
            return
        if allowance.left() <= 0.0:
            raise _too_slow(http, response.request, allowance)
        yield meter.taken(chunk)


@cache
def _async_class(library: str) -> type[Any]:
    """Do the same as `_sync_class`, for an event loop, which can end anything that takes too long."""
    http = importlib.import_module(library)

    class AsyncBody(_AsyncPieces, http.AsyncByteStream):  # type: ignore[name-defined,misc]
        pass

    class BoundedAsyncClient(http.AsyncClient):  # type: ignore[name-defined,misc]
        async def send(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
            allowance = _started(request)
            options["follow_redirects"] = False
            for onward in range(_REDIRECTS + 1):
                async with _in_time(http, request, allowance):
                    response = await super().send(request, stream=True, **options)
                if onward == _REDIRECTS or not _same_origin(response):
                    break
                await response.aclose()
                request = response.next_request
            body: Any = response  # until there is one
            try:
                body = AsyncBody(http, response, allowance)
                reply = _reply(http, response, body)
                if not stream:
                    await reply.aread()
            except BaseException:
                await body.aclose()
                raise
            return reply

    return BoundedAsyncClient


class _AsyncPieces:
    """Does the same as `_pieces`. It is no generator: if its reader is cancelled, nobody would close that."""

    def __init__(self, http: Any, response: Any, allowance: Allowance) -> None:
        self._http = http
        self._response = response
        self._allowance = allowance
        self._meter = _Meter(response, allowance)
        self._chunks = response.aiter_raw()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._meter.full:
            raise StopAsyncIteration
        async with _in_time(self._http, self._response.request, self._allowance):
            chunk = await anext(self._chunks, None)
        if chunk is None:
            raise StopAsyncIteration
        return self._meter.taken(chunk)

    async def aclose(self) -> None:
        """Close the reply. The library's generators, each within another, read on and find that it is closed.

        So all of them come to their ends, and none is left to the garbage collector.
        """
        await self._response.aclose()
        with contextlib.suppress(Exception):
            async for _ in self._chunks:
                pass


def _started(request: Any) -> Allowance:
    """Start the time of a request, and set the time limits of its steps."""
    allowance = _CURRENT.get() or Allowance(60.0, 1 << 26)
    allowance.restart()
    step = allowance.timeout_s
    times = {"connect": min(step, _CONNECT_S), "read": step, "write": step, "pool": step}
    request.extensions = {**request.extensions, "timeout": times}
    request.headers["accept-encoding"] = "gzip"  # what can be unpacked piece by piece, without another library
    return allowance


def _same_origin(response: Any) -> bool:
    """Return whether the reply redirects within the origin, such as to the path with a slash."""
    onward = response.next_request
    if response.status_code not in (307, 308) or onward is None:
        return False
    here, there = (
        (url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme))
        for url in (response.request.url, onward.url)
    )
    return bool(here == there)


def _reply(http: Any, response: Any, body: Any) -> Any:
    """Return the reply with a body that is unpacked and bounded."""
    # They describe the bytes as sent, and the library would act on them again.
    dropped = ("content-encoding", "content-length", "transfer-encoding")
    headers = [(name, value) for name, value in response.headers.multi_items() if name.lower() not in dropped]
    return http.Response(
        response.status_code, headers=headers, stream=body, request=response.request, extensions=response.extensions
    )


class _Meter:
    """Unpacks a reply piece by piece and counts its bytes. A failure's reply is cut if it is too long or too deep."""

    def __init__(self, response: Any, allowance: Allowance) -> None:
        packed = response.headers.get("content-encoding", "identity").strip().lower()
        if packed not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise UnusableReplyError(f"The reply is packed as {packed[:40]!r}, and only gzip was asked for.")
        # 32: gzip or zlib, by its header.
        self._inflate = None if packed in ("", "identity") else zlib.decompressobj(32 + zlib.MAX_WBITS)
        self._failed = response.status_code >= 300
        self._most = _ERROR_BYTES if self._failed else allowance.reply_bytes
        self._left = self._most
        self._nesting = Nesting()
        self.full = False

    def taken(self, chunk: bytes) -> bytes:
        if self._inflate is not None:
            try:
                # One byte more than is allowed shows that there is more, without unpacking a bomb.
                chunk = self._inflate.decompress(chunk, self._left + 1)
            except zlib.error as error:
                raise UnusableReplyError(f"The reply cannot be unpacked: {error}.") from error
        self._left -= len(chunk)
        if self._left < 0:
            if not self._failed:
                raise UnusableReplyError(f"The reply is over {self._most:,} bytes, which no answer to this request is.")
            self.full = True
            return chunk[: self._left]
        if self._nesting.deepest(chunk) > _MAX_DEPTH:
            if not self._failed:
                raise UnusableReplyError(
                    f"The reply is nested over {_MAX_DEPTH} deep, which no answer to this request is."
                )
            self.full = True
            return b""
        return chunk


_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_STEPS = bytes(set(range(256)) - set(_STEPS))


class Nesting:
    """Counts how deep lists and objects lie within one another in JSON that comes piece by piece.

    Parsers recurse. At the end of the stack whatever else runs then fails too, such as finalizers of other objects.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._open = b""  # how a string begins that the last piece did not end

    def deepest(self, piece: bytes) -> int:
        """Return the greatest depth within the next piece."""
        text = self._open + piece
        escape = b"\\" if (len(text) - len(text.rstrip(b"\\"))) % 2 else b""
        outside = _STRING.sub(b"", text + escape + b'"')  # the quote ends a string, or stays
        self._open = b"" if outside.endswith(b'"') else b'"' + escape
        depths = list(accumulate(map(_STEPS.__getitem__, outside.translate(None, _NO_STEPS)), initial=self._depth))
        self._depth = depths[-1]
        return max(depths)


@contextlib.asynccontextmanager
async def _in_time(http: Any, request: Any, allowance: Allowance) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(max(allowance.left(), 0.0)):
            yield
    except TimeoutError as error:
        raise _too_slow(http, request, allowance) from error


def _too_slow(http: Any, request: Any, allowance: Allowance) -> Exception:
    error: Exception = http.ReadTimeout(
        f"no whole reply within timeout_s={allowance.timeout_s:g} seconds", request=request
    )
    return error


def _keepalive() -> list[tuple[int, int, int]]:
    """Return socket options by which the system notices within about a minute that the other side is gone."""
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return options


def _watch(made: Any, backend: type[_KeptAliveBackend]) -> None:
    """Make each pool of the client, and of its proxies, open its connections through `backend`.

    The library takes a backend with a transport alone, and a transport of one's own turns the environment's proxies
    off. In a version that keeps its pools elsewhere, what is lost is the deadline while the reply's head arrives.
    """
    for transport in (getattr(made, "_transport", None), *getattr(made, "_mounts", {}).values()):
        pool = getattr(transport, "_pool", None)
        if pool is not None and hasattr(pool, "_network_backend"):
            core = importlib.import_module(type(pool).__module__.partition(".")[0])
            pool._network_backend = backend(pool._network_backend, core)  # noqa: SLF001


class _KeptAliveBackend:
    """Opens connections that the system keeps alive."""

    def __init__(self, backend: Any, core: Any) -> None:
        self._backend = backend
        self._core = core

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def connect_tcp(self, *given: Any, **named: Any) -> Any:
        named["socket_options"] = [*_keepalive(), *(named.get("socket_options") or ())]
        return self._backend.connect_tcp(*given, **named)


class _WatchedBackend(_KeptAliveBackend):
    """Opens connections that keep to the deadline of the request that is under way in their thread.

    The library's own time limits are for each read, so that a byte now and then would hold a thread for ever.
    """

    def connect_tcp(self, *given: Any, **named: Any) -> Any:
        named["timeout"] = _within(named.get("timeout"), self._core.ConnectTimeout)
        return _WatchedStream(super().connect_tcp(*given, **named), self._core)


class _WatchedStream:
    def __init__(self, stream: Any, core: Any) -> None:
        self._stream = stream
        self._core = core

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data: bytes = self._stream.read(max_bytes, _within(timeout, self._core.ReadTimeout))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _SLICE):
            self._stream.write(buffer[start : start + _SLICE], _within(timeout, self._core.WriteTimeout))

    def start_tls(self, *given: Any, **named: Any) -> _WatchedStream:
        return _WatchedStream(self._stream.start_tls(*given, **named), self._core)


def _within(timeout: float | None, late: type[Exception]) -> float | None:
    allowance = _CURRENT.get()
    if allowance is None:
        return timeout
    left = allowance.left()
    if left <= 0.0:
        raise late("the time of the request is over")
    return left if timeout is None else min(timeout, left)
