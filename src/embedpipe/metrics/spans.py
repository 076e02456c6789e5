"""Stages, their events, and the observers that see them. Observers are found through the context, not by arguments.

    ingest                 store documents in a collection
      ingest.batch         one batch of documents
        store.known_documents
        ingest.cut
        embed              the texts of one call, or a query
          embed.cache      the cache lookup
          embed.tokenize   tokens counted, long texts truncated
          embed.request    one request to the model, with waits and retries
        store.write_documents
    sync                   bring in what changed in an attached table
      ingest.batch         one batch of its rows
        store.take_changes
    query                  a question and its answer
      retrieve             a search of the service
        embed
        store.search
        rerank
      store.cosines        only if the answer quotes the sources
      store.neighbors
      answer               from a language model, or quoted

Each other operation of a store is a stage as well: `store.upsert`, `store.similar` and so on. If an operation is
repeated, there is an event `database.retry` (it lost a race) or `database.wait` (others held a lock), with the cause as
its error.
"""

from __future__ import annotations

import logging
import time
from asyncio import CancelledError
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import Context, ContextVar, Token
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A stage that has ended. Amounts that a stage does not have are 0.

    Attributes:
        stage: The name of the stage.
        seconds: How long it took.
        error: The class name of its error, None if it succeeded.
        model: The model that it used.
        provider: The provider of the model.
        collection: The collection that it used.
        documents: How many documents it had.
        texts: How many texts it was given.
        hits: How many of the texts were in the cache.
        tokens: How many tokens the model read. 0 if it failed.
        output_tokens: How many tokens the model wrote.
        retries: How many requests were repeated.
        results: How many results it returned.
        price_per_million: The catalogue's price of `tokens` in US dollars per million. 0 if it has none.
        content: The texts themselves, for observers that are set to send them. No repr shows them.
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
"""The cancellation message of a task whose stream was left early."""

AMOUNTS = ("documents", "texts", "hits", "tokens", "output_tokens", "retries", "results")


class Observer(Protocol):
    """Called with each event, from several threads at once. An error of an observer is logged and fails no call."""

    def __call__(self, event: Event, /) -> None: ...


class Tracer(Observer, Protocol):
    """An observer that is also called when a stage begins."""

    def begin(self, stage: str) -> Callable[[Event], None]:
        """Return the function to call with the event when the stage ends, in the same context."""
        ...


Observers: TypeAlias = Observer | Sequence[Observer]

_LISTENING: ContextVar[tuple[Observer, ...]] = ContextVar("embedpipe_observers", default=())


def joined(first: Observers | None, then: Sequence[Observer] = ()) -> tuple[Observer, ...]:
    """Return the observers in one tuple, each once."""
    if first is None:
        return tuple(then)
    every = [*then, *(first if isinstance(first, Sequence) else (first,))]
    return tuple(observer for place, observer in enumerate(every) if not any(observer is one for one in every[:place]))


@contextmanager
def observing(observers: Observers) -> Iterator[None]:
    """Send the events of everything that runs inside to these observers, in addition to its own.

    Args:
        observers: An observer or several.
    """
    token = _LISTENING.set(joined(observers, _LISTENING.get()))
    try:
        yield
    finally:
        _LISTENING.reset(token)


class Span:
    """A running stage, used as a context manager. Its event is sent when it ends.

    Do not use it around a `yield`: the caller's code would then run inside the stage. See `beside`.

    Args:
        stage: The name of the stage.
        to: Observers for this stage and those inside it, in addition to the current ones.
        **details: Fields of its event.

    Attributes:
        details: The fields so far, to which more may be added until it ends.
    """

    __slots__ = ("_ends", "_stage", "_started", "_to", "_token", "details")

    def __init__(self, stage: str, *, to: Observers | None = None, **details: Any) -> None:
        self._stage = stage
        self._to = to
        self.details = details
        self._ends: list[Callable[[Event], None]] = []
        self._token: Token[tuple[Observer, ...]] | None = None
        self._started = 0.0

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
            event = Event(stage=self._stage, seconds=seconds, error=_name(error), **self.details)
            for end in reversed(self._ends):
                _told(end, event)
        if self._token is not None:
            _LISTENING.reset(self._token)


span = Span


def _name(error: BaseException | None) -> str | None:
    """Return the error's class name. Leaving a stream early is not an error."""
    early = isinstance(error, GeneratorExit) or (isinstance(error, CancelledError) and error.args == (LEFT_EARLY,))
    return None if error is None or early else type(error).__name__


@contextmanager
def beside(stage: Span, context: Context) -> Iterator[Span]:
    """Run a stage in a context of its own. For generators, since the caller's code must not run inside the stage.

    Run what belongs to the stage with `context.run`, or as a task with `context=`.
    """
    context.run(stage.__enter__)
    try:
        yield stage
    except BaseException as error:
        context.run(stage.__exit__, type(error), error, error.__traceback__)
        raise
    context.run(stage.__exit__, None, None, None)


def _beginning(observer: Observer, stage: str) -> Callable[[Event], None] | None:
    tracer: Any = observer  # isinstance with a protocol would be slower than everything else here
    if not hasattr(tracer, "begin"):
        return observer
    try:
        end: Callable[[Event], None] = tracer.begin(stage)
    except Exception:
        logger.exception("An observer failed at the start of %s.", stage)
        return None
    return end


def _told(end: Callable[[Event], None], event: Event) -> None:
    try:
        end(event)
    except Exception:
        logger.exception("An observer failed at the end of %s.", event.stage)
