"""From a call's texts to the batches that are sent: counted, long texts shortened, cut by tokens and by number."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np

from embedpipe.embedding.backend import Limits, RemoteModel
from embedpipe.embedding.engine.request import EmbeddingRequest
from embedpipe.embedding.engine.text_batch import TextBatch
from embedpipe.embedding.engine.truncation import OnTooLong, split, too_long, truncate
from embedpipe.metrics.spans import span
from embedpipe.text import EstimatedCounter, TokenCounter, TokenCountingModel
from embedpipe.types import EmbeddingModel, Kind

logger = logging.getLogger(__name__)

_BLOCK = 512
"""Texts that are counted at once for a provider: while the first batch is under way, the next ones are counted."""


class BatchPlanner:
    """Makes the batches of each call for one model."""

    def __init__(self, model: EmbeddingModel, limits: Limits, on_too_long: OnTooLong) -> None:
        self._model = model
        self._limits = limits
        self._on_too_long = on_too_long
        self._is_remote = isinstance(model, RemoteModel)
        self._said = False

    def plan(self, request: EmbeddingRequest, indices: Sequence[int]) -> Iterable[TextBatch]:
        """Return the batches for the texts of these indices. A text that is refused goes to `request.errors` instead.

        Batches of many texts for a provider are made as they are taken, so that tokens are counted while requests are
        under way. With on_too_long="error" every text is counted before anything is sent. A local model gets texts of
        like length together, the longest first: it pads each pass to the longest text.

        Returns:
            A list, or an iterator that counts.
        """
        if not indices:  # all texts are in the cache, so the tokenizer need not load
            return ()
        block = min(_BLOCK, self._limits.batch_items)
        if self._is_remote and self._on_too_long != "error" and len(indices) > block:
            return self._planned_as_taken(request, indices, block)
        counted = self._counted(request, indices)
        if not self._is_remote and len(indices) > 1:
            counted = counted.select(np.argsort(counted.token_counts, kind="stable")[::-1].tolist())
        return _cut(counted, self._limits)

    def _planned_as_taken(self, request: EmbeddingRequest, indices: Sequence[int], block: int) -> Iterator[TextBatch]:
        """Count block by block, each when a batch is taken that needs it."""
        waiting = TextBatch([], [], [])
        for start in range(0, len(indices), block):
            counted = self._counted(request, indices[start : start + block])
            *full, waiting = _cut(_joined(waiting, counted), self._limits)
            yield from full  # the last batch may still take texts of the next block
        yield waiting

    def _counted(self, request: EmbeddingRequest, indices: Sequence[int]) -> TextBatch:
        """Count the texts' tokens, and shorten what the model would not take."""
        with span("embed.tokenize", texts=len(indices), model=self._model.spec.name):
            texts = list(map(request.texts.__getitem__, indices))
            counts = self._counting[0].count_many(texts)
            request.token_counts[indices] = counts
            room = self._rooms[request.kind]
            if room is None or max(counts, default=0) <= room:
                return TextBatch(indices, texts, counts)
            return self._shorten(request, TextBatch(indices, texts, counts), room)

    def _shorten(self, request: EmbeddingRequest, batch: TextBatch, room: int) -> TextBatch:
        """Refuse, truncate or split the texts with more than `room` tokens."""
        counter = self._counting[0]
        long = [row for row, count in enumerate(batch.token_counts) if count > room]
        kept = batch.select([row for row, count in enumerate(batch.token_counts) if count <= room])
        if self._on_too_long == "error":
            name = self._model.spec.name
            errors = {batch.indices[row]: too_long([batch.token_counts[row]], room=room, model=name) for row in long}
            request.errors.update(errors)
            return kept
        self._say(len(long), room)
        indices, texts, counts = list(kept.indices), list(kept.texts), list(kept.token_counts)
        for row in long:
            index, text = batch.indices[row], batch.texts[row]
            request.shortened.add(index)
            if self._on_too_long == "truncate":
                pieces = [truncate(text, counter=counter, room=room)]
            else:
                pieces = split(text, counter=counter, room=room)
            weights = counter.count_many(pieces)
            indices.extend([index] if len(pieces) == 1 else request.add_pieces(index, weights))
            texts.extend(pieces)
            counts.extend(weights)
        return TextBatch(indices, texts, counts)

    def _say(self, texts: int, room: int) -> None:
        if self._on_too_long == "truncate":
            logger.warning("%d texts have more than %d tokens: only their beginning is embedded.", texts, room)
        elif not self._said:
            self._said = True
            logger.info(
                "Texts with more than %d tokens are embedded in pieces, and get the mean of the pieces' vectors. "
                "This is logged once. This time: %d texts.",
                room,
                texts,
            )

    @cached_property
    def _counting(self) -> tuple[TokenCounter, int]:
        """The model's own counter and its number of special tokens, else an estimate."""
        if isinstance(self._model, TokenCountingModel):
            return self._model.counter, self._model.special_tokens
        return EstimatedCounter(self._model.spec.name), 0

    @cached_property
    def _rooms(self) -> Mapping[Kind, int | None]:
        """How many tokens a text of each kind may have beside the prompt and special tokens; None for any number."""
        spec = self._model.spec
        if spec.max_tokens is None:
            return {"query": None, "document": None}
        counter, special = self._counting
        prompts: Mapping[Kind, str] = {"query": spec.query_prompt, "document": spec.document_prompt}
        room = spec.max_tokens - special
        return {kind: room - (counter.count(prompt) if prompt else 0) for kind, prompt in prompts.items()}


def _joined(first: TextBatch, then: TextBatch) -> TextBatch:
    """Return both in one."""
    if not first.indices:
        return then
    return TextBatch(
        [*first.indices, *then.indices], [*first.texts, *then.texts], [*first.token_counts, *then.token_counts]
    )


def _cut(batch: TextBatch, limits: Limits) -> list[TextBatch]:
    """Cut the texts in their order where the next would exceed `limits.batch_items` or `limits.batch_tokens`."""
    made: list[TextBatch] = []
    start = total = 0
    most = limits.batch_tokens
    for row, count in enumerate(batch.token_counts):
        full = row - start == limits.batch_items
        if row > start and (full or (most is not None and total + count > most)):
            made.append(_slice(batch, start, row))
            start, total = row, 0
        total += count
    size = len(batch.indices)
    if start < size:
        made.append(_slice(batch, start, size) if start else batch)
    return made


def _slice(batch: TextBatch, start: int, end: int) -> TextBatch:
    return TextBatch(batch.indices[start:end], batch.texts[start:end], batch.token_counts[start:end])
