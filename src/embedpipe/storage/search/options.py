"""The options of a search, listed once: `Search`, and `Fusion`, how a hybrid search makes one score of two."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, Self, TypeAlias, get_args

import numpy.typing as npt

from embedpipe._checks import Bounds, check_fields, checked_choice, checked_text
from embedpipe.errors import ConfigurationError, InputError
from embedpipe.storage.filters import Filter
from embedpipe.storage.lexical import ParsedQuery, parse_query
from embedpipe.types import SearchMode

FusionMethod: TypeAlias = Literal["zscores", "scores", "ranks"]

MAX_K = 10_000
_LEAST_HALF_LIFE_DAYS, _MOST_HALF_LIFE_DAYS = 1e-6, 1e6
_LEAST_RECENCY_WEIGHT = 1e-6
"""Far smaller numbers would end a search by an error of PostgreSQL's: it raises one where a product is rounded to 0."""
_MAX_RRF_K = 1_000_000  # the sums of 1 / (rrf_k + rank) of neighboring ranks still differ
_DENSE_WEIGHTS: dict[FusionMethod, float | None] = {"zscores": None, "scores": 0.7, "ranks": 0.5}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recency:
    """How new chunks gain in a hybrid search.

    A chunk gains `weight` times 0.5 ** (age / half life), as a share of the range between the least and the greatest
    score of the candidates (of their z, for zscores). So the newest gain `weight` of that range, and none gains more.
    The age is counted at the time of the search. A date in the future counts as now. A chunk without a date, or with
    one that cannot be read, gains nothing.

    Attributes:
        key: The metadata key of the date. It is an ISO 8601 text ("2026-11-30", "2026-11-30T08:00:00+01:00", "2026-11",
            "2026"), a year as a number, or seconds or milliseconds since 1970. Times without an offset are in UTC.
        half_life_days: After how many days a chunk gains half as much, from a millionth to a million.
        weight: What a chunk of now gains, from a millionth to 1.

    Raises:
        ConfigurationError: If a value is out of its range.
    """

    key: str
    half_life_days: float = 30.0
    weight: float = 0.2

    def __post_init__(self) -> None:
        check_fields(
            self,
            {
                "half_life_days": Bounds(_LEAST_HALF_LIFE_DAYS, _MOST_HALF_LIFE_DAYS),
                "weight": Bounds(_LEAST_RECENCY_WEIGHT, 1),
            },
        )
        checked_text("key", self.key, error=ConfigurationError)


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
        rrf_k: The constant of reciprocal rank fusion, 1 to 1,000,000.
        candidates: How many chunks each leg brings at least, up to 10,000.
        phrase_boost: What a chunk gains that holds all quoted phrases of the query, as a share of the range between the
            least and the greatest score of the candidates, 0 to 1. One that holds some gains that share of it.
        neighbor_weight: What the neighbors of a chunk in its document add to it, 0 to 1: this share of their mean z.
            These are up to five chunks before and five after it. Only for zscores.
        recency: How new chunks gain, by a date of their metadata. None means that dates do not count.

    Raises:
        ConfigurationError: If a value is out of its range, or `neighbor_weight` is set for another method.
    """

    method: FusionMethod = "zscores"
    dense_weight: float | None = None
    rrf_k: int = 60
    candidates: int = 100
    phrase_boost: float = 0.1
    neighbor_weight: float = 0.0
    recency: Recency | None = None

    def __post_init__(self) -> None:
        share = Bounds(0, 1)
        check_fields(
            self,
            {
                "dense_weight": share,
                "phrase_boost": share,
                "neighbor_weight": share,
                "rrf_k": Bounds(1, _MAX_RRF_K),
                "candidates": Bounds(1, MAX_K),
            },
        )
        if self.neighbor_weight and self.method != "zscores":
            raise ConfigurationError(
                f"neighbor_weight needs standardised scores, and method is {self.method!r}. Leave method out."
            )

    @property
    def weight(self) -> float | None:
        """The weight of the dense leg, 0 to 1. None where each query has its own."""
        return _DENSE_WEIGHTS[self.method] if self.dense_weight is None else self.dense_weight


_USUAL = Fusion()
_RANGES = {"k": Bounds(1, MAX_K), "threshold": Bounds(-1, 1), "extra": Bounds(0, MAX_K)}


def as_fusion(value: object) -> Fusion:
    """Return the fusion that a caller names: a `Fusion`, its method alone, or None for the usual one.

    Raises:
        InputError: If it is anything else.
    """
    if isinstance(value, Fusion):
        return value
    if value is None:
        return _USUAL
    return Fusion(method=checked_choice("fusion", value, get_args(FusionMethod)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Search:
    """The options of a search, checked when it is made. `PgVectorStore.search` says what each of them does.

    Attributes:
        vector: The query's vector (d,), for the modes dense and hybrid, and for a threshold.
        text: The query, for the modes lexical and hybrid.
        filter: Parsed already, see `parse_filter`.
        required_phrases: Bring only chunks that hold the query's quoted phrases. A lexical search always does.
        extra: How many results more than k to fetch, for a caller that drops some.
        as_of: Search what the collection held at this moment. None searches the present.
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
    as_of: datetime | None = None
    query: ParsedQuery | None = field(init=False, default=None, repr=False)

    def __post_init__(self) -> None:
        check_fields(self, _RANGES, error=InputError)
        if self.as_of is not None:
            object.__setattr__(self, "as_of", _in_utc(self.as_of))
        if self.text is not None and self.mode != "dense":
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
    def has_neighbors(self) -> bool:
        """Whether the neighbors of a chunk add to its score."""
        return self.mode == "hybrid" and self.fusion.neighbor_weight > 0

    @property
    def has_recency(self) -> bool:
        """Whether new chunks gain."""
        return self.mode == "hybrid" and self.fusion.recency is not None

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


def _in_utc(moment: datetime) -> datetime:
    """Return the time in UTC. Raise `InputError` if it has no time zone, or if UTC has no such year."""
    if moment.utcoffset() is None:
        raise InputError(f"as_of={moment.isoformat()} has no time zone. Pass one with tzinfo=.")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise InputError(f"as_of={moment.isoformat()} is out of range. Pass a time of the years 2 to 9998.") from None
