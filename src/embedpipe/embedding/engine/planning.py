"""From a call's missing texts to batches: counted, and what is too long split, cut or refused."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TypeAlias, cast

import numpy as np

from embedpipe.embedding.backend import Limits, RemoteModel
from embedpipe.embedding.engine.flow import RequestBatch, batches
from embedpipe.embedding.engine.request import Call
from embedpipe.embedding.engine.truncation import OnTooLong, beginning, pieces, refusal
from embedpipe.metrics.spans import span
from embedpipe.text import EstimatedCounter, TokenCounter, TokenCountingModel
from embedpipe.types import EmbeddingModel, Kind

_BLOCK = 512
Columns: TypeAlias = tuple[list[int], list[str], list[int]]

logger = logging.getLogger(__name__)


class Planner:
    """Makes the batches of a call for one model."""

    def __init__(self, model: EmbeddingModel, limits: Limits, on_too_long: OnTooLong) -> None:
        self.on_too_long = on_too_long
        self._model = model
        self._limits = limits
        self._said = False

    @cached_property
    def _counting(self) -> tuple[TokenCounter, int]:
        """The model's own counter and number of special tokens, else an estimate."""
        if isinstance(self._model, TokenCountingModel):
            return self._model.counter, self._model.special_tokens
        return EstimatedCounter(self._model.spec.name), 0

    def room(self, kind: Kind) -> int | None:
        """How many tokens of a text the model takes, beside its prompt and special tokens; None where any number."""
        spec = self._model.spec
        if spec.max_tokens is None:
            return None
        prompt = spec.query_prompt if kind == "query" else spec.document_prompt
        counter, special = self._counting
        return spec.max_tokens - special - (counter.count(prompt) if prompt else 0)

    def plan(self, call: Call, missing: Sequence[int]) -> Iterator[RequestBatch]:
        """The batches for the texts of these numbers; a text that is refused goes to `call.errors` instead.

        A provider's are made as they are taken, so that counting goes on while others are under way. Local models get
        texts of like length together, the longest first.
        """
        lazy = isinstance(self._model, RemoteModel) and self.on_too_long != "error"
        columns: Columns = ([], [], [])
        size = min(_BLOCK, self._limits.batch_items) if lazy else max(len(missing), 1)
        for start in range(0, len(missing), size):
            numbers, texts, counts = self._counted(call, list(missing[start : start + size]))
            columns[0].extend(numbers)
            columns[1].extend(texts)
            columns[2].extend(counts)
            if start + size < len(missing):
                *full, rest = batches(columns[1], columns[2], self._limits, keys=columns[0])
                columns = (list(rest.keys), list(rest.texts), list(rest.tokens))
                yield from full
        if not isinstance(self._model, RemoteModel):
            order = np.argsort(columns[2], kind="stable")[::-1].tolist()
            columns = cast(Columns, tuple([column[place] for place in order] for column in columns))
        yield from batches(columns[1], columns[2], self._limits, keys=columns[0])

    def _counted(self, call: Call, numbers: list[int]) -> Columns:
        """Numbers, texts and counts, of pieces where a text is too long."""
        with span("embed.tokenize", texts=len(numbers), model=self._model.spec.name):
            texts = [call.texts[number] for number in numbers]
            counts = self._counting[0].count_many(texts)
            call.counts[numbers] = counts
            room = self.room(call.kind)
            columns: Columns = (numbers, texts, counts)
            if room is not None and max(counts, default=0) > room:
                columns = self._shorten(call, *columns, room=room)
            return columns

    def _shorten(self, call: Call, numbers: list[int], texts: list[str], counts: list[int], *, room: int) -> Columns:
        fitting = [place for place, count in enumerate(counts) if count <= room]
        long = [place for place, count in enumerate(counts) if count > room]
        kept = ([numbers[p] for p in fitting], [texts[p] for p in fitting], [counts[p] for p in fitting])
        if self.on_too_long == "error":
            call.errors.update({numbers[p]: refusal([counts[p]], room=room, model=self._model.spec.name) for p in long})
            return kept
        self._say(len(long), room=room)
        for place in long:
            call.cut.add(numbers[place])
            if self.on_too_long == "truncate":
                parts = [beginning(texts[place], counter=self._counting[0], room=room)]
            else:
                parts = pieces(texts[place], counter=self._counting[0], room=room)
            weights = self._counting[0].count_many(parts)
            keys = [numbers[place]] if len(parts) == 1 else call.split(numbers[place], weights)
            kept[0].extend(keys)
            kept[1].extend(parts)
            kept[2].extend(weights)
        return kept

    def _say(self, texts: int, *, room: int) -> None:
        if self.on_too_long == "truncate":
            logger.warning("%d texts are over %d tokens: only their beginning is embedded.", texts, room)
        elif not self._said:
            self._said = True
            logger.info(
                "Texts over %d tokens are embedded in pieces, whose mean is taken (said once; this time %d texts).",
                room,
                texts,
            )
