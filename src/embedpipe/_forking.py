"""Forked processes: nothing that was opened before a fork is used after it.

A child that used its parent's connection would read the answers to the parent's questions. The child also lacks the
parent's threads: a lock that one of them held is never released, and a pool of them answers nothing. So:

- whatever we open is held in a `PerProcess`,
- every lock that outlives a call is a `Lock`,
- whatever a user opened is held in a `Given`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools
import gc
import logging
import os
import socket
import sys
import threading
import types
import weakref
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar, cast

from embedpipe.errors import ConfigurationError

T = TypeVar("T")

logger = logging.getLogger(__name__)

_PATIENCE_S = 35.0
"""Longer than SQLite waits for another process."""

_MOST_OBJECTS = 200_000
_LOCKS = (type(threading.Lock()), type(threading.RLock()))
_APART = (
    type,
    types.ModuleType,
    types.FunctionType,
    types.BuiltinFunctionType,
    threading.Thread,
    asyncio.AbstractEventLoop,
)
"""Types that lead from a user's object to the rest of the program. `_free` does not follow them."""


class _Opener(Protocol):
    def after_fork(self) -> None:
        """Forget, in a forked child, what the parent opened. Open nothing and wait for nothing here."""


class _Connection(Protocol):
    def fileno(self) -> int: ...


_OPENERS: weakref.WeakSet[_Opener] = weakref.WeakSet()
_CONNECTIONS: weakref.WeakSet[_Connection] = weakref.WeakSet()
_CLOSED_BEFORE: list[Callable[[], None]] = []
_torch_computes = False


def register(opener: _Opener) -> None:
    """Have `opener.after_fork()` called in each forked child, for as long as the opener lives."""
    _OPENERS.add(opener)


def close_before(close: Callable[[], None]) -> None:
    """Have `close` called before each fork, while nobody is within `UNFORKED`."""
    _CLOSED_BEFORE.append(close)


def cut_in_children(connection: _Connection) -> None:
    """Have each forked child find the connection broken, also where it goes on inside a `with` of its parent."""
    _CONNECTIONS.add(connection)


def torch_computes() -> None:
    """Have PyTorch compute in one thread in forked children: they lack its OpenMP's others, and would wait for them."""
    global _torch_computes
    _torch_computes = True


class SameProcess:
    """The process whose threads do some work. A forked child has no such threads and would wait for ever."""

    def __init__(self) -> None:
        self._process = os.getpid()

    def check(self) -> None:
        """Raise `ConfigurationError` in a forked child."""
        if os.getpid() != self._process:
            raise ConfigurationError(
                "This work began before the process forked, and its threads belong to the parent. Begin it again "
                "in this process."
            )


