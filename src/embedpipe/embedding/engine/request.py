"""One call's texts between the caller and the backend: each distinct text once, long ones in pieces."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from embedpipe.embedding.engine.flow import RequestBatch
from embedpipe.errors import EmbeddingError, EmbedPipeError, InputError
from embedpipe.text import faults
from embedpipe.types import Kind, Vectors


@dataclass(slots=True)
class _Sum:
    """A long text's vector under way: the token-weighted sum of its pieces' vectors."""

    total: npt.NDArray[np.float64]
    missing: int


@dataclass(slots=True)
class Call:
    """The distinct texts of one call, their vectors as they come, and what was sent for them.

    A text's number is its place in `texts`; `numbers` gives the number of each text of the caller, -1 for one that is
    in `invalid`, which holds errors by the caller's positions. `errors` are by number. Numbers from `len(texts)` on are
    pieces of a text; `keys` are the texts' keys in the cache; `cut` are the texts that are not embedded as they stand.
    """

    kind: Kind
    texts: Sequence[str]
    numbers: Sequence[int]
    invalid: Mapping[int, InputError]
    vectors: Vectors
    counts: npt.NDArray[np.int64]
    cached: npt.NDArray[np.bool_]
    keys: Sequence[bytes] = ()
    errors: dict[int, EmbeddingError] = field(default_factory=dict)
    cut: set[int] = field(default_factory=set)
    requests: int = 0
    retries: int = 0
    _owners: list[int] = field(default_factory=list)
    _weights: list[int] = field(default_factory=list)
    _sums: dict[int, _Sum] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, texts: Sequence[str], *, kind: Kind, dimensions: int) -> Call:
        """A call for the texts, in which equal ones share a number."""
        invalid = faults(texts)
        index: dict[str, int] = {}
        if invalid:
            numbers = [
                -1 if position in invalid else index.setdefault(text, len(index)) for position, text in enumerate(texts)
            ]
        else:
            numbers = [index.setdefault(text, len(index)) for text in texts]
        size = len(index)
        return cls(
            kind,
            list(index),
            numbers,
            invalid,
            np.empty((size, dimensions), dtype=np.float32),
            np.zeros(size, dtype=np.int64),
            np.zeros(size, dtype=np.bool_),
        )

    @property
    def failures(self) -> dict[int, EmbedPipeError]:
        """Every error so far, by the caller's positions."""
        failures: dict[int, EmbedPipeError] = dict(self.invalid)
        if self.errors:
            failed = ((position, self.errors.get(number)) for position, number in enumerate(self.numbers))
            failures.update({position: error for position, error in failed if error})
        return dict(sorted(failures.items()))

    def split(self, number: int, weights: Sequence[int]) -> list[int]:
        """The numbers of a text's pieces, whose vectors are to be weighted by `weights`."""
        first = len(self.texts) + len(self._owners)
        self._owners.extend([number] * len(weights))
        self._weights.extend(weights)
        self._sums[number] = _Sum(np.zeros(self.vectors.shape[1]), len(weights))
        return list(range(first, first + len(weights)))

    def owner(self, number: int) -> int:
        """The text that a number stands for, or is a piece of."""
        return number if number < len(self.texts) else self._owners[number - len(self.texts)]

    def fill(self, batch: RequestBatch, vectors: Vectors) -> Sequence[int]:
        """Takes a batch's vectors; the texts that have become whole by them. Safe to call from several threads."""
        if not self._owners:
            self.vectors[batch.keys] = vectors
            return batch.keys
        whole: list[int] = []
        with self._lock:
            for number, vector in zip(batch.keys, vectors, strict=True):
                if number < len(self.texts):
                    self.vectors[number] = vector
                    whole.append(number)
                elif self._add(number - len(self.texts), vector):
                    whole.append(self.owner(number))
        return whole

    def _add(self, piece: int, vector: Vectors) -> bool:
        owner = self._owners[piece]
        under_way = self._sums[owner]
        under_way.total += vector * float(self._weights[piece])
        under_way.missing -= 1
        if under_way.missing:
            return False
        self.vectors[owner] = under_way.total / np.linalg.norm(under_way.total)
        return True

    def fail(self, errors: Mapping[int, EmbeddingError]) -> None:
        """Takes errors by number, of texts and of pieces."""
        for number, error in errors.items():
            self.errors.setdefault(self.owner(number), error)

    def tried(self, attempt: int) -> None:
        """Counts a request, the first of its batch or a retry."""
        with self._lock:
            self.requests += 1
            self.retries += attempt > 1
