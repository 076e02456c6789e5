"""The embedding engine. `embed` reads top to bottom, and `aembed` takes the same steps on an event loop.

1. `_prepare`: clean and validate the texts, keep each distinct one once, look them up in the cache. `batching` counts
   tokens, splits long texts and cuts the rest into batches by tokens and number, while the first ones are under way.
2. `_send`: `sending` waits for a place and for the rate, requests, retries, and checks the vectors. `_keep` normalises
   them and puts them into the cache.
3. `BatchQueue.settle`: halve a batch that failed because of one of its texts, or end the call.
4. `assemble`: results in the caller's order, or one error for all that failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, get_args

from embedpipe._checks import check_fields, checked_choice, shown
from embedpipe._providers import Retry
from embedpipe._threads import in_thread
from embedpipe.embedding import catalogue
from embedpipe.embedding.backend import Limits
from embedpipe.embedding.cache import VectorCache
from embedpipe.embedding.engine.assembly import assemble, merged
from embedpipe.embedding.engine.batch_queue import BatchQueue, ends_call
from embedpipe.embedding.engine.batching import BatchPlanner
from embedpipe.embedding.engine.cache_lookup import CacheLookup
from embedpipe.embedding.engine.compressing import Compressor, compressed_spec
from embedpipe.embedding.engine.late import check_late_chunking, late_batches, late_names, late_request
from embedpipe.embedding.engine.request import EmbeddingRequest
from embedpipe.embedding.engine.results import EmbeddingAttempt
from embedpipe.embedding.engine.sending import Sender
from embedpipe.embedding.engine.text_batch import ItemLimit, TextBatch
from embedpipe.embedding.engine.truncation import OnTooLong
from embedpipe.embedding.vectors import to_unit_length
from embedpipe.errors import EmbeddingError, InputError
from embedpipe.metrics.spans import Observers, span
from embedpipe.text import clean_text
from embedpipe.types import ChunkedText, EmbeddingModel, Kind, ModelSpec

_FEW_TEXTS, _FEW_CHARACTERS = 16, 4000
"""So much is checked and counted in a fraction of a millisecond: less than the way to a thread and back takes."""


def _checked_texts(texts: object) -> Sequence[str]:
    """Return the texts as a sequence. Each of them is checked later, where its error is its own."""
    if isinstance(texts, str | bytes):
        raise InputError("`texts` is a single text. Pass a list of texts, or use generate() for one.")
    if not isinstance(texts, Iterable):
        raise InputError(f"texts={shown(texts)} is no list. Pass a list of texts.")
    return texts if isinstance(texts, Sequence) else list(texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """How texts are embedded, whatever the model. See `EmbeddingGenerator` for each option."""

    limits: Limits
    retry: Retry
    cache: VectorCache | None
    on_too_long: OnTooLong
    clean_text: bool
    normalize: bool
    compressor: Compressor | None
    metrics: Observers | None

    def __post_init__(self) -> None:
        check_fields(self)


class EmbeddingEngine:
    """Embeds texts with one model. Safe to share between threads and event loops."""

    def __init__(self, model: EmbeddingModel, options: EngineOptions) -> None:
        self.sender = Sender(model, limits=options.limits, retry=options.retry)
        self._model = model
        self._options = options
        self._concurrency = options.limits.concurrency
        self._planner = BatchPlanner(model, options.limits, options.on_too_long)
        self._item_limit = ItemLimit()
        self._is_loaded = False
        self._labels: Mapping[str, Any] = {}
        """The model and its provider, for events. Empty before the specification is known."""

    def embed(self, texts: Sequence[str], kind: Kind, *, strict: bool) -> EmbeddingAttempt:
        """Embed what can be embedded, and return it with the error of every other text by its position.

        With `strict`, raise an invalid or too long text's error before anything is sent, and any error at the end.
        """
        texts = _checked_texts(texts)
        with span("embed", to=self._options.metrics, texts=len(texts), content=texts) as called:
            try:
                queue = self._prepare(texts, kind, strict)
                self._send_all(queue)
                return assemble(queue.request, strict, self._specs[1], self._options.compressor)
            finally:
                called.details.update(self._labels)

    async def aembed(self, texts: Sequence[str], kind: Kind, *, strict: bool) -> EmbeddingAttempt:
        """As `embed`. What takes long beside the requests is done in a thread."""
        texts = _checked_texts(texts)
        with span("embed", to=self._options.metrics, texts=len(texts), content=texts) as called:
            try:
                run = _run_here if self._is_quick(texts) else in_thread
                queue = await run(self._prepare, texts, kind, strict)
                await self._asend_all(queue, run)
                self._is_loaded |= bool(texts)  # tokenizer and specification are there from now on
                return await run(assemble, queue.request, strict, self._specs[1], self._options.compressor)
            finally:
                called.details.update(self._labels)

    def embed_late(self, documents: Sequence[ChunkedText]) -> EmbeddingAttempt:
        """Embed the chunks of each document together. Positions are those of all chunks, one document after another."""
        with span("embed", to=self._options.metrics, texts=sum(len(each.spans) for each in documents)) as called:
            try:
                queue = self._prepare_late(documents)
                self._send_all(queue)
                return assemble(queue.request, False, self._specs[1], self._options.compressor)
            finally:
                called.details.update(self._labels)

    async def aembed_late(self, documents: Sequence[ChunkedText]) -> EmbeddingAttempt:
        """As `embed_late`, on the running event loop."""
        with span("embed", to=self._options.metrics, texts=sum(len(each.spans) for each in documents)) as called:
            try:
                queue = await in_thread(self._prepare_late, documents)
                await self._asend_all(queue, in_thread)
                return await in_thread(assemble, queue.request, False, self._specs[1], self._options.compressor)
            finally:
                called.details.update(self._labels)

    def forget(self, texts: Sequence[str]) -> int:
        """Delete the vectors of these texts from the cache, and return how many there were."""
        if not self._lookup or not texts:
            return 0
        return self._lookup.forget([_cleaned(text) for text in texts] if self._options.clean_text else texts)

    def _prepare_late(self, documents: Sequence[ChunkedText]) -> BatchQueue:
        """As `_prepare`, for the chunks of documents."""
        check_late_chunking(self._model)
        request = late_request(documents, dimensions=self._specs[0].dimensions)
        missing: Sequence[int] = range(len(request.texts))
        if self._lookup:
            with span("embed.cache", texts=len(request.texts), **self._labels) as looked_up:
                missing = self._lookup.look_up(request, late_names(documents))
                looked_up.details["hits"] = len(request.texts) - len(missing)
        batches = late_batches(request, documents, missing, self._model, self._options.limits)
        return BatchQueue(request, batches, self._item_limit)

    def _prepare(self, texts: Sequence[str], kind: Kind, strict: bool) -> BatchQueue:
        """Do everything that comes before the first request."""
        checked_choice("kind", kind, get_args(Kind))
        # The caller gets the texts back as given. Keys, counts and vectors are those of the cleaned ones.
        cleaned = [_cleaned(text) for text in texts] if self._options.clean_text else texts
        request = EmbeddingRequest.of(texts, cleaned, kind=kind, dimensions=self._specs[0].dimensions)
        if strict and request.invalid:
            raise merged(request.invalid)
        missing: Sequence[int] = range(len(request.texts))
        if self._lookup:
            with span("embed.cache", texts=len(request.texts), **self._labels) as looked_up:
                missing = self._lookup.look_up(request)
                looked_up.details["hits"] = len(request.texts) - len(missing)
        batches = self._planner.plan(request, missing)
        if strict and request.errors:
            raise merged(request.failures)
        return BatchQueue(request, batches, self._item_limit)

    def _send_all(self, queue: BatchQueue) -> None:
        """Send every batch: one after the other from this thread, or several at once from a pool of threads."""
        if self._concurrency == 1 or queue.is_single:  # to start a thread takes longer than to embed a query
            while (batch := queue.take()) is not None:
                self._send(queue, batch)
                queue.settle(batch)
            return
        pool = ThreadPoolExecutor(self._concurrency, thread_name_prefix="embedpipe")
        running: dict[Future[None], TextBatch] = {}
        try:
            while True:
                while self._wants_more(running) and (batch := queue.take()) is not None:
                    # The context tells the spans of this batch which call they belong to.
                    running[pool.submit(copy_context().run, self._send, queue, batch)] = batch
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    future.result()
                    queue.settle(running.pop(future))
        finally:
            # After an error nothing waits for the requests under way: one may take as long as its timeout.
            pool.shutdown(wait=False, cancel_futures=True)

    def _wants_more(self, running: Mapping[Future[None], TextBatch]) -> bool:
        """Return whether a batch is to be made now: each thread's next one is, while its request is under way."""
        if len(running) < self._concurrency:
            return True
        return len(running) < 2 * self._concurrency and not any(future.done() for future in running)

    async def _asend_all(self, queue: BatchQueue, run: Callable[..., Any]) -> None:
        """Send every batch from tasks of this event loop. If this one is cancelled, so are they."""
        running: dict[asyncio.Future[None], TextBatch] = {}
        try:
            while True:
                while len(running) < self._concurrency:
                    batch = queue.take() if queue.has_waiting else await run(queue.take)
                    if batch is None:
                        break
                    running[asyncio.ensure_future(self._asend(queue, batch, run))] = batch
                if not running:
                    return
                # While requests are under way, the next batches are counted, one by one: a reply comes first.
                while not any(future.done() for future in running) and await run(queue.prepare, self._concurrency):
                    pass
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for future in done:
                    future.result()
                    queue.settle(running.pop(future))
        finally:
            for future in running:
                future.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def _send(self, queue: BatchQueue, batch: TextBatch) -> None:
        """Send a batch and keep the vectors that come. If some do not, `batch.error` says why."""
        if queue.ended:
            batch.error = queue.ended
            return
        with self._measured_request(queue, batch):
            self.sender.send(batch, queue.request.kind)
        self._keep(queue.request, batch)

    async def _asend(self, queue: BatchQueue, batch: TextBatch, run: Callable[..., Any]) -> None:
        """As `_send`."""
        with self._measured_request(queue, batch):
            await self.sender.asend(batch, queue.request.kind)
        await run(self._keep, queue.request, batch)

    def _keep(self, request: EmbeddingRequest, batch: TextBatch) -> None:
        """Normalise the vectors that came, and put them into the request and the cache."""
        if batch.probe or not batch.is_answered:
            return
        indices, vectors = batch.take_vectors()
        complete = request.fill(indices, to_unit_length(vectors) if self._options.normalize else vectors)
        if self._lookup and complete:
            self._lookup.keep(request, complete)

    @property
    def spec(self) -> ModelSpec:
        """What the vectors are that the caller gets: normalised and compressed if that was asked for."""
        return self._specs[1]

    @cached_property
    def _specs(self) -> tuple[ModelSpec, ModelSpec]:
        """What the vectors are before they are compressed, as the cache keeps them, and after."""
        spec = self.sender.spec()
        base = replace(spec, normalized=True) if self._options.normalize else spec
        compressor = self._options.compressor
        specs = base, base if compressor is None else compressed_spec(base, compressor)
        self._labels = {"model": spec.name, "provider": getattr(self._model, "provider", "")}
        return specs

    @cached_property
    def _lookup(self) -> CacheLookup | None:
        """Made at the first call: keys depend on the specification, for which a model may have to load."""
        cache, on_too_long = self._options.cache, self._options.on_too_long
        return None if cache is None else CacheLookup(cache, self._specs[0], on_too_long=on_too_long)

    def _is_quick(self, texts: Sequence[Any]) -> bool:
        """Return whether a call's own work is too short for a thread. The first call may load the model."""
        few = self._is_loaded and self._options.cache is None and len(texts) <= _FEW_TEXTS
        return few and sum(len(text) for text in texts if isinstance(text, str)) <= _FEW_CHARACTERS

    @contextmanager
    def _measured_request(self, queue: BatchQueue, batch: TextBatch) -> Iterator[None]:
        """Measure a request, and put its error into the batch."""
        try:
            with span("embed.request", texts=len(batch.texts), content=batch.texts, **self._labels) as sent:
                try:
                    yield
                    # a failure costs nothing
                    sent.details.update(tokens=sum(batch.token_counts), price_per_million=self._price)
                finally:
                    sent.details["retries"] = max(batch.attempts - 1, 0)
        except EmbeddingError as error:
            batch.error = error
            if ends_call(error):
                queue.ended = error  # before this thread takes what is queued for it

    @cached_property
    def _price(self) -> float:
        known = catalogue.find(self.spec.name)
        return (known.price_per_million or 0.0) if known else 0.0


def _cleaned(text: Any) -> Any:
    """Clean a text. What is no text is refused later, with its position."""
    return clean_text(text) if isinstance(text, str) else text


async def _run_here(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function on the event loop itself."""
    return function(*args)
