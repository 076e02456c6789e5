"""The texts of one request to the model, and what has come of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from embedpipe.embedding.backend import EmbeddingResponse, RemoteModel
from embedpipe.embedding.vectors import find_unusable, unusable_rows
from embedpipe.errors import EmbeddingError
from embedpipe.types import EmbeddingModel, Kind, ModelSpec, Vectors


@dataclass(slots=True, eq=False)
class ItemLimit:
    """How many texts the provider takes in one request, as far as it was found out. `most` is None at first."""

    most: int | None = None


@dataclass(slots=True, eq=False)
class RefusedBatch:
    """A batch that was refused and halved, and how many of its halves were answered whole."""

    answered_halves: int = 0


@dataclass(slots=True, eq=False)
class TextBatch:
    """Texts of one request to the model, and what has come of it.

    `indices` are the texts' indices within the call. `once`: the batch is sent once, since a larger one with these
    texts was retried as often as the policy allows. `probe`: the text has its vector already, and is sent to see
    whether the provider still answers. `half_of` is the batch that was refused, if this is half of one.

    `attempts` counts the requests so far. `is_answered` says whether any text has got its vector, `error` why texts
    have none.
    """

    indices: Sequence[int]
    texts: Sequence[str]
    token_counts: Sequence[int]
    once: bool = False
    probe: bool = False
    half_of: RefusedBatch | None = None
    attempts: int = 0
    is_answered: bool = False
    error: EmbeddingError | None = None
    _vectors: Vectors | None = None
    _missing: Sequence[int] = ()  # rows without a vector, once others have theirs

    def select(self, rows: Sequence[int], *, once: bool = False) -> TextBatch:
        """Return a batch of these rows that has not been sent."""
        return TextBatch(
            list(map(self.indices.__getitem__, rows)),
            list(map(self.texts.__getitem__, rows)),
            list(map(self.token_counts.__getitem__, rows)),
            once=once or self.once,
        )

    def halves(self, *, once: bool) -> tuple[TextBatch, TextBatch]:
        """Return the batch in two, neither of them sent."""
        size = len(self.indices)
        return self.select(range(size // 2), once=once), self.select(range(size // 2, size), once=once)

    @property
    def can_halve(self) -> bool:
        """Whether the texts may also be sent in two requests."""
        return True

    def embed(self, model: EmbeddingModel, kind: Kind) -> Vectors:
        """Have a model on this machine embed the texts."""
        return model.embed(self.texts, kind)

    def fetch(self, model: RemoteModel, kind: Kind) -> EmbeddingResponse:
        """Send the texts."""
        return model.fetch(self.texts, kind)

    async def afetch(self, model: RemoteModel, kind: Kind) -> EmbeddingResponse:
        """As `fetch`, on the running event loop."""
        return await model.afetch(self.texts, kind)

    @property
    def missing(self) -> TextBatch:
        """What has no vector yet."""
        return self.select(self._missing) if self.is_answered else self

    @property
    def answered(self) -> TextBatch:
        """What has got its vector. Some text has."""
        return self.select(self._answered_rows) if self._missing else self

    @property
    def _answered_rows(self) -> list[int]:
        rows: list[int] = np.delete(range(len(self.indices)), self._missing).tolist()
        return rows

    def take_vectors(self) -> tuple[Sequence[int], Vectors]:
        """Return the indices of what is answered and its vectors, (n, d) float32, and let go of these.

        So the thread that made them frees them. When they were kept until the batch was settled, embedding 5,000 short
        texts with three threads took a tenth more processor time.
        """
        vectors, self._vectors = self._vectors, None
        assert vectors is not None  # noqa: S101 - something is answered
        if not self._missing:
            return self.indices, vectors
        rows = self._answered_rows
        return [self.indices[row] for row in rows], vectors[rows]

    def receive(self, vectors: Vectors, spec: ModelSpec) -> None:
        """Check the vectors of what was missing, and keep the good ones.

        Raises:
            InvalidVectorsError: If not all of them are good.
        """
        rows = self._missing if self.is_answered else range(len(self.indices))
        vectors, bad = find_unusable(vectors, expected=len(rows), spec=spec)
        if not bad and not self.is_answered:
            self._vectors, self.is_answered = vectors, True
        elif len(bad) < len(rows):
            if self._vectors is None:
                self._vectors = np.empty((len(rows), vectors.shape[1]), dtype=np.float32)
                self.is_answered = True
            self._vectors[np.delete(rows, bad)] = np.delete(vectors, bad, axis=0)
            self._missing = [rows[place] for place in bad]
        if bad:
            raise unusable_rows(bad, expected=len(rows), spec=spec)
