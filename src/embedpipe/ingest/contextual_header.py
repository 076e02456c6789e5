"""Contextual headers: a chat model says of each chunk where it stands in its document, in a sentence or two.

The sentences are embedded and indexed before the chunk's text, as any header. They are not stored as its text.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from pathlib import Path
from typing import Literal, NamedTuple

from embedpipe._checks import MOST_SECONDS, checked_count, checked_flag, checked_number
from embedpipe._forking import Given, Lock, PerProcess
from embedpipe._threads import check_stopped
from embedpipe.answering import BatchingChat, ChatReply, as_chat_model, without_thoughts
from embedpipe.embedding import CacheLike, TextCache
from embedpipe.errors import ConfigurationError, EmbedPipeError, GenerationError
from embedpipe.ingest.context_prompt import ContextRequest, prompt_mark, requests_for
from embedpipe.metrics import span
from embedpipe.text import TokenCounter, sentence_spans
from embedpipe.types import Chunk, Document

logger = logging.getLogger(__name__)

_LOOK_S = 0.2
"""How often it is looked whether the ingest was interrupted, while requests are under way."""
_WORDS_PER_TOKEN = 0.6
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_MOST_IN_JOB, _MOST_JOB_BYTES = 50_000, 100_000_000
"""Of OpenAI's Batch interface, which takes 200 MB; JSON makes a text longer."""


class Spent(NamedTuple):
    """What the headers have cost so far: requests, and their tokens as the model counted them, else an estimate."""

    requests: int
    tokens: int


