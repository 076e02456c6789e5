"""Work that is waited for, also where the task that waits is cancelled: in a thread, or in a task of its own.

Nothing may be closed while a thread uses it: SQLite, for one, then ends the process. So a task that is cancelled waits
until its thread has ended its present step, and between two steps the thread looks whether it is still wanted.
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
    """Ends the work of a thread whose task was cancelled. Nothing on its way up is to catch it."""


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
    """Await a coroutine to its end, which is cancelled once, however often the task that awaits it is.

    For what has to be ended in order when it is cancelled: a second cancellation would cut that off.
    """
    task = asyncio.create_task(work)
    return await _ended(task, task.cancel)


async def _ended(work: asyncio.Future[T], cancel: Callable[[], object]) -> T:
    """Await the end of the work; who is cancelled meanwhile calls `cancel` once, and is cancelled at the end."""
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


def is_stoppable() -> bool:
    """Return whether a task waits for this thread, and so may be cancelled meanwhile."""
    return _STOP.get() is not None


def check_stopped() -> None:
    """End this thread's work if the task that waits for it was cancelled. Call it between two steps."""
    stop = _STOP.get()
    if stop is not None and stop.is_set():
        raise Stopped
