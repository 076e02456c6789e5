"""Which failed requests are sent again, and when: the one policy for embeddings, reranking and language models."""

from __future__ import annotations

import math
import random
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from embedpipe._checks import MOST_SECONDS, Bounds, check_fields

RETRYABLE_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
"""HTTP statuses of failures that may pass. 520 to 524 are Cloudflare's, 529 is an overloaded provider's."""

_LONGEST_WAIT_S = 30 * 86400.0  # a longer one is no wait, and too long for a clock to count


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often a request is sent again if it failed for a reason that may pass.

    Args:
        attempts: Requests in all, the first included.
        deadline_s: Seconds without any success after which a request is given up.
        initial_s: The first wait, and the most jitter that is added to each wait.
        max_s: The longest wait. Waits double from `initial_s` up to it. A provider's `Retry-After` is honoured in
            full instead; if it is longer than the rest of `deadline_s`, the request is given up at once.
    """

    attempts: int = 6
    deadline_s: float = 120.0
    initial_s: float = 0.5
    max_s: float = 30.0

    def __post_init__(self) -> None:
        seconds = Bounds(0, MOST_SECONDS)
        check_fields(self, {"deadline_s": seconds, "initial_s": seconds, "max_s": seconds})


@dataclass(frozen=True, slots=True)
class Failure:
    """How a request failed: its HTTP status, None if no reply came, and the seconds that the provider asks to wait."""

    status: int | None
    retry_after: float | None = None

    @property
    def is_retryable(self) -> bool:
        """Whether the same request may succeed when it is sent again."""
        return self.status is None or self.status in RETRYABLE_STATUSES


class Attempts(ABC):
    """The attempts of one request: loop over them by `for` or `async for`, and enter each by `with`.

    An error within an attempt leads to the next one, after a wait, or is raised. Translate an SDK's error within the
    attempt: retries are logged with their errors, and an SDK's own error may quote a secret.
    """

    _longest_retry_after_s = math.inf

    def __init__(self, retry: Retry) -> None:
        self._retry = retry
        self._started = time.monotonic()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._context())

    def __aiter__(self) -> AsyncIterator[Any]:
        attempts: AsyncIterator[Any] = aiter(self._context())
        return attempts

    def _context(self) -> Any:
        import stamina  # local models need none of it

        retry = self._retry
        return stamina.retry_context(
            on=self._wait,
            attempts=retry.attempts,
            timeout=None,
            wait_initial=retry.initial_s,
            wait_max=retry.max_s,
            wait_jitter=retry.initial_s,
        )

    def _wait(self, error: Exception) -> bool | float:
        """Return False to give up, True to wait as long as the policy says, or the seconds to wait."""
        failure = self._failure(error)
        left = self._retry.deadline_s - (time.monotonic() - self._counted_from())
        if failure is None or not failure.is_retryable or left <= 0.0:
            return False
        if failure.retry_after is None:
            return True
        if failure.retry_after > min(left, self._longest_retry_after_s):
            return False  # nobody waits for so long, so others are not held back either
        self._hold_back(failure.retry_after)
        # Jitter, so that all who were held back do not come at the same moment.
        return failure.retry_after + random.uniform(0.0, self._retry.initial_s)  # noqa: S311

    @abstractmethod
    def _failure(self, error: Exception) -> Failure | None:
        """Return how the request failed; None for an error after which no retry helps."""

    def _counted_from(self) -> float:
        """Return the time from which the deadline counts, on the monotonic clock."""
        return self._started

    def _hold_back(self, seconds: float) -> None:  # noqa: B027 - most have no others
        """Let other requests to the provider wait, too."""


class SdkAttempts(Attempts):
    """The attempts of a chat or rerank request: `max_retries` retries, with a `Retry-After` of two minutes at most.

    Who translates the SDK's errors says by `note` how the request failed.
    """

    _longest_retry_after_s = 120.0

    def __init__(self, max_retries: int) -> None:
        super().__init__(Retry(attempts=max_retries + 1, deadline_s=MOST_SECONDS))
        self._noted: Failure | None = None

    def note(self, status: int | None, headers: Mapping[str, str]) -> None:
        """Note the status of the reply to the present attempt, None if none came, and its headers."""
        self._noted = Failure(status, retry_after({name.lower(): value for name, value in headers.items()}))

    def _failure(self, error: Exception) -> Failure | None:
        noted, self._noted = self._noted, None  # the next error may be of another kind, and note nothing
        return noted


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that `retry-after-ms` or `retry-after` ask to wait; None if neither does.

    `retry-after` is a number or a date. Names are in lower case.
    """
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = max(0.0, float(headers[name]) / unit)
        except (KeyError, ValueError):
            continue
        return None if math.isnan(seconds) else min(seconds, _LONGEST_WAIT_S)
    try:
        until = parsedate_to_datetime(headers["retry-after"]).timestamp()
        return min(max(0.0, until - time.time()), _LONGEST_WAIT_S)
    except (KeyError, ValueError, OverflowError, OSError):
        return None
