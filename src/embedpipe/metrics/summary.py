"""Add up events: `EmbeddingMetrics` and its summary."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from embedpipe._forking import Lock
from embedpipe.metrics.spans import AMOUNTS, Event

_KEPT = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSummary:
    """How often a stage ran and how long it took. Percentiles are over its last 10,000 runs.

    `errors` counts failures by class name. An error that ends several stages counts in each of them.
    """

    count: int
    errors: Mapping[str, int]
    p50_ms: float
    p95_ms: float
    p99_ms: float

    @property
    def error_rate(self) -> float:
        """Return the share of runs that failed, from 0 to 1."""
        return sum(self.errors.values()) / self.count


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSummary:
    """The totals since the metrics were created.

    Attributes:
        calls: Calls of embedding generators.
        texts: The texts of these calls.
        requests: Requests to embedding models, retries included.
        retries: Requests that were repeated.
        tokens: Tokens that embedding models read.
        cache_hits: Texts found in the cache.
        cache_misses: Texts not found in the cache.
        cache_hit_rate: The share of texts found in the cache, from 0 to 1.
        documents: Documents ingested.
        searches: Searches of a service.
        answers: Answers of a pipeline.
        answer_tokens: Tokens that language models read and wrote.
        cost: The estimated cost of all tokens in US dollars.
        stages: The stages by name, see `Event`.
    """

    calls: int
    texts: int
    requests: int
    retries: int
    tokens: int
    cache_hits: int
    cache_misses: int
    cache_hit_rate: float
    documents: int
    searches: int
    answers: int
    answer_tokens: int
    cost: float
    stages: Mapping[str, StageSummary]

    def __str__(self) -> str:
        totals = (
            f"{self.texts} texts in {self.calls} calls, {self.tokens} tokens in {self.requests} requests "
            f"({self.retries} retries), {self.cache_hit_rate:.0%} from the cache; {self.searches} searches, "
            f"{self.answers} answers ({self.answer_tokens} tokens); about ${self.cost:.4f}"
        )
        lines = [f"{'stage':24} {'count':>8} {'errors':>7} {'p50 ms':>9} {'p95 ms':>9} {'p99 ms':>9}"]
        for name, stage in sorted(self.stages.items()):
            times = f"{stage.p50_ms:9.2f} {stage.p95_ms:9.2f} {stage.p99_ms:9.2f}"
            lines.append(f"{name:24} {stage.count:8} {sum(stage.errors.values()):7} {times}")
        return "\n".join([totals, *lines])


@dataclass(slots=True)
class _StageTotals:
    """The totals of one stage."""

    count: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    amounts: Counter[str] = field(default_factory=Counter)
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))

    def add(self, event: Event) -> None:
        self.count += 1
        self.seconds.append(event.seconds)
        for name in AMOUNTS:
            if amount := getattr(event, name):
                self.amounts[name] += amount
        if event.error is not None:
            self.errors[event.error] += 1

    def summary(self) -> StageSummary:
        p50, p95, p99 = (np.percentile(np.array(self.seconds), [50, 95, 99]) * 1e3).tolist()
        return StageSummary(count=self.count, errors=dict(self.errors), p50_ms=p50, p95_ms=p95, p99_ms=p99)


class EmbeddingMetrics:
    """Adds up the events of everything that gets it as `metrics=`. Threads may share it. Pickles hold prices only."""

    def __init__(self, prices: Mapping[str, float] | None = None) -> None:
        """Start at zero.

        Args:
            prices: US dollars per million tokens, by the model's name. They replace the catalogue's prices, which has
                none for language models.
        """
        self.prices = dict(prices or {})
        self._stages: dict[str, _StageTotals] = {}
        self._cost = 0.0
        self._lock = Lock()

    def __call__(self, event: Event) -> None:
        """Add an event."""
        with self._lock:
            self._stages.setdefault(event.stage, _StageTotals()).add(event)
            tokens = event.tokens + event.output_tokens
            self._cost += tokens * self.prices.get(event.model, event.price_per_million) / 1e6

    def summary(self) -> MetricsSummary:
        """Return the totals up to now."""
        with self._lock:
            embed, cache, request, ingest, retrieve, answer = (
                self._stages.get(name, _StageTotals())
                for name in ("embed", "embed.cache", "embed.request", "ingest.batch", "retrieve", "answer")
            )
            hits, asked = cache.amounts["hits"], cache.amounts["texts"]
            return MetricsSummary(
                calls=embed.count,
                texts=embed.amounts["texts"],
                requests=request.count + request.amounts["retries"],
                retries=request.amounts["retries"],
                tokens=request.amounts["tokens"],
                cache_hits=hits,
                cache_misses=asked - hits,
                cache_hit_rate=hits / max(asked, 1),
                documents=ingest.amounts["documents"],
                searches=retrieve.count,
                answers=answer.count,
                answer_tokens=answer.amounts["tokens"] + answer.amounts["output_tokens"],
                cost=self._cost,
                stages={name: stage.summary() for name, stage in self._stages.items()},
            )

    def __repr__(self) -> str:
        return f"EmbeddingMetrics(prices={self.prices})"

    def __reduce__(self) -> tuple[Any, ...]:
        return EmbeddingMetrics, (self.prices,)
