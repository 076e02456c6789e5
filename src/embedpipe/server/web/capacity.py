"""How much is under way at once, and who is refused for it."""

from __future__ import annotations

import math
import time

from embedpipe.server.settings import ServerSettings
from embedpipe.server.web.error_responses import ApiError

_SMOOTHING = 0.1
_LONGEST_WAIT_S = 60


class Capacity:
    """The requests under way and the bytes of their bodies, within bounds; who does not fit is refused with 429."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._requests = 0
        self._bytes = 0
        self._seconds = 0.0

    def enter(self) -> Slot:
        """A place for one request."""
        if self._requests >= self._settings.max_requests:
            raise self._refusal(f"{self._requests} requests are under way")
        self._requests += 1
        return Slot(self)

    def hold(self, count: int) -> None:
        """Takes room for so many bytes of a body."""
        if self._bytes + count > self._settings.max_pending_bytes:
            raise self._refusal(f"{self._bytes} bytes of requests are under way")
        self._bytes += count

    def leave(self, seconds: float, held: int) -> None:
        """Gives a place and its bytes back."""
        self._requests -= 1
        self._bytes -= held
        self._seconds += _SMOOTHING * (seconds - self._seconds)

    def _refusal(self, reason: str) -> ApiError:
        wait = min(max(math.ceil(self._seconds), 1), _LONGEST_WAIT_S)  # by then, most will have been answered
        return ApiError(
            429,
            f"The server is at its limit: {reason}. Send the request again in {wait} s.",
            type="rate_limit_error",
            code="overloaded",
            headers={"Retry-After": str(wait)},
        )


class Slot:
    """One request's share of the load."""

    def __init__(self, load: Capacity) -> None:
        self._load = load
        self._started = time.monotonic()
        self._held = 0
        self._left = False

    def hold(self, count: int) -> None:
        """Takes room for so many more bytes of the body; `ApiError` 429 where there is none."""
        self._load.hold(count)
        self._held += count

    def leave(self) -> None:
        """Gives everything back, once."""
        if not self._left:
            self._left = True
            self._load.leave(time.monotonic() - self._started, self._held)
