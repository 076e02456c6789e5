"""Look a call's texts up in the cache before anything is counted, and keep new vectors as they arrive."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from embedpipe.embedding.cache import (
    ForgettingCache,
    KeyMaker,
    Precision,
    Treatment,
    VectorCache,
    decode,
    encode,
    rounded,
)
from embedpipe.embedding.engine.request import EmbeddingRequest
from embedpipe.embedding.engine.truncation import OnTooLong
from embedpipe.embedding.vectors import to_unit_length, usable_rows
from embedpipe.errors import ConfigurationError
from embedpipe.types import Kind, ModelSpec

_BLOCK = 1024  # entries read at once, so that their bytes and vectors are not all in memory twice

logger = logging.getLogger(__name__)


class CacheLookup:
    """The cache of one model's vectors. A cache that fails costs time, never a vector: its error is logged."""

    def __init__(self, cache: VectorCache, spec: ModelSpec, *, on_too_long: OnTooLong) -> None:
        self._cache = cache
        self._spec = spec
        self._long_texts: Treatment = "whole" if on_too_long == "error" else on_too_long
        self._precision: Precision = getattr(cache, "precision", "float32")
        kinds: tuple[Kind, ...] = ("document", "query")
        self._key_makers = {kind: KeyMaker(spec, kind, self._precision) for kind in kinds}

    def look_up(self, request: EmbeddingRequest, names: Sequence[str] | None = None) -> Sequence[int]:
        """Fill in the vectors that the cache has, and return the indices of the texts that it does not have.

        `names` stand for the texts, where a vector depends on more than its text.
        """
        request.cache_keys = self._key_makers[request.kind].keys(request.texts if names is None else names)
        damaged = 0
        try:
            for start in range(0, len(request.cache_keys), _BLOCK):
                damaged += self._read(request, start)
        except Exception:
            logger.exception("The cache %r cannot be read. What it may hold is embedded again.", self._cache)
        if damaged:
            logger.warning("%d entries of the cache %r are damaged. They are embedded again.", damaged, self._cache)
        return np.flatnonzero(~request.cached).tolist()

    def _read(self, request: EmbeddingRequest, start: int) -> int:
        """Fill in one block of texts, and return how many entries are damaged."""
        keys = request.cache_keys[start : start + _BLOCK]
        values = self._cache.get_many(keys)
        groups, damaged = decode(keys, values, dimensions=self._spec.dimensions, long_texts=self._long_texts)
        for found in groups:
            whole = len(found.places) == len(keys)
            place = slice(start, start + len(keys)) if whole else np.add(found.places, start)
            request.vectors[place] = self._rescaled(found.vectors)
            request.token_counts[place] = found.tokens
            request.cached[place] = usable = usable_rows(request.vectors[place])
            damaged += len(usable) - int(np.count_nonzero(usable))
        return damaged

    def keep(self, request: EmbeddingRequest, indices: Sequence[int]) -> None:
        """Put the vectors of these texts into the cache.

        A cache of int8 rounds them, and the request's vectors are rounded with them: a text has the same vector whether
        it was found or not.
        """
        entries = encode(
            [request.cache_keys[index] for index in indices],
            request.vectors[indices],
            tokens=request.token_counts[indices].tolist(),
            treatments=[self._long_texts if index in request.shortened else "whole" for index in indices],
            model=self._spec.name,
            precision=self._precision,
        )
        if self._precision == "int8":
            request.vectors[indices] = self._rescaled(rounded(request.vectors[indices], "int8"))
        try:
            self._cache.put_many(entries)
        except Exception:
            logger.exception("The cache %r cannot be written: %d vectors are not kept.", self._cache, len(entries))

    def forget(self, texts: Sequence[str]) -> int:
        """Delete the vectors of these texts, as documents and as queries. Return how many there were.

        Raises:
            ConfigurationError: If the cache cannot delete.
        """
        if not isinstance(self._cache, ForgettingCache):
            raise ConfigurationError(
                f"The cache {self._cache!r} cannot delete entries, so it would keep the vectors of what is forgotten. "
                "Give it a method delete_many(keys), or use a folder or Redis."
            )
        return self._cache.delete_many([key for maker in self._key_makers.values() for key in maker.keys(texts)])

    def _rescaled(self, vectors: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Return rounded vectors at length 1 if the model's are: rounding changes the length a little."""
        return to_unit_length(vectors) if self._precision == "int8" and self._spec.normalized else vectors
