"""One call's texts between the caller and the model: each distinct text once, long ones in pieces."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from embedpipe.errors import EmbeddingError, EmbedPipeError, InputError
from embedpipe.text import faults
from embedpipe.types import Kind, Vectors


@dataclass(slots=True)
class _PieceSum:
    """The token-weighted sum of the vectors of a long text's pieces, as far as they have come."""

    total: npt.NDArray[np.float64]
    missing: int


@dataclass(slots=True)
class EmbeddingRequest:
    """The distinct texts of one call, and what is known of each so far.

    A position is a place in `given`, the caller's texts. An index is a place in `texts`, the distinct ones: `indices`
    has the index of each position, -1 for an invalid text. Indices from `len(texts)` on are pieces of a long text.

    `vectors` (n, d), `token_counts` (n,), `cached` (n,) and `cache_keys` are by index, and so are `errors`. `invalid`
    holds errors by position. `shortened` are the indices of texts that were split or truncated.
    """

    given: Sequence[str]
    kind: Kind
    texts: Sequence[str]
    indices: Sequence[int]
    invalid: Mapping[int, InputError]
    vectors: Vectors
    token_counts: npt.NDArray[np.int64]
    cached: npt.NDArray[np.bool_]
    cache_keys: Sequence[bytes] = ()
    errors: dict[int, EmbeddingError] = field(default_factory=dict)
    shortened: set[int] = field(default_factory=set)
    requests: int = 0
    retries: int = 0
    _piece_owners: list[int] = field(default_factory=list)
    _piece_weights: list[int] = field(default_factory=list)
    _piece_sums: dict[int, _PieceSum] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, given: Sequence[str], texts: Sequence[str], *, kind: Kind, dimensions: int) -> EmbeddingRequest:
        """Validate the texts, which are those given or their cleaned forms, and let equal ones share an index."""
        invalid = faults(texts)
        valid = [text for position, text in enumerate(texts) if position not in invalid] if invalid else texts
        distinct = list(dict.fromkeys(valid))
        size = len(distinct)
        index_of = dict(zip(distinct, range(size), strict=True))
        if invalid:
            indices = [-1 if position in invalid else index_of[text] for position, text in enumerate(texts)]
        else:
            indices = list(map(index_of.__getitem__, texts))
        return cls(
            given,
            kind,
            distinct,
            indices,
            invalid,
            np.empty((size, dimensions), dtype=np.float32),
            np.zeros(size, dtype=np.int64),
            np.zeros(size, dtype=np.bool_),
        )

    @property
    def failures(self) -> dict[int, EmbedPipeError]:
        """Every error so far, by position."""
        failures: dict[int, EmbedPipeError] = dict(self.invalid)
        if self.errors:
            failed = ((position, self.errors.get(index)) for position, index in enumerate(self.indices))
            failures.update({position: error for position, error in failed if error})
        return dict(sorted(failures.items()))

    def add_pieces(self, index: int, weights: Sequence[int]) -> list[int]:
        """Return indices for the pieces of a text, whose vectors are to be weighted by `weights`."""
        first = len(self.texts) + len(self._piece_owners)
        self._piece_owners.extend([index] * len(weights))
        self._piece_weights.extend(weights)
        self._piece_sums[index] = _PieceSum(np.zeros(self.vectors.shape[1]), len(weights))
        return list(range(first, first + len(weights)))

    def fill(self, indices: Sequence[int], vectors: Vectors) -> Sequence[int]:
        """Take vectors, and return the indices of the texts that are complete by them. Thread-safe."""
        if not self._piece_owners:  # no two batches share a text, so their rows need no lock
            self.vectors[indices] = vectors
            return indices
        complete: list[int] = []
        with self._lock:
            for index, vector in zip(indices, vectors, strict=True):
                if index < len(self.texts):
                    self.vectors[index] = vector
                    complete.append(index)
                elif self._add_piece(index - len(self.texts), vector):
                    complete.append(self._owner(index))
        return complete

    def fail(self, indices: Sequence[int], error: EmbeddingError) -> None:
        """Note the error of texts and pieces. The first error of a text stays."""
        for index in indices:
            self.errors.setdefault(self._owner(index), error)

    def _owner(self, index: int) -> int:
        """Return the index of the text that an index stands for, or is a piece of."""
        return index if index < len(self.texts) else self._piece_owners[index - len(self.texts)]

    def _add_piece(self, piece: int, vector: Vectors) -> bool:
        """Add a piece's vector to its text's, and return whether it was the last one."""
        owner = self._piece_owners[piece]
        under_way = self._piece_sums[owner]
        under_way.total += vector * float(self._piece_weights[piece])
        under_way.missing -= 1
        if under_way.missing:
            return False
        # The mean and the sum point in one direction, and only the direction counts: the vector gets length 1.
        self.vectors[owner] = under_way.total / np.linalg.norm(under_way.total)
        return True
