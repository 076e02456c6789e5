"""Answer questions from search results, with checked citations."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import aclosing, closing
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from typing import Any, NamedTuple, Protocol, runtime_checkable

from embedpipe._checks import checked_count, checked_function, checked_kind, shown
from embedpipe._forking import Given
from embedpipe.answering import (
    AnswerStream,
    AsyncAnswerStream,
    ChatReply,
    Citation,
    CitingChat,
    Cosines,
    Event,
    ExtractiveAnswerer,
    Message,
    NativeCitation,
    OpenAIChat,
    Prompt,
    PromptBuilder,
    RAGResponse,
    Statement,
    Tell,
    ThoughtFilter,
    Verifies,
    answer_text,
    as_chat_model,
    checked_statements,
    citing_messages,
    without_thoughts,
)
from embedpipe.errors import ConfigurationError, GenerationError, InputError
from embedpipe.metrics import Observers, Span, beside, span
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
    """A search service, as a pipeline uses it."""

    @property
    def search(self) -> Callable[..., list[SearchResult]]:
        """Called as search(query, k, **options)."""
        ...

    @property
    def asearch(self) -> Callable[..., Awaitable[list[SearchResult]]]: ...

    @property
    def expand(self) -> Callable[..., list[SearchResult]]:
        """Called as expand(results, window=, parent=). Returns the results, then their neighboring chunks."""
        ...

    @property
    def aexpand(self) -> Callable[..., Awaitable[list[SearchResult]]]: ...


@runtime_checkable
class KnowsCosines(Protocol):
    """A search service that knows the cosines between the chunks of its collection."""

    def cosines(self) -> Cosines | None: ...

    async def acosines(self) -> Cosines | None: ...


class _Found(NamedTuple):
    """The results of a search, and the collection's cosines if an extractive answer may need them."""

    results: list[SearchResult]
    cosines: Cosines | None


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A question with its sources."""

    question: str
    sources: list[Passage]
    left_out: list[SearchResult]
    cosines: Cosines | None
    started: float
    searched: float


class RAGPipeline:
    """Answers questions from the results of a search service, with checked citations.

    A language model writes the answers. Without one, the answers quote sentences from the sources.
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
        """Set up a pipeline.

        Args:
            service: The search service, such as `SemanticSearchService`.
            llm: A name such as "anthropic:claude-sonnet-4-5", an `OpenAIChat`, a LangChain chat model, a LlamaIndex LLM
                or any `ChatModel`. None quotes sentences.
            k: How many chunks a question searches for.
            prompt: A `Prompt` with other templates, or any callable (question, sources) -> messages.
            context: How results become sources. Its token budget only applies with a language model.
            counter: Counts the tokens of the budget. None counts those of cl100k_base.
            extractive: Chooses the sentences to quote when there is no language model.
            metrics: An observer of `embedpipe.metrics`, or several. None takes those of the service.

        Raises:
            ConfigurationError: If `llm` is none of the supported kinds.
            InputError: If `k` is below 1.
        """
        self._service = service
        self._llm = None if llm is None else as_chat_model(llm)
        self._given = Given(llm)
        self._k = _checked_k(k)
        self._prompt = Prompt() if prompt is None else checked_function("prompt", prompt, error=ConfigurationError)
        given = ContextSettings() if context is None else context
        self._context = checked_kind("context", given, ContextSettings, error=ConfigurationError)
        self._counter = counter
        answerer = ExtractiveAnswerer() if extractive is None else extractive
        self._extractive = checked_kind("extractive", answerer, ExtractiveAnswerer, error=ConfigurationError)
        self._metrics = getattr(service, "metrics", None) if metrics is None else metrics

    @property
    def generates(self) -> bool:
        """Return whether a language model writes the answers. Otherwise they quote sentences."""
        return self._llm is not None

    def query(self, question: str, *, k: int | None = None, **search: Any) -> RAGResponse:
        """Answer a question.

        Args:
            question: The question.
            k: How many chunks to search for. None takes the pipeline's `k`.
            **search: Options of the service's search: `filter`, `mode`, `threshold` and so on.

        Returns:
            The answer, its statements with checked citations, and its numbered sources.

        Raises:
            InputError: If the question is blank or `k` is below 1.
            ConfigurationError: If no result fits the context's token budget.
            GenerationError: If the language model fails.
            EmbedPipeError: Whatever else the search raises.
        """
        with self._asked(question):
            started = _start(question)
            prepared = self._prepare(question, self._search(question, self._checked(k), search), started)
            with self._answering(prepared) as answering:
                if self._llm is None or not prepared.sources:
                    return self._extract(prepared, answering)
                return self._finish(prepared, [self._llm.complete(self._messages(prepared))], answering)

    async def aquery(self, question: str, *, k: int | None = None, **search: Any) -> RAGResponse:
        """Answer a question on the running event loop. See `query`."""
        with self._asked(question):
            started = _start(question)
            prepared = self._prepare(question, await self._asearch(question, self._checked(k), search), started)
            with self._answering(prepared) as answering:
                if self._llm is None or not prepared.sources:
                    return self._extract(prepared, answering)
                return self._finish(prepared, [await self._llm.acomplete(self._messages(prepared))], answering)

    def stream(self, question: str, *, k: int | None = None, **search: Any) -> AnswerStream:
        """Answer a question in pieces of text.

        The search and the model run as the stream is read, so errors come up there. Arguments and errors are those of
        `query`.

        Returns:
            An iterable of pieces of text. After the last piece, its `response` is what `query` returns.
        """
        started = _start(question)
        return AnswerStream(self._pieces(question, self._checked(k), search, started))

    def astream(self, question: str, *, k: int | None = None, **search: Any) -> AsyncAnswerStream:
        """Answer a question in pieces for `async for`. See `stream`."""
        started = _start(question)
        return AsyncAnswerStream(partial(self._answer, question, self._checked(k), search, started))

    def _pieces(self, question: str, k: int, search: dict[str, Any], started: float) -> Generator[Event, None, None]:
        # The stages get a context of their own: between two pieces the reader's code runs, which is not part of them.
        context = copy_context()
        with beside(self._asked(question), context):
            prepared = self._prepare(question, context.run(self._search, question, k, search), started)
            with beside(self._answering(prepared), context) as answering:
                if self._llm is None or not prepared.sources:
                    yield from _in_pieces(self._extract(prepared, answering))
                    return
                replies: list[ChatReply] = []
                thoughts = ThoughtFilter()
                # Closes the connection to the model when the reader leaves early.
                with closing(self._llm.stream(self._messages(prepared))) as stream:
                    for reply in stream:
                        replies.append(reply)
                        if shown := thoughts.feed(reply.text):
                            yield shown
                if shown := thoughts.rest():
                    yield shown
                response = self._finish(prepared, replies, answering)
        yield response

    async def _answer(self, question: str, k: int, search: dict[str, Any], started: float, tell: Tell) -> None:
        """Call `tell` with each piece. See `_pieces`."""
        with self._asked(question):
            prepared = self._prepare(question, await self._asearch(question, k, search), started)
            with self._answering(prepared) as answering:
                if self._llm is None or not prepared.sources:
                    for piece in _in_pieces(self._extract(prepared, answering)):
                        await tell(piece)
                    return
                replies: list[ChatReply] = []
                thoughts = ThoughtFilter()
                async with aclosing(self._llm.astream(self._messages(prepared))) as stream:
                    async for reply in stream:
                        replies.append(reply)
                        if shown := thoughts.feed(reply.text):
                            await tell(shown)
                if shown := thoughts.rest():
                    await tell(shown)
                response = self._finish(prepared, replies, answering)
        await tell(response)

    def _search(self, question: str, k: int, options: dict[str, Any]) -> _Found:
        results = self._service.search(question, k, **options)
        knows = self._knows_cosines
        cosines = None if knows is None else knows.cosines()
        return _Found(self._service.expand(results, **self._neighbors) if self._neighbors else results, cosines)

    async def _asearch(self, question: str, k: int, options: dict[str, Any]) -> _Found:
        results = await self._service.asearch(question, k, **options)
        knows = self._knows_cosines
        cosines = None if knows is None else await knows.acosines()
        return _Found(await self._service.aexpand(results, **self._neighbors) if self._neighbors else results, cosines)

    @property
    def _knows_cosines(self) -> KnowsCosines | None:
        """Return the service if it knows its cosines and the answer goes by them. A language model's does not."""
        return self._service if self._llm is None and isinstance(self._service, KnowsCosines) else None

    @property
    def _neighbors(self) -> dict[str, Any]:
        """Return the arguments for `expand`, {} if the context needs no neighbors of the hits."""
        settings = self._context
        wants_more = settings.window or settings.parent
        return {"window": settings.window, "parent": settings.parent} if wants_more else {}

    def _checked(self, k: int | None) -> int:
        return self._k if k is None else _checked_k(k)

    def _prepare(self, question: str, found: _Found, started: float) -> _Prepared:
        searched = time.perf_counter()
        settings = self._context
        if self._llm is None:
            settings = replace(settings, max_tokens=None)
        elif settings.max_tokens is not None and self._counter is None:
            self._counter = token_counter("cl100k_base")
        sources, left_out = build_context(found.results, settings, self._counter)
        return _Prepared(question, sources, left_out, found.cosines, started, searched)

    @property
    def _verifier(self) -> Verifies | None:
        return self._service if isinstance(self._service, Verifies) else None

    @property
    def _cites_natively(self) -> bool:
        """Return whether the model cites by itself. A prompt of the user's own asks for marks."""
        return isinstance(self._llm, CitingChat) and self._llm.cites and self._prompt == Prompt()

    def _messages(self, prepared: _Prepared) -> list[Message]:
        if self._cites_natively:
            return citing_messages(prepared.question, prepared.sources)
        return list(self._prompt(prepared.question, prepared.sources))

    def _asked(self, question: str) -> Span:
        return span("query", to=self._metrics, content=(question,))

    def _answering(self, prepared: _Prepared) -> Span:
        if self._llm is None or not prepared.sources:
            return span("answer", texts=len(prepared.sources))
        provider = getattr(self._llm, "provider", "")
        return span("answer", texts=len(prepared.sources), model=self._llm.name, provider=provider)

    def _extract(self, prepared: _Prepared, answering: Span) -> RAGResponse:
        statements = self._extractive.statements(prepared.question, prepared.sources, prepared.cosines)
        answer = answer_text(statements) if statements else NOTHING_FOUND
        answering.details["content"] = (answer,)
        return _response(
            prepared, answer=answer, statements=statements, answered=bool(statements), verifier=self._verifier
        )

    def _finish(self, prepared: _Prepared, replies: Sequence[ChatReply], answering: Span) -> RAGResponse:
        assert self._llm is not None  # noqa: S101 - there is a reply, so there is a model
        text = "".join(reply.text for reply in replies)
        answer = without_thoughts(text)
        native = _native(replies) if answer == text else []
        used = next((reply.tokens_used for reply in reversed(replies) if reply.tokens_used), None)
        written = next((reply.output_tokens for reply in reversed(replies) if reply.output_tokens), None) or 0
        answering.details.update(tokens=max((used or 0) - written, 0), output_tokens=written, content=(answer,))
        if not answer.strip():
            raise GenerationError(f"{self._llm.name} returned no text. Ask again, or raise its token limit.")
        return _response(
            prepared,
            answer=answer,
            statements=checked_statements(answer, prepared.sources, native),
            model=self._llm.name,
            verifier=self._verifier,
            tokens_used=used,
            truncated=any(reply.truncated for reply in replies),
        )


def _native(replies: Sequence[ChatReply]) -> list[NativeCitation]:
    """Return the citations that the model made by itself, with the places of their marks in the whole answer."""
    starts = accumulate((len(reply.text) for reply in replies), initial=0)
    return [
        citation._replace(at=start + citation.at)
        for start, reply in zip(starts, replies, strict=False)
        for citation in reply.citations
    ]


def _start(question: object) -> float:
    if not isinstance(question, str) or not question.strip():
        raise InputError(f"The question is {shown(question)}. Pass a non-empty string.")
    return time.perf_counter()


def _checked_k(k: int) -> int:
    return checked_count("k", k)


def _in_pieces(response: RAGResponse) -> Iterator[Event]:
    for position, statement in enumerate(response.statements):
        yield (" " if position else "") + answer_text([statement])
    if not response.statements:
        yield response.answer
    yield response


def _response(prepared: _Prepared, *, answer: str, statements: Sequence[Statement], **rest: Any) -> RAGResponse:
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
        **rest,
    )
    if response.problems:
        _LOG.warning(
            "%d of %d citations are not supported by their sources", len(response.problems), len(response.citations)
        )
    return response
