"""The texts of one request to the model, and what has come of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from embedpipe.embedding.vectors import find_unusable, unusable_rows
from embedpipe.errors import EmbeddingError
from embedpipe.types import ModelSpec, Vectors


@dataclass(slots=True, eq=False)
class TextBatch:
    """Texts of one request to the model, and what has come of it.

    `indices` are the texts' indices within the call. `once`: the batch is sent once, since a larger one with these
    texts was retried as often as the policy allows. `probe`: the text has its vector already, and is sent to see
    whether the provider still answers.

    `attempts` counts the requests so far. `error` says why texts of the batch have no vector.
    """

    indices: Sequence[int]
    texts: Sequence[str]
    token_counts: Sequence[int]
    once: bool = False
    probe: bool = False
    attempts: int = 0
    error: EmbeddingError | None = None
    _vectors: Vectors | None = None
    _rows: Sequence[int] = ()  # those without a vector

    def __post_init__(self) -> None:
        self._rows = range(len(self.indices))

    def __len__(self) -> int:
        return len(self.indices)

    def select(self, rows: Sequence[int], *, once: bool = False) -> TextBatch:
        """Return a batch of these rows that has not been sent."""
        indices, texts, counts = self.indices, self.texts, self.token_counts
        return TextBatch(
            [indices[row] for row in rows],
            [texts[row] for row in rows],
            [counts[row] for row in rows],
            once=once or self.once,
        )

    def halves(self, *, once: bool) -> tuple[TextBatch, TextBatch]:
        """Return the batch in two, neither of them sent."""
        middle = len(self) // 2
        return self.select(range(middle), once=once), self.select(range(middle, len(self)), once=once)

    @property
    def missing(self) -> TextBatch:
        """What has no vector yet."""
        return self if len(self._rows) == len(self) else self.select(self._rows)

    @property
    def answered(self) -> TextBatch:
        """What has got its vector."""
        return self.select(self._answered_rows) if self._rows else self

    @property
    def _answered_rows(self) -> list[int]:
        missing = set(self._rows)
        return [row for row in range(len(self)) if row not in missing]

    def take_vectors(self) -> Vectors:
        """Return the vectors (n, d) float32 of what is answered, and let go of them.

        So the thread that made them frees them. When they were kept until the batch was settled, embedding 5,000 short
        texts with three threads took a tenth more processor time.
        """
        vectors, self._vectors = self._vectors, None
        assert vectors is not None  # noqa: S101 - something is answered
        return vectors[self._answered_rows] if self._rows else vectors

    def receive(self, vectors: Vectors, spec: ModelSpec) -> None:
        """Check the vectors of what was missing, and keep the good ones.

        Raises:
            InvalidVectorsError: If not all of them are good.
        """
        expected = len(self._rows)
        vectors, bad = find_unusable(vectors, expected=expected, spec=spec)
        if not bad and self._vectors is None:
            self._vectors = vectors
        elif len(bad) < expected:
            if self._vectors is None:
                self._vectors = np.empty((len(self), vectors.shape[1]), dtype=np.float32)
            unusable = set(bad)
            good = [place for place in range(expected) if place not in unusable]
            self._vectors[[self._rows[place] for place in good]] = vectors[good]
        self._rows = [self._rows[place] for place in bad]
        if bad:
            raise unusable_rows(bad, expected=expected, spec=spec)
