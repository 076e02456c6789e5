"""Give each request an id, log it, and count it in the metrics."""

from __future__ import annotations

import logging
import re
import time
import uuid
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from embedpipe._optional import require
from embedpipe.metrics import PrometheusObserver, observing
from embedpipe.server.web.error_responses import REQUEST_ID, error_response

logger = logging.getLogger(__name__)

_GIVEN_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_HUNG_UP = 499
"""nginx's status for a request whose client disconnected before the answer."""


class Monitor:
    """The Prometheus metrics of one server, in a registry of its own."""

    def __init__(self) -> None:
        self._prometheus = require("prometheus_client", extra="server")
        self.registry: Any = self._prometheus.CollectorRegistry()
        self._prometheus.ProcessCollector(registry=self.registry)
        self.stages = PrometheusObserver(self.registry)
        settings = {"registry": self.registry, "namespace": "embedpipe", "subsystem": "http"}
        self._requests = self._prometheus.Counter(
            "requests", "Requests by route, method and status.", ["route", "method", "status"], **settings
        )
        self._seconds = self._prometheus.Histogram(
            "seconds", "Seconds until the end of the answer.", ["route"], **settings
        )
        self._under_way = self._prometheus.Gauge("requests_under_way", "Requests not answered yet.", **settings)
        batches = {"registry": self.registry, "namespace": "embedpipe", "subsystem": "batch", "buckets": _BATCHES}
        self._texts = self._prometheus.Histogram("texts", "Texts embedded in one batch.", **batches)
        self._shared = self._prometheus.Histogram("requests", "Requests that shared one batch.", **batches)

    def batch(self, texts: int, requests: int) -> None:
        """Count a batch of the model."""
        self._texts.observe(texts)
        self._shared.observe(requests)

    def begun(self) -> None:
        """Count a request that has arrived."""
        self._under_way.inc()

    def ended(self, route: str, method: str, *, status: int, seconds: float) -> None:
        """Count a request that has ended."""
        self._under_way.dec()
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        text: bytes = self._prometheus.generate_latest(self.registry)
        return text


class MonitoringMiddleware:
    """Give each request an id, and count and log it. An unexpected error is answered with the id and no details."""

    def __init__(self, app: ASGIApp, *, monitor: Monitor) -> None:
        self._app = app
        self._monitor = monitor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), _HUNG_UP
        scope[REQUEST_ID] = request_id = _request_id(scope)
        header = (b"x-request-id", request_id.encode())

        async def numbered(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", ()), header]}
            await send(message)

        self._monitor.begun()
        try:
            with observing(self._monitor.stages):
                await self._app(scope, receive, numbered)
        except Exception as error:
            if status != _HUNG_UP:
                raise  # the answer has started, so the connection can only be cut
            await error_response(error, scope)(scope, receive, numbered)
        finally:
            seconds = time.perf_counter() - started
            self._monitor.ended(_route(scope), _method(scope), status=status, seconds=seconds)
            logger.info(
                "request %s: %s %.200r -> %d in %.0f ms",
                request_id,
                _method(scope),
                scope["path"],
                status,
                seconds * 1e3,
            )


def _request_id(scope: Scope) -> str:
    """Return the client's own id if it is safe to log, otherwise a new one."""
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return given.decode() if _GIVEN_ID.fullmatch(given) else uuid.uuid4().hex


def _route(scope: Scope) -> str:
    """Return the path of the route, not of the request: metrics labels need few values. "other" if there is none."""
    return getattr(scope.get("route"), "path", None) or "other"


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in ("GET", "POST", "DELETE", "HEAD", "OPTIONS") else "other"
