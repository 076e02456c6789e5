"""`EmbeddingMetrics`: the events added up."""

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
    """How often a stage ran, and how long: percentiles over its last ten thousand runs.

    `errors` counts its failures by their class names; an error that ends several stages is counted in each.
    """

    count: int
    errors: Mapping[str, int]
    p50_ms: float
    p95_ms: float
    p99_ms: float

    @property
    def error_rate(self) -> float:
        """From 0 to 1."""
        return sum(self.errors.values()) / self.count


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSummary:
    """Totals since the metrics were made, and `stages` by their names, see `embedpipe.metrics.spans`.

    `calls` are those of a generator, `texts` what they were given, `requests` what went to its model with `retries`
    and `tokens`. `answer_tokens` are a language model's, question and answer. `cost` is an estimate in US dollars of
    both; `cache_hit_rate` lies in [0, 1].
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
    """What is kept of one stage."""

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
    """Adds up the events of everything that it is given to as `metrics=`. Safe to share between threads.

    `prices` are in US dollars for a million tokens by the model's name, and go before the catalogue's; a language
    model has none there. A pickle holds the prices alone.
    """

    def __init__(self, prices: Mapping[str, float] | None = None) -> None:
        self.prices = dict(prices or {})
        self._stages: dict[str, _StageTotals] = {}
        self._cost = 0.0
        self._lock = Lock()

    def __call__(self, event: Event) -> None:
        """Adds an event."""
        with self._lock:
            self._stages.setdefault(event.stage, _StageTotals()).add(event)
            tokens = event.tokens + event.output_tokens
            self._cost += tokens * self.prices.get(event.model, event.price_per_million) / 1e6

    def summary(self) -> MetricsSummary:
        """The totals so far."""
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
