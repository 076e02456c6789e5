"""The options of a search, listed once: `Search`, and `Fusion`, how a hybrid search makes one score of two."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field
from typing import Literal, Self, TypeAlias

import numpy.typing as npt

from embedpipe.errors import ConfigurationError, InputError
from embedpipe.storage.filters import Filter
from embedpipe.storage.lexical import ParsedQuery, parse_query
from embedpipe.storage.types import storable_text
from embedpipe.types import SearchMode

FusionMethod: TypeAlias = Literal["zscores", "scores", "ranks"]

MAX_K = 10_000
_DENSE_WEIGHTS: dict[FusionMethod, float | None] = {"zscores": None, "scores": 0.7, "ranks": 0.5}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fusion:
    """How a hybrid search makes one score of two.

    Attributes:
        method: `zscores` takes the weighted mean z of (cosine - mean) / spread and BM25 / spread. The score is
            (1 + z / (1 + |z|)) / 2. Mean and spread of the cosine are those between chunks of the collection, which
            `refresh_statistics()` samples. The spread of BM25 is that of the candidates. `scores` brings each leg's
            scores to [0, 1], from the least that they can be (-1 for the cosine, 0 for BM25) to the greatest among the
            candidates, and takes their weighted mean (Bruch, Gai, Ingber, TOIS 2023). `ranks` is reciprocal rank
            fusion, the sum of weight / (rrf_k + rank) (Cormack, Clarke, Buettcher, SIGIR 2009).
        dense_weight: The weight of the dense leg, 0 to 1. The lexical leg has the rest. None means 0.7 for scores and
            0.5 for ranks. For zscores it means that each query has its own, from 0.4 where no chunk is nearer to the
            query than chunks are to each other, to 0.7 where one is much nearer, and 0.5 while nothing is sampled.
        rrf_k: The constant of reciprocal rank fusion.
        candidates: How many chunks each leg brings at least.
        phrase_boost: What a chunk gains that holds all quoted phrases of the query, as a share of the range between the
            least and the greatest score of the candidates, 0 to 1. One that holds some gains that share of it.

    Raises:
        ConfigurationError: If a value is out of its range.
    """

    method: FusionMethod = "zscores"
    dense_weight: float | None = None
    rrf_k: int = 60
    candidates: int = 100
    phrase_boost: float = 0.1

    def __post_init__(self) -> None:
        if self.method not in _DENSE_WEIGHTS:
            raise ConfigurationError(f"Fusion method {self.method!r} is not known. Use 'zscores', 'scores' or 'ranks'.")
        weight = self.dense_weight
        if weight is not None and (type(weight) not in (int, float) or not 0 <= weight <= 1):
            raise ConfigurationError(
                f"dense_weight={weight!r:.100} is out of range. Pass a number from 0 to 1, or None."
            )
        boost = self.phrase_boost
        if type(boost) not in (int, float) or not 0 <= boost <= 1:
            raise ConfigurationError(f"phrase_boost={boost!r:.100} is out of range. Pass a number from 0 to 1.")
        for name in ("rrf_k", "candidates"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ConfigurationError(f"{name}={value!r:.100} is out of range. Pass a whole number from 1 on.")

    @property
    def weight(self) -> float | None:
        """The weight of the dense leg, 0 to 1. None where each query has its own."""
        return _DENSE_WEIGHTS[self.method] if self.dense_weight is None else self.dense_weight


_USUAL = Fusion()


def as_fusion(value: object) -> Fusion:
    """Return the fusion that a caller names: a `Fusion`, its method alone, or None for the usual one.

    Raises:
        InputError: If it is anything else.
    """
    if isinstance(value, Fusion):
        return value
    if value is None:
        return _USUAL
    if isinstance(value, str) and value in _DENSE_WEIGHTS:
        return Fusion(method=value)
    raise InputError(f"fusion={value!r:.100} is not known. Pass a Fusion, 'zscores', 'scores' or 'ranks'.")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Search:
    """The options of a search, checked when it is made. `PgVectorStore.search` says what each of them does.

    Attributes:
        vector: The query's vector (d,), for the modes dense and hybrid, and for a threshold.
        text: The query, for the modes lexical and hybrid.
        filter: Parsed already, see `parse_filter`.
        required_phrases: Bring only chunks that hold the query's quoted phrases. A lexical search always does.
        extra: How many results more than k to fetch, for a caller that drops some.
        query: The text, parsed; None for a dense search.

    Raises:
        InputError: If an option is of another type or out of its range.
    """

    mode: SearchMode = "dense"
    k: int = 5
    vector: npt.ArrayLike | None = None
    text: str | None = None
    filter: Filter | None = None
    threshold: float | None = None
    required_phrases: bool = False
    with_vectors: bool = False
    fusion: Fusion = _USUAL
    exact: bool = False
    extra: int = 0
    query: ParsedQuery | None = field(init=False, default=None, repr=False)

    def __post_init__(self) -> None:
        if self.mode not in ("dense", "lexical", "hybrid"):
            raise InputError(f"mode={self.mode!r:.100} is not known. Use 'dense', 'lexical' or 'hybrid'.")
        if type(self.k) is not int or not 1 <= self.k <= MAX_K:
            raise InputError(f"k={self.k!r:.100} is out of range. Pass a whole number from 1 to {MAX_K}.")
        threshold = self.threshold
        if threshold is not None and (type(threshold) not in (int, float) or not -1 <= threshold <= 1):
            raise InputError(f"threshold={threshold!r:.100} is out of range. Pass a cosine similarity from -1 to 1.")
        for name in ("exact", "with_vectors", "required_phrases"):
            value = getattr(self, name)
            if type(value) is not bool:  # a word such as "false" would count as True
                raise InputError(f"{name}={value!r:.100} is not a bool. Pass True or False.")
        if self.text is not None:
            storable_text(self.text, "query")
            if self.mode != "dense":
                required = self.required_phrases or self.mode == "lexical"
                object.__setattr__(self, "query", parse_query(self.text, required_phrases=required))

    def with_vector(self, vector: npt.ArrayLike) -> Self:
        """Return the same search with that vector; nothing is checked again."""
        other = copy(self)
        object.__setattr__(other, "vector", vector)
        return other

    @property
    def fetched(self) -> int:
        """How many results are fetched at most."""
        return self.k + self.extra

    @property
    def has_phrases(self) -> bool:
        """Whether phrases add to the score, and are not required."""
        return self.query is not None and bool(self.query.phrases)

    @property
    def needs_vector(self) -> bool:
        """Whether the search compares vectors."""
        return self.mode != "lexical" or self.threshold is not None

    def check_complete(self) -> None:
        """Raise `InputError` if the query's vector or text is missing."""
        if self.mode != "lexical" and self.vector is None:
            raise InputError(f"A {self.mode} search needs the query's vector. Pass vector=.")
        if self.mode != "dense" and self.text is None:
            raise InputError(f"A {self.mode} search needs the query's text. Pass text=.")
        if self.threshold is not None and self.vector is None:
            raise InputError("threshold is a similarity to the query's vector. Pass vector= too.")
