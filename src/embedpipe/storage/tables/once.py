"""What threads share and must be one object: tables and parts of statements, made once also where two ask at a time.

A statement that names two objects for one table would join the table with itself. `lru_cache` lets two threads make
two, and so does `cached_property` from Python 3.12 on.
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
    """The function, which remembers what it made of its last 512 arguments."""
    remembered: Any = lru_cache(maxsize=512)(function)  # its arguments are typed as anything that has a hash

    @wraps(function)
    def made(*args: *Ts) -> T:
        with _MAKING:
            answer: T = remembered(*args)
            return answer

    return made


class once_property(cached_property[T]):  # noqa: N801 - a decorator, as its base
    """As `cached_property`."""

    @overload
    def __get__(self, instance: None, owner: type[Any] | None = None) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type[Any] | None = None) -> T: ...

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        with _MAKING:
            return super().__get__(instance, owner)