class ContextualHeader:
    """Have a chat model write each chunk's header: a sentence or two about its place in the document.

    Pass it to `SemanticSearchService.ingest`. A document of one chunk needs no header. If a header fails, its document
    is among the report's `failures`, and the others go on. Safe to share between threads and ingests.

    Args:
        llm: The name of a chat model ("anthropic:claude-haiku-4-5"), an `OpenAIChat`, a LangChain chat model, a
            LlamaIndex LLM or any `ChatModel`.
        max_header_tokens: The longest header, in tokens of the embedding model. Longer ones lose their last sentence or
            words.
        max_document_tokens: How much of the document the model is shown with each chunk, estimated at three bytes a
            token. Of a longer one it is shown the beginning and a window around the chunk.
        max_requests: How many requests may be sent, over all ingests with this object. None for any number. Documents
            beyond the budget fail.
        max_tokens: How many tokens of prompts and answers may be paid. None for any number.
        concurrency: How many requests are under way at once.
        cache: Keeps each header by a hash of model and prompt, so that none is paid twice: a folder, a redis:// URL, or
            whatever `EmbeddingGenerator` takes. None for a folder of the user's own (`headers` in EMBEDPIPE_HOME), or
            for this object's memory if the extra `cache` is not installed. False for this object's memory.
        batch: Whether OpenAI's Batch interface is used: half the price, and up to a day of waiting. The ingest waits.
            If it is interrupted, the next one takes the same job's results. For an `OpenAIChat` only.
        poll_s: With `batch`, the seconds between two looks at the job.

    Raises:
        ConfigurationError: If an option does not fit the model.
    """

    def __init__(
        self,
        llm: object,
        *,
        max_header_tokens: int = 96,
        max_document_tokens: int = 8000,
        max_requests: int | None = None,
        max_tokens: int | None = None,
        concurrency: int = 8,
        cache: CacheLike | Literal[False] | None = None,
        batch: bool = False,
        poll_s: float = 30.0,
    ) -> None:
        self._llm = as_chat_model(llm)
        self._given = Given(llm)
        wrong = ConfigurationError
        self.max_header_tokens = checked_count("max_header_tokens", max_header_tokens, least=8, error=wrong)
        self._max_document_tokens = checked_count("max_document_tokens", max_document_tokens, least=64, error=wrong)
        self._concurrency = checked_count("concurrency", concurrency, most=1000, error=wrong)
        self._poll_s = checked_number("poll_s", poll_s, above=0, most=MOST_SECONDS, error=wrong)
        self.batch = checked_flag("batch", batch, error=wrong)
        if self.batch and not isinstance(self._llm, BatchingChat):
            raise ConfigurationError(
                f"batch=True needs a model with OpenAI's Batch interface, and {self._llm.name} has none. "
                "Pass an OpenAIChat, or leave batch out."
            )
        self._budget = _Budget(
            None if max_requests is None else checked_count("max_requests", max_requests, error=wrong),
            None if max_tokens is None else checked_count("max_tokens", max_tokens, error=wrong),
        )
        kept = _Memory() if cache is False else _default_cache() if cache is None else cache
        self._cache = TextCache(kept, self.name)
        self._pool: PerProcess[ThreadPoolExecutor] = PerProcess(_shut_down)

    @property
    def name(self) -> str:
        """The chat model's name."""
        return self._llm.name

    @property
    def spent(self) -> Spent:
        """What this object's headers have cost so far. Headers from the cache cost nothing."""
        return self._budget.spent

    @property
    def recipe(self) -> str:
        """What changes the headers, beside the document. If it changes, the next ingest writes them anew."""
        return f"{self.name} {prompt_mark()} {self.max_header_tokens} {self._max_document_tokens}"

    def __repr__(self) -> str:
        return f"ContextualHeader({self._llm!r})"

    def add(
        self, documents: Sequence[tuple[Document, Sequence[Chunk]]], counter: TokenCounter
    ) -> list[Sequence[Chunk] | EmbedPipeError]:
        """Return each document's chunks with their headers, before those they have; or the error of a document.

        Args:
            documents: The documents, each with its chunks.
            counter: Counts the embedding model's tokens.
        """
        words = max(int(self.max_header_tokens * _WORDS_PER_TOKEN), 4)
        asked = [
            requests_for(place, document, chunks, words=words, max_tokens=self._max_document_tokens)
            if len(chunks) > 1
            else []
            for place, (document, chunks) in enumerate(documents)
        ]
        written, errors = self._written([request for requests in asked for request in requests])
        results: list[Sequence[Chunk] | EmbedPipeError] = []
        for place, ((_, chunks), requests) in enumerate(zip(documents, asked, strict=True)):
            if place in errors:
                results.append(errors[place])
            elif not requests:
                results.append(chunks)
            else:
                headers = (self._bounded(written[request], counter) for request in requests)
                results.append([_headed(chunk, header) for chunk, header in zip(chunks, headers, strict=True)])
        return results

    def _written(
        self, requests: Sequence[ContextRequest]
    ) -> tuple[Mapping[ContextRequest, str], Mapping[int, EmbedPipeError]]:
        """Return the text for each request, from the cache or the model, and the errors by the documents' places."""
        keys = [self._cache.key(*request.asked) for request in requests]
        found = self._cache.get_many(keys)
        written = {request: text for request, text in zip(requests, found, strict=True) if text is not None}
        missing = {request: key for request, key in zip(requests, keys, strict=True) if request not in written}
        errors: dict[int, EmbedPipeError] = {}
        if not missing:
            return written, errors
        if self.batch:
            self._take_jobs(missing, written, errors)
            return written, errors
        # A provider caches the beginning of a prompt once a request with it was answered: one goes ahead of the rest.
        firsts = {request.shown: request for request in reversed(missing)}.values()
        self._ask_all({request: missing[request] for request in firsts}, written, errors)
        rest = {request: key for request, key in missing.items() if request not in written}
        self._ask_all({request: key for request, key in rest.items() if request.place not in errors}, written, errors)
        return written, errors

    def _ask_all(
        self,
        requests: Mapping[ContextRequest, bytes],
        written: dict[ContextRequest, str],
        errors: dict[int, EmbedPipeError],
    ) -> None:
        """Ask the model, several requests at once. What of a document is not sent yet when it fails is not sent."""
        pool = self._pool.get(self._made_pool)
        running: dict[Future[str], ContextRequest] = {}
        for request, key in requests.items():
            running[pool.submit(copy_context().run, self._ask, request, key, errors)] = request
        try:
            while running:
                done, _ = wait(running, timeout=_LOOK_S, return_when=FIRST_COMPLETED)
                check_stopped()
                for future in done:
                    request = running.pop(future)
                    try:
                        written[request] = future.result()
                    except GenerationError as error:
                        errors.setdefault(request.place, error)
        finally:
            for future in running:
                future.cancel()

    def _made_pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._concurrency, thread_name_prefix="embedpipe-context")

    def _ask(self, request: ContextRequest, key: bytes, errors: Mapping[int, EmbedPipeError]) -> str:
        """Return what the model writes, and keep it."""
        if request.place in errors:
            raise errors[request.place]
        self._budget.reserve(request.tokens)
        reply: ChatReply | None = None
        try:
            with span("ingest.context", texts=1, model=self.name, provider=getattr(self._llm, "provider", "")) as told:
                reply = self._completed(request)
                used, output = reply.tokens_used or 0, reply.output_tokens or 0
                told.details.update(tokens=max(used - output, 0), output_tokens=output)
        finally:
            self._budget.settle(request.tokens, _used(request, reply))
        return self._kept(key, reply)

    def _completed(self, request: ContextRequest) -> ChatReply:
        try:
            return self._llm.complete(request.messages())
        except EmbedPipeError:
            raise
        except Exception as error:
            raise GenerationError(f"{self.name} failed with {type(error).__name__}: {error}") from error

    def _kept(self, key: bytes, reply: ChatReply) -> str:
        """Return a reply on one line, and keep it."""
        text = " ".join(without_thoughts(reply.text).split())
        if not text:
            raise GenerationError(f"{self.name} wrote no header. Ingest again, or raise the model's token limit.")
        self._cache.put(key, text)
        return text

    def _take_jobs(
        self,
        missing: Mapping[ContextRequest, bytes],
        written: dict[ContextRequest, str],
        errors: dict[int, EmbedPipeError],
    ) -> None:
        """Have the requests answered by jobs of the Batch interface."""
        submitted: list[tuple[Mapping[ContextRequest, bytes], str]] = []
        requests: Mapping[ContextRequest, bytes]
        for requests in _jobs(self._affordable(missing, errors)):
            try:
                submitted.append((requests, self._submitted(requests)))
            except GenerationError as error:
                errors |= {request.place: error for request in requests if request.place not in errors}
        for requests, job in submitted:
            try:
                replies = self._awaited(job)
            except GenerationError as error:
                errors |= {request.place: error for request in requests if request.place not in errors}
                continue
            for request, key in requests.items():
                try:
                    written[request] = self._taken(request, key, replies.get(key.hex()))
                except GenerationError as error:
                    errors.setdefault(request.place, error)
            self._cache.put(self._job_key(requests), "")  # what was not answered needs another job

    def _affordable(
        self, missing: Mapping[ContextRequest, bytes], errors: dict[int, EmbedPipeError]
    ) -> dict[ContextRequest, bytes]:
        """Return the requests of documents that the budget has room for. The others' errors go to `errors`."""
        for request in missing:
            try:
                if request.place not in errors:
                    self._budget.reserve(request.tokens)
            except GenerationError as error:
                errors[request.place] = error
        return {request: key for request, key in missing.items() if request.place not in errors}

    def _submitted(self, requests: Mapping[ContextRequest, bytes]) -> str:
        """Return the id of the job with these requests: that of an earlier ingest, or a new one."""
        assert isinstance(self._llm, BatchingChat)  # noqa: S101 - checked in the constructor
        [job] = self._cache.get_many([self._job_key(requests)])
        if not job:
            job = self._llm.submit_batch({key.hex(): request.messages() for request, key in requests.items()})
            self._cache.put(self._job_key(requests), job)
            logger.info("%d headers are being written in the job %s.", len(requests), job)
        return job

    def _job_key(self, requests: Mapping[ContextRequest, bytes]) -> bytes:
        return self._cache.key("job", *sorted(key.hex() for key in requests.values()))

    def _awaited(self, job: str) -> Mapping[str, ChatReply | GenerationError]:
        assert isinstance(self._llm, BatchingChat)  # noqa: S101 - checked in the constructor
        while (replies := self._llm.batch_replies(job)) is None:
            look_again = time.monotonic() + self._poll_s
            while (left := look_again - time.monotonic()) > 0:
                check_stopped()
                time.sleep(min(left, _LOOK_S))
        return replies

    def _taken(self, request: ContextRequest, key: bytes, reply: ChatReply | GenerationError | None) -> str:
        answer = reply if isinstance(reply, ChatReply) else None
        self._budget.settle(request.tokens, _used(request, answer))
        if answer is None:
            lost = GenerationError(f"{self.name} did not write the header: the job ended without it. Ingest again.")
            raise reply if isinstance(reply, GenerationError) else lost
        return self._kept(key, answer)

    def _bounded(self, text: str, counter: TokenCounter) -> str:
        """Return as many of the text's sentences as fit, else as many of its words. No control character is left."""
        text = " ".join(_CONTROL.sub(" ", text).split())
        most = self.max_header_tokens - 2  # a line break may be a token, and may part another in two
        if counter.count(text) <= most:
            return text
        ends = [end for _, end in sentence_spans(text)]
        while len(ends) > 1 and counter.count(text[: ends[-1]]) > most:
            ends.pop()
        words = text[: ends[0] if ends else len(text)].split() if len(ends) < 2 else text[: ends[-1]].split()
        while len(words) > 1 and counter.count(" ".join(words)) > most:
            words = words[: len(words) * 9 // 10]
        header = " ".join(words)
        return header if counter.count(header) <= most else header[:most]


class _Budget:
    """What may be spent, and what was. A request reserves an estimate, so that several at once do not exceed it."""

    def __init__(self, max_requests: int | None, max_tokens: int | None) -> None:
        self._max_requests, self._max_tokens = max_requests, max_tokens
        self._requests = self._tokens = 0
        self._lock = Lock()

    @property
    def spent(self) -> Spent:
        return Spent(self._requests, self._tokens)

    def reserve(self, tokens: int) -> None:
        """Count a request in advance.

        Raises:
            GenerationError: If the budget has no room for it.
        """
        with self._lock:
            if self._max_requests is not None and self._requests >= self._max_requests:
                raise _exceeded(f"max_requests={self._max_requests}")
            if self._max_tokens is not None and self._tokens + tokens > self._max_tokens:
                raise _exceeded(f"max_tokens={self._max_tokens}")
            self._requests += 1
            self._tokens += tokens

    def settle(self, reserved: int, used: int) -> None:
        """Put what was used in the place of what was reserved."""
        with self._lock:
            self._tokens += used - reserved


class _Memory:
    """A cache in memory."""

    def __init__(self) -> None:
        self._entries: dict[bytes, bytes] = {}

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return [self._entries.get(key) for key in keys]

    def put_many(self, entries: Sequence[tuple[bytes, bytes]]) -> None:
        self._entries.update(entries)


def _exceeded(budget: str) -> GenerationError:
    return GenerationError(
        f"the budget for headers is used up ({budget}). Raise it and ingest again: the headers that were written are "
        "kept, and cost nothing."
    )


def _used(request: ContextRequest, reply: ChatReply | None) -> int:
    """Return the tokens of a request: those that the model counted, else an estimate; none if it failed."""
    return 0 if reply is None else request.tokens if reply.tokens_used is None else reply.tokens_used


def _default_cache() -> CacheLike:
    """Return the folder of headers, `headers` in EMBEDPIPE_HOME, else in the user's data folder: they were paid."""
    if importlib.util.find_spec("lmdb") is None:
        logger.warning("Headers are kept in memory alone. Install embedpipe[cache], or pass cache= to keep them.")
        return _Memory()
    from platformdirs import user_data_dir

    return Path(os.environ.get("EMBEDPIPE_HOME") or user_data_dir("embedpipe")) / "headers"


def _headed(chunk: Chunk, header: str) -> Chunk:
    """Return the chunk with the header before the one that it has, such as the header row of a table."""
    return chunk._replace(header=header if chunk.header is None else f"{header}\n{chunk.header}")


def _jobs(requests: Mapping[ContextRequest, bytes]) -> list[dict[ContextRequest, bytes]]:
    """Divide requests into jobs of a size that the Batch interface takes."""
    jobs: list[dict[ContextRequest, bytes]] = []
    size = 0
    for request, key in requests.items():
        size += 3 * request.tokens
        if not jobs or len(jobs[-1]) == _MOST_IN_JOB or size > _MOST_JOB_BYTES:
            jobs.append({})
            size = 3 * request.tokens
        jobs[-1][request] = key
    return jobs


def _shut_down(pool: ThreadPoolExecutor) -> None:
    pool.shutdown(wait=False, cancel_futures=True)
