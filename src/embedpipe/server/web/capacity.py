"""Count the requests in progress and refuse those beyond the limits."""

from __future__ import annotations

import math
import time

from embedpipe.server.settings import ServerSettings
from embedpipe.server.web.error_responses import ApiError

_SMOOTHING = 0.1
_LONGEST_WAIT_S = 60


class Capacity:
    """The requests in progress and the bytes of their bodies. A request beyond the limits gets status 429."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._requests = 0
        self._bytes = 0
        self._seconds = 0.0

    def enter(self) -> Slot:
        """Take a slot for one request. Raise `ApiError` 429 if none is free."""
        if self._requests >= self._settings.max_requests:
            raise self._refusal(f"{self._requests} requests are in progress")
        self._requests += 1
        return Slot(self)

    def hold(self, count: int) -> None:
        """Reserve `count` bytes for a body. Raise `ApiError` 429 if there is no room."""
        if self._bytes + count > self._settings.max_pending_bytes:
            raise self._refusal(f"the bodies of requests in progress hold {self._bytes} bytes")
        self._bytes += count

    def leave(self, seconds: float, held: int) -> None:
        """Release a slot that was held for `seconds`, and its bytes."""
        self._requests -= 1
        self._bytes -= held
        # An exponential moving average: recent requests say best how long the next ones will take.
        self._seconds += _SMOOTHING * (seconds - self._seconds)

    def _refusal(self, reason: str) -> ApiError:
        # By then, most of the requests in progress will have been answered.
        wait = min(max(math.ceil(self._seconds), 1), _LONGEST_WAIT_S)
        return ApiError(
            429,
            f"The server is at its limit: {reason}. Send the request again in {wait} s.",
            type="rate_limit_error",
            code="overloaded",
            headers={"Retry-After": str(wait)},
        )


class Slot:
    """The share of the capacity that one request holds."""

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity
        self._started = time.monotonic()
        self._held = 0
        self._left = False

    def hold(self, count: int) -> None:
        """Reserve `count` more bytes for the body. Raise `ApiError` 429 if there is no room."""
        self._capacity.hold(count)
        self._held += count

    def leave(self) -> None:
        """Release everything. Later calls do nothing."""
        if not self._left:
            self._left = True
            self._capacity.leave(time.monotonic() - self._started, self._held)