class Lock:
    """A reentrant lock that is free in a forked child where another thread of the parent held it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        register(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def after_fork(self) -> None:
        if self._lock.acquire(blocking=False):  # it is free, or the forking thread's own
            self._lock.release()
        else:
            self._lock = threading.RLock()

    def __reduce__(self) -> tuple[Any, ...]:
        return Lock, ()


class _Gate:
    """Many threads may be within at once. A fork waits until none is. Not to be nested."""

    def __init__(self) -> None:
        self.after_fork()

    def after_fork(self) -> None:
        """Begin with nobody within. In a child, the threads that were within do not exist."""
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._within = 0
        self._shut = False

    def __enter__(self) -> None:
        with self._lock:
            while self._shut:
                self._changed.wait()
            self._within += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._within -= 1
            if self._shut:  # a fork waits
                self._changed.notify_all()

    def shut(self) -> bool:
        """Keep others out and wait until all have left. Return whether they have in time."""
        with self._changed:
            self._changed.wait_for(lambda: not self._shut, _PATIENCE_S)  # another thread forks
            self._shut = True
            return self._changed.wait_for(lambda: not self._within, _PATIENCE_S)

    def open(self) -> None:
        """Let in those who wait."""
        with self._changed:
            self._shut = False
            self._changed.notify_all()


UNFORKED = _Gate()
"""For short work in a library that a fork would leave in the middle of it (SQLite, LMDB)."""


class PerProcess(Generic[T]):
    """A holder of one object, made at its first use, once for all threads, and again in a forked child.

    `close` is called with the object when the holder is collected, or when the process that made it ends. A pickled
    holder is empty.
    """

    def __init__(self, close: Callable[[T], object] | None = None) -> None:
        self._close = close
        self._lock = Lock()
        self._made: T | None = None
        self._end: weakref.finalize[[T], PerProcess[T]] | None = None
        register(self)

    def get(self, make: Callable[[], T]) -> T:
        """Return the object of this process. If there is none yet, make it."""
        made = self._made
        if made is not None:
            return made
        with self._lock:
            if self._made is None:
                self._made = made = make()
                if self._close is not None:
                    self._end = weakref.finalize(self, self._close, made)
            return self._made

    def close(self) -> None:
        """Close the object, if there is one. The next `get` makes another."""
        with self._lock:
            end, self._made, self._end = self._end, None, None
        if end is not None:
            end()

    def after_fork(self) -> None:
        made, end, self._made, self._end = self._made, self._end, None, None
        if end is not None:
            end.detach()
        if made is not None:
            leave(made)

    def __reduce__(self) -> tuple[Any, ...]:
        return PerProcess, (self._close,)


class Given(Generic[T]):
    """A user's object that we cannot make again, such as a chat model of LangChain or a Redis client.

    In a forked child its network connections are broken and its locks are free. Clients of HTTP and Redis then open
    connections of their own.
    """

    def __init__(self, thing: T) -> None:
        self.thing = thing
        register(self)

    def after_fork(self) -> None:
        _free(self.thing)

    def __reduce__(self) -> tuple[Any, ...]:
        return Given, (self.thing,)


def leave(thing: object) -> None:
    """Leave to the parent what it opened: break its connections here, and keep it until this process ends.

    Its destructor would wait for threads that are not here (ONNX Runtime), or close files under new ones (LMDB).
    """
    _free(thing)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _free(root: object) -> None:
    """Break the network connections that `root` holds at any depth, and free its locks."""
    modules = getattr(getattr(sys.modules.get("torch"), "nn", None), "Module", ())
    seen: set[int] = set()
    waiting: list[Any] = [root]
    while waiting and len(seen) < _MOST_OBJECTS:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, _APART):
            continue
        seen.add(id(thing))
        if type(thing) in _LOCKS:
            if thing.acquire(blocking=False):
                thing.release()
            else:
                thing._at_fork_reinit()  # noqa: SLF001 - what the standard library does with its own
        elif isinstance(thing, modules):
            torch_computes()
        elif isinstance(thing, socket.socket):
            with contextlib.suppress(OSError):
                if thing.getpeername():  # a listening socket and one of a pair have no name there
                    _cut(thing)
        else:
            waiting.extend(gc.get_referents(thing))


def _cut(connection: _Connection) -> None:
    """Put a socket whose other end is closed in the place of this process's copy; the parent's stays as it is."""
    dead, other = socket.socketpair()
    with dead, other:
        os.dup2(dead.fileno(), connection.fileno(), inheritable=False)


def _before() -> None:
    if UNFORKED.shut():
        for close in _CLOSED_BEFORE:
            close()


def _after_in_child() -> None:
    UNFORKED.after_fork()
    for connection in list(_CONNECTIONS):
        with contextlib.suppress(Exception):  # it is closed
            _cut(connection)
    for opener in list(_OPENERS):
        try:
            opener.after_fork()
        except Exception:
            logger.exception("%s could not be renewed after a fork.", type(opener).__name__)
    _renew_libraries()


def _renew_libraries() -> None:
    """Mend what libraries leave broken in a child."""
    if sys.version_info < (3, 12):  # there each cached property has a lock, for all objects of the class
        modules = [module for name, module in sys.modules.items() if name.partition(".")[0] == "embedpipe"]
        classes = {value for module in modules for value in vars(module).values() if isinstance(value, type)}
        for value in [value for each in classes for value in vars(each).values()]:
            if isinstance(value, functools.cached_property):
                cast(Any, value).lock = threading.RLock()
    if _torch_computes:
        sys.modules["torch"].set_num_threads(1)
    if "tokenizers" in sys.modules:  # its threads are gone, and where the variable says "true" it waits for them
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
    _free(getattr(sys.modules.get("tiktoken.registry"), "_lock", None))
    if "onnxruntime" in sys.modules:
        # Its C++ destructors wait for its threads, for ever, once this process has ended and all was flushed. _exit
        # goes before them, where the C library can have it so (glibc).
        library = ctypes.CDLL(None)
        with contextlib.suppress(AttributeError):
            library.on_exit(library._exit, None)  # noqa: SLF001 - its name


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=UNFORKED.open, after_in_child=_after_in_child)
