"""Decorators that make a table or a part of a statement exactly once, also if two threads ask for it at a time.

A statement that names two objects for one table would join the table with itself. `lru_cache` lets two threads make
two objects, and so does `cached_property` from Python 3.12 on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, lru_cache, wraps
from typing import Any, Self, TypeVar, TypeVarTuple, overload

from embedpipe._forking import Lock

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_MAKING = Lock()


def once(function: Callable[[*Ts], T]) -> Callable[[*Ts], T]:
    """Cache a function's results for its last 512 arguments."""
    remembered: Any = lru_cache(maxsize=512)(function)  # its arguments are typed as anything that has a hash

    @wraps(function)
    def made(*args: *Ts) -> T:
        with _MAKING:
            answer: T = remembered(*args)
            return answer

    return made


class once_property(cached_property[T]):  # noqa: N801 - a decorator, as its base
    """A `cached_property` that runs once, also if two threads ask for it at a time."""

    @overload
    def __get__(self, instance: None, owner: type[Any] | None = None) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type[Any] | None = None) -> T: ...

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        with _MAKING:
            return super().__get__(instance, owner)
