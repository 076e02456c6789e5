"""What a stage tells as it begins and ends, and how that finds who listens: through the context, not through arguments.

    ingest                 documents into a collection
      ingest.batch         one batch of them
        store.known_documents
        ingest.cut
        embed              texts of one call; or of a query
          embed.cache      looked up
          embed.tokenize   counted, and cut where too long
          embed.request    one batch at the model, with its waits and retries
        store.write_documents
    query                  a question and its answer
      retrieve             a search of the service
        embed
        store.search
        rerank
      store.around
      answer               written by a language model, or quoted

Every other operation of a store is a stage of its own, too: `store.upsert`, `store.similar` and so on. Where it is run
again, `database.retry` (it lost a race) and `database.wait` (others held a lock) say so, with the cause as their error.
"""

from __future__ import annotations

import logging
import time
from asyncio import CancelledError
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import Context, ContextVar, Token, copy_context
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias, TypeVar

T = TypeVar("T")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A stage that has ended. `error` is the error's class name; amounts that a stage does not have are 0.

    `texts` are those that came, of which `hits` were in the cache; `tokens` were taken by a model and `output_tokens`
    came from it, where it did not fail; `price_per_million` is the catalogue's price of the former in US dollars, 0
    where it knows none. `content` is the text itself, for an observer that was told to pass it on; it is in no repr.
    """

    stage: str
    seconds: float
    error: str | None = None
    model: str = ""
    provider: str = ""
    collection: str = ""
    documents: int = 0
    texts: int = 0
    hits: int = 0
    tokens: int = 0
    output_tokens: int = 0
    retries: int = 0
    results: int = 0
    price_per_million: float = 0.0
    content: Sequence[str] = field(default=(), repr=False)


LEFT_EARLY = "The stream was left early."
"""The message of the cancellation of a task whose stream was left early."""

AMOUNTS = ("documents", "texts", "hits", "tokens", "output_tokens", "retries", "results")


class Observer(Protocol):
    """Takes events as stages end, from several threads at once. What it raises is logged, and costs no call."""

    def __call__(self, event: Event, /) -> None: ...


class Tracer(Observer, Protocol):
    """An observer that is told of a stage's beginning, too."""

    def begin(self, stage: str) -> Callable[[Event], None]:
        """What takes the event as that stage ends, in the same context."""
        ...


Observers: TypeAlias = Observer | Sequence[Observer]

_LISTENING: ContextVar[tuple[Observer, ...]] = ContextVar("embedpipe_observers", default=())


def joined(first: Observers | None, then: Sequence[Observer] = ()) -> tuple[Observer, ...]:
    """The observers in one tuple, each once."""
    if first is None:
        return tuple(then)
    every = [*then, *(first if isinstance(first, Sequence) else (first,))]
    return tuple(observer for place, observer in enumerate(every) if not any(observer is one for one in every[:place]))


@contextmanager
def observing(observers: Observers) -> Iterator[None]:
    """Has all that runs within tell the observers, beside those that its parts were given."""
    token = _LISTENING.set(joined(observers, _LISTENING.get()))
    try:
        yield
    finally:
        _LISTENING.reset(token)


class Span:
    """A stage that runs: entered as it begins, left as it ends, with what was noted of it meanwhile."""

    __slots__ = ("_details", "_ends", "_stage", "_started", "_to", "_token")

    def __init__(self, stage: str, to: Observers | None, details: dict[str, Any]) -> None:
        self._stage = stage
        self._to = to
        self._details = details
        self._ends: list[Callable[[Event], None]] = []
        self._token: Token[tuple[Observer, ...]] | None = None
        self._started = 0.0

    def note(self, **details: Any) -> None:
        """Adds to the fields that its event will have."""
        self._details.update(details)

    def __enter__(self) -> Self:
        listening = _LISTENING.get()
        if self._to is not None:
            listening = joined(self._to, listening)
            self._token = _LISTENING.set(listening)
        for observer in listening:
            if (end := _beginning(observer, self._stage)) is not None:
                self._ends.append(end)
        self._started = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ends:
            seconds = time.perf_counter() - self._started
            event = Event(stage=self._stage, seconds=seconds, error=_name(error), **self._details)
            for end in reversed(self._ends):
                _told(end, event)
        if self._token is not None:
            _LISTENING.reset(self._token)


def _name(error: BaseException | None) -> str | None:
    """What an event calls the error; who left a stream early made none."""
    early = isinstance(error, GeneratorExit) or (isinstance(error, CancelledError) and error.args == (LEFT_EARLY,))
    return None if error is None or early else type(error).__name__


def span(stage: str, *, to: Observers | None = None, **details: Any) -> Span:
    """The stage as a context manager; `to` are observers of its own, `details` fields of its event.

    Not for a block that yields to its caller, who would go on within the stage: see `beside`.
    """
    return Span(stage, to, details)


def carried(work: Callable[..., T]) -> Callable[..., T]:
    """The function, to be run once in another thread as a part of the stage that runs in this one."""
    context = copy_context()
    return lambda *args: context.run(work, *args)


@contextmanager
def beside(stage: Span, context: Context) -> Iterator[Span]:
    """The stage, running in that context alone: for a block that yields to its caller, who is not within the stage.

    What is to be within it is run by `context.run`, or as a task with `context=`.
    """
    context.run(stage.__enter__)
    try:
        yield stage
    except BaseException as error:
        context.run(stage.__exit__, type(error), error, error.__traceback__)
        raise
    context.run(stage.__exit__, None, None, None)


def _beginning(observer: Observer, stage: str) -> Callable[[Event], None] | None:
    tracer: Any = observer  # asking isinstance of a protocol would take longer than all else here
    if not hasattr(tracer, "begin"):
        return observer
    try:
        end: Callable[[Event], None] = tracer.begin(stage)
    except Exception:
        logger.exception("An observer failed as %s began.", stage)
        return None
    return end


def _told(end: Callable[[Event], None], event: Event) -> None:
    try:
        end(event)
    except Exception:
        logger.exception("An observer failed as %s ended.", event.stage)
