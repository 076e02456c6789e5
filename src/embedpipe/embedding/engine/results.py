"""The results that a caller gets."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedpipe.errors import EmbedPipeError
from embedpipe.types import Vectors


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """Switch the garbage collector off: it looks through millions of new floats again and again, half of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EmbeddingResult:
    """One text with its vector, (d,) float32, and its number of tokens in the model."""

    text: str
    embedding: Vectors
    model: str
    token_count: int
    cached: bool = False

    def to_list(self) -> list[float]:
        """Return the vector as Python floats."""
        floats: list[float] = self.embedding.tolist()
        return floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EmbeddingBatch:
    """Texts with their vectors, in the input's order.

    `vectors` is (n, d) float32 and contiguous, `token_counts` (n,) int64, `cached` (n,) bool: whether the
    vector came from the cache. Iterating gives `EmbeddingResult`s.
    """

    texts: Sequence[str]
    vectors: Vectors
    token_counts: npt.NDArray[np.int64]
    cached: npt.NDArray[np.bool_]
    model: str

    def to_lists(self) -> list[list[float]]:
        """Return the vectors as lists of Python floats."""
        with _without_collection():
            floats: list[list[float]] = self.vectors.tolist()
        return floats

    def __len__(self) -> int:
        return len(self.texts)

    def __iter__(self) -> Iterator[EmbeddingResult]:
        return (self[position] for position in range(len(self)))

    def __getitem__(self, position: int) -> EmbeddingResult:
        return EmbeddingResult(
            text=self.texts[position],
            embedding=self.vectors[position],
            model=self.model,
            token_count=int(self.token_counts[position]),
            cached=bool(self.cached[position]),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EmbeddingAttempt:
    """The texts that were embedded, and the errors of the others.

    `batch` holds the embedded texts, `positions` their positions in the input, `errors` the error of every other
    position. `requests` counts the requests that were sent, `retries` those that were retries.
    """

    batch: EmbeddingBatch
    positions: Sequence[int]
    errors: Mapping[int, EmbedPipeError]
    requests: int = 0
    retries: int = 0
