"""Work in a thread, or in a task of its own, that a cancelled task still waits for.

Nothing may be closed while a thread uses it. SQLite, for one, then crashes the process. So a cancelled task waits until
its thread has ended the present step, and between two steps the thread checks whether its result is still wanted.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextvars import ContextVar, copy_context
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_STOP: ContextVar[threading.Event | None] = ContextVar("embedpipe_stop", default=None)


class Stopped(BaseException):
    """Raised in a thread whose task was cancelled, to end its work. Nothing may catch it on its way up."""


async def in_thread(function: Callable[P, T], /, *args: P.args, **named: P.kwargs) -> T:
    """Run a function in a thread and return its result, as `asyncio.to_thread` does.

    A task that is cancelled meanwhile waits, however often it is cancelled, until the function has returned or has met
    `check_stopped`, and is cancelled then. A function that has not begun by then is not run.
    """
    begun, stop = threading.Lock(), threading.Event()

    def run() -> T:
        if not begun.acquire(blocking=False):
            raise Stopped
        _STOP.set(stop)
        return function(*args, **named)

    def cancel() -> None:
        stop.set()
        if begun.acquire(blocking=False):  # which keeps the thread from beginning
            work.cancel()

    work = asyncio.get_running_loop().run_in_executor(None, copy_context().run, run)
    return await _ended(work, cancel)


async def cancelled_once(work: Coroutine[Any, Any, T]) -> T:
    """Await a coroutine to its end, and cancel it at most once, however often the awaiting task is cancelled.

    For work that has to end in order: a second cancellation would interrupt its clean-up.
    """
    task = asyncio.create_task(work)
    return await _ended(task, task.cancel)


async def _ended(work: asyncio.Future[T], cancel: Callable[[], object]) -> T:
    """Await the end of the work. If cancelled meanwhile, call `cancel` once, and be cancelled at the end."""
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError as error:
            if cancelled is None:
                cancel()
            cancelled = error
    if cancelled is None:
        return work.result()
    if not work.cancelled():
        work.exception()  # asyncio would report an error that nobody has looked at
    raise cancelled


def stop_with(stop: threading.Event) -> None:
    """Have `check_stopped` end the work of the present context once `stop` is set."""
    _STOP.set(stop)


def is_stoppable() -> bool:
    """Return whether a task waits for this thread, and so may be cancelled meanwhile."""
    return _STOP.get() is not None


def check_stopped() -> None:
    """End this thread's work if the task that waits for it was cancelled, or its program interrupted.

    Call it between two steps.
    """
    stop = _STOP.get()
    if stop is not None and stop.is_set():
        raise Stopped
