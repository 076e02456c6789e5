"""From a question to an answer whose citations are checked."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import aclosing, closing
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from embedpipe._forking import Given
from embedpipe.answering.chat import ChatReply, Message, OpenAIChat
from embedpipe.answering.citations import Citation, Statement, checked_statements
from embedpipe.answering.extractive import ExtractiveAnswerer, answer_text
from embedpipe.answering.prompt import Prompt, PromptBuilder
from embedpipe.answering.response import RAGResponse
from embedpipe.answering.streams import AnswerStream, AsyncAnswerStream, Event, Tell
from embedpipe.answering.wrapped import as_chat_model
from embedpipe.errors import GenerationError, InputError
from embedpipe.metrics.spans import Observers, Span, beside, span
from embedpipe.retrieval.context import ContextSettings, CountsTokens, Passage, build_context
from embedpipe.text import token_counter
from embedpipe.types import SearchResult

__all__ = [
    "AnswerStream",
    "AsyncAnswerStream",
    "Citation",
    "ContextSettings",
    "OpenAIChat",
    "Prompt",
    "RAGPipeline",
    "RAGResponse",
    "Statement",
]

NOTHING_FOUND = "The sources hold nothing on this question."

_LOG = logging.getLogger(__name__)


class Searches(Protocol):
    """What a pipeline needs of a search service."""

    @property
    def search(self) -> Callable[..., list[SearchResult]]:
        """search(query, k, **options)"""
        ...

    @property
    def asearch(self) -> Callable[..., Awaitable[list[SearchResult]]]: ...

    @property
    def expand(self) -> Callable[..., list[SearchResult]]:
        """expand(results, window=, parent=): the results, then the chunks around them"""
        ...

    @property
    def aexpand(self) -> Callable[..., Awaitable[list[SearchResult]]]: ...


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A question with its sources, ready to be answered."""

    question: str
    sources: list[Passage]
    left_out: list[SearchResult]
    started: float
    searched: float


