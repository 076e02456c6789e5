"""A call's texts in the cache: looked up before anything is counted, kept as they arrive."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from embedpipe.embedding.cache.entries import Cut, KeyMaker, Precision, VectorCache, decode, encode, rounded
from embedpipe.embedding.engine.request import Call
from embedpipe.embedding.engine.truncation import OnTooLong
from embedpipe.embedding.vectors import unit, usable_rows
from embedpipe.types import Kind, ModelSpec

_BLOCK = 1024  # what is read at once stays small

logger = logging.getLogger(__name__)


class Recall:
    """The cache of one model's vectors. A cache that fails costs time, never a vector: its error is logged."""

    def __init__(self, cache: VectorCache, spec: ModelSpec, *, on_too_long: OnTooLong) -> None:
        self._cache = cache
        self._spec = spec
        self._cut: Cut = "whole" if on_too_long == "error" else on_too_long
        self._precision: Precision = getattr(cache, "precision", "float32")
        kinds: tuple[Kind, ...] = ("document", "query")
        self._makers = {kind: KeyMaker(spec, kind, self._precision) for kind in kinds}

    def look_up(self, call: Call) -> Sequence[int]:
        """Fills in what the cache has; the numbers of the texts that it has not."""
        call.keys = self._makers[call.kind].keys(call.texts)
        damaged = 0
        try:
            for start in range(0, len(call.keys), _BLOCK):
                damaged += self._read(call, start)
        except Exception:
            logger.exception("The cache %r cannot be read: what it may hold is embedded again.", self._cache)
        if damaged:
            logger.warning("%d entries of the cache %r are damaged: embedded again.", damaged, self._cache)
        return np.flatnonzero(~call.cached).tolist()

    def _read(self, call: Call, start: int) -> int:
        keys = call.keys[start : start + _BLOCK]
        values = self._cache.get_many(keys)
        groups, damaged = decode(keys, values, dimensions=self._spec.dimensions, cut=self._cut)
        for found in groups:
            whole = len(found.places) == len(keys)
            place = slice(start, start + len(keys)) if whole else np.add(found.places, start)
            call.vectors[place] = self._scaled(found.vectors)
            call.counts[place] = found.tokens
            call.cached[place] = usable = usable_rows(call.vectors[place])
            damaged += len(usable) - int(np.count_nonzero(usable))
        return damaged

    def keep(self, call: Call, numbers: Sequence[int]) -> None:
        """Puts the vectors of these texts into the cache.

        Where it keeps bytes, the call's vectors become what is read of them: a text has one vector, found or not.
        """
        entries = encode(
            [call.keys[number] for number in numbers],
            call.vectors[numbers],
            tokens=call.counts[numbers].tolist(),
            cuts=[self._cut if number in call.cut else "whole" for number in numbers],
            model=self._spec.name,
            to=self._precision,
        )
        if self._precision == "int8":
            call.vectors[numbers] = self._scaled(rounded(call.vectors[numbers], "int8"))
        try:
            self._cache.put_many(entries)
        except Exception:
            logger.exception("The cache %r cannot be written: %d vectors are not kept.", self._cache, len(entries))

    def _scaled(self, vectors: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """At length 1 where the model's vectors are, since a rounded one is so only about."""
        return unit(vectors) if self._precision == "int8" and self._spec.normalized else vectors