class RAGPipeline:
    """Answers questions from what a service finds, with a language model or, without one, by quoting sentences.

    `llm`: an `OpenAIChat`, a LangChain chat model, a LlamaIndex LLM, any `ChatModel`, or None. `prompt`: a `Prompt`
    with other templates, or any callable (question, sources) -> messages. `context` says how results become sources;
    its token budget holds where there is a model, counted by `counter` (None: as cl100k_base does). Keyword arguments
    of the query methods go to the service's search: `filter`, `mode`, `threshold` and so on. `metrics` is an observer
    of `embedpipe.metrics`, or several; None means those of the service.

    Every query method raises `InputError` for an empty question, `GenerationError` where the model fails, and what
    the search raises.
    """

    def __init__(
        self,
        service: Searches,
        llm: object | None = None,
        *,
        k: int = 5,
        prompt: PromptBuilder | None = None,
        context: ContextSettings | None = None,
        counter: CountsTokens | None = None,
        extractive: ExtractiveAnswerer | None = None,
        metrics: Observers | None = None,
    ) -> None:
        self._service = service
        self._llm = None if llm is None else as_chat_model(llm)
        self._given = Given(llm)
        self._k = _checked_k(k)
        self._prompt = prompt or Prompt()
        self._context = context or ContextSettings()
        self._counter = counter
        self._extractive = extractive or ExtractiveAnswerer()
        self._metrics = getattr(service, "metrics", None) if metrics is None else metrics

    @property
    def generates(self) -> bool:
        """Whether a language model writes the answers; they are quoted sentences otherwise."""
        return self._llm is not None

    def query(self, question: str, *, k: int | None = None, **search: Any) -> RAGResponse:
        """The answer, its statements with their checked citations, and its numbered sources."""
        with self._asked(question):
            started = _start(question)
            prepared = self._prepare(question, self._search(question, self._wanted(k), search), started)
            with self._answering(prepared) as answering:
                if self._llm is None or not prepared.sources:
                    return self._extract(prepared, answering)
                return self._finish(prepared, [self._llm.complete(self._messages(prepared))], answering)

    async def aquery(self, question: str, *, k: int | None = None, **search: Any) -> RAGResponse:
        """As `query`."""
        with self._asked(question):
            started = _start(question)
            prepared = self._prepare(question, await self._asearch(question, self._wanted(k), search), started)
            with self._answering(prepared) as answering:
                if self._llm is None or not prepared.sources:
                    return self._extract(prepared, answering)
                return self._finish(prepared, [await self._llm.acomplete(self._messages(prepared))], answering)

    def stream(self, question: str, *, k: int | None = None, **search: Any) -> AnswerStream:
        """The answer's text in pieces; then, from the stream's `response`, all that `query` gives."""
        started = _start(question)
        return AnswerStream(self._pieces(question, self._wanted(k), search, started))

    def astream(self, question: str, *, k: int | None = None, **search: Any) -> AsyncAnswerStream:
        """As `stream`, to be iterated with `async for`."""
        started = _start(question)
        return AsyncAnswerStream(partial(self._answer, question, self._wanted(k), search, started))

    def _pieces(self, question: str, k: int, search: dict[str, Any], started: float) -> Generator[Event, None, None]:
        context = copy_context()
        with beside(self._asked(question), context):
            prepared = self._prepare(question, context.run(self._search, question, k, search), started)
            with beside(self._answering(prepared), context) as answering:
                if self._llm is None or not prepared.sources:
                    yield from _in_pieces(self._extract(prepared, answering))
                    return
                replies: list[ChatReply] = []
                with closing(self._llm.stream(self._messages(prepared))) as stream:
                    for reply in stream:
                        replies.append(reply)
                        yield reply.text
                response = self._finish(prepared, replies, answering)
        yield response

    async def _answer(self, question: str, k: int, search: dict[str, Any], started: float, tell: Tell) -> None:
        """As `_pieces`, each told as it comes."""
        with self._asked(question):
            prepared = self._prepare(question, await self._asearch(question, k, search), started)
            with self._answering(prepared) as answering:
                if self._llm is None or not prepared.sources:
                    for piece in _in_pieces(self._extract(prepared, answering)):
                        await tell(piece)
                    return
                replies: list[ChatReply] = []
                async with aclosing(self._llm.astream(self._messages(prepared))) as stream:
                    async for reply in stream:
                        replies.append(reply)
                        await tell(reply.text)
                response = self._finish(prepared, replies, answering)
        await tell(response)

    def _search(self, question: str, k: int, options: dict[str, Any]) -> list[SearchResult]:
        results = self._service.search(question, k, **options)
        return self._service.expand(results, **self._around) if self._around else results

    async def _asearch(self, question: str, k: int, options: dict[str, Any]) -> list[SearchResult]:
        results = await self._service.asearch(question, k, **options)
        return await self._service.aexpand(results, **self._around) if self._around else results

    @property
    def _around(self) -> dict[str, Any]:
        """What the context wants of the chunks around the hits; empty where it wants the hits alone."""
        settings = self._context
        wants_more = settings.window or settings.parent
        return {"window": settings.window, "parent": settings.parent} if wants_more else {}

    def _wanted(self, k: int | None) -> int:
        return self._k if k is None else _checked_k(k)

    def _prepare(self, question: str, results: Sequence[SearchResult], started: float) -> _Prepared:
        searched = time.perf_counter()
        settings = self._context
        if self._llm is None:
            settings = replace(settings, max_tokens=None)
        elif settings.max_tokens is not None and self._counter is None:
            self._counter = token_counter("cl100k_base")
        sources, left_out = build_context(results, settings, self._counter)
        return _Prepared(question, sources, left_out, started, searched)

    def _messages(self, prepared: _Prepared) -> list[Message]:
        return list(self._prompt(prepared.question, prepared.sources))

    def _asked(self, question: str) -> Span:
        return span("query", to=self._metrics, content=(question,))

    def _answering(self, prepared: _Prepared) -> Span:
        if self._llm is None or not prepared.sources:
            return span("answer", texts=len(prepared.sources))
        provider = getattr(self._llm, "provider", "")
        return span("answer", texts=len(prepared.sources), model=self._llm.name, provider=provider)

    def _extract(self, prepared: _Prepared, answering: Span) -> RAGResponse:
        statements = self._extractive.statements(prepared.question, prepared.sources)
        answer = answer_text(statements) if statements else NOTHING_FOUND
        answering.note(content=(answer,))
        return _response(prepared, answer=answer, statements=statements)

    def _finish(self, prepared: _Prepared, replies: Sequence[ChatReply], answering: Span) -> RAGResponse:
        assert self._llm is not None  # noqa: S101 - there is a reply
        answer = "".join(reply.text for reply in replies)
        used = next((reply.tokens_used for reply in reversed(replies) if reply.tokens_used), None)
        written = next((reply.output_tokens for reply in reversed(replies) if reply.output_tokens), None) or 0
        answering.note(tokens=max((used or 0) - written, 0), output_tokens=written, content=(answer,))
        if not answer.strip():
            raise GenerationError(f"{self._llm.name}: the reply holds no text.")
        return _response(
            prepared,
            answer=answer,
            statements=checked_statements(answer, prepared.sources),
            model=self._llm.name,
            tokens_used=used,
            truncated=any(reply.truncated for reply in replies),
        )


def _start(question: object) -> float:
    if not isinstance(question, str) or not question.strip():
        raise InputError(f"a question must be a text with at least one word; got {question!r:.80}.")
    return time.perf_counter()


def _checked_k(k: int) -> int:
    if k < 1:
        raise InputError(f"k must be 1 or more; got {k}.")
    return k


def _in_pieces(response: RAGResponse) -> Iterator[Event]:
    for position, statement in enumerate(response.statements):
        yield (" " if position else "") + answer_text([statement])
    if not response.statements:
        yield response.answer
    yield response


def _response(prepared: _Prepared, *, answer: str, statements: Sequence[Statement], **model: Any) -> RAGResponse:
    now = time.perf_counter()
    timings = {
        "search": prepared.searched - prepared.started,
        "answer": now - prepared.searched,
        "total": now - prepared.started,
    }
    response = RAGResponse(
        question=prepared.question,
        answer=answer,
        statements=tuple(statements),
        sources=tuple(prepared.sources),
        left_out=tuple(prepared.left_out),
        timings=timings,
        **model,
    )
    if response.problems:
        _LOG.warning("%d of %d citations do not hold", len(response.problems), len(response.citations))
    return response
