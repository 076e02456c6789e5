"""What embedding costs in time, tokens and money: events, a summary of them, Prometheus and OpenTelemetry."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np

from embedpipe._optional import require

Stage: TypeAlias = Literal["cache", "count", "request", "call"]
_KEPT = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One stage of a call that has ended.

    "cache" is the look-up (`texts` asked, `hits` found), "count" the counting and batching of the rest, "request" a
    batch at the backend with its waits and `retries`, "call" the whole. `error` is the error's class name, `tokens`
    what was sent, `price_per_million` the catalogue's price in US dollars, 0 where it knows none.
    """

    stage: Stage
    model: str
    seconds: float
    texts: int = 0
    tokens: int = 0
    hits: int = 0
    retries: int = 0
    error: str | None = None
    price_per_million: float = 0.0


class Observer(Protocol):
    """Takes events, from several threads at once; what it raises ends the call."""

    def __call__(self, event: Event) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Milliseconds, over the last ten thousand events."""

    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSummary:
    """Totals since the metrics were made. `cost` is an estimate in US dollars; rates lie in [0, 1]."""

    calls: int
    requests: int
    retries: int
    errors: Mapping[str, int]
    error_rate: float
    texts: int
    tokens: int
    cache_hits: int
    cache_misses: int
    cache_hit_rate: float
    cost: float
    latency: Mapping[Stage, Latency]


@dataclass(slots=True)
class EmbeddingMetrics:
    """Adds up the events of every generator that it is given to as `metrics=`. Safe to share between threads.

    `prices` are in US dollars for a million tokens by the model's name, and go before the catalogue's.
    """

    prices: Mapping[str, float] = field(default_factory=dict)
    _totals: dict[str, int] = field(default_factory=dict)
    _errors: dict[str, int] = field(default_factory=dict)
    _cost: float = 0.0
    _seconds: dict[Stage, deque[float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, event: Event) -> None:
        """Adds an event."""
        with self._lock:
            self._seconds.setdefault(event.stage, deque(maxlen=_KEPT)).append(event.seconds)
            if event.stage == "call":
                self._add(calls=1, texts=event.texts)
            elif event.stage == "cache":
                self._add(hits=event.hits, misses=event.texts - event.hits)
            elif event.stage == "request":
                self._add(requests=1 + event.retries, retries=event.retries, failed=int(event.error is not None))
                self._request(event)

    def _request(self, event: Event) -> None:
        if event.error is not None:
            self._errors[event.error] = self._errors.get(event.error, 0) + 1
            return
        self._add(tokens=event.tokens)
        self._cost += event.tokens * self.prices.get(event.model, event.price_per_million) / 1e6

    def _add(self, **amounts: int) -> None:
        for name, amount in amounts.items():
            self._totals[name] = self._totals.get(name, 0) + amount

    def summary(self) -> MetricsSummary:
        """The totals so far."""
        with self._lock:
            total = dict.fromkeys(("calls", "requests", "retries", "texts", "tokens", "hits", "misses", "failed"), 0)
            total |= self._totals
            return MetricsSummary(
                calls=total["calls"],
                requests=total["requests"],
                retries=total["retries"],
                errors=dict(self._errors),
                error_rate=total["failed"] / max(total["requests"] - total["retries"], 1),
                texts=total["texts"],
                tokens=total["tokens"],
                cache_hits=total["hits"],
                cache_misses=total["misses"],
                cache_hit_rate=total["hits"] / max(total["hits"] + total["misses"], 1),
                cost=self._cost,
                latency={stage: _latency(seconds) for stage, seconds in self._seconds.items()},
            )

    def __reduce__(self) -> tuple[Any, ...]:
        return EmbeddingMetrics, (self.prices,)


def _latency(seconds: deque[float]) -> Latency:
    p50, p95, p99 = (np.percentile(np.array(seconds), [50, 95, 99]) * 1e3).tolist()
    return Latency(p50_ms=p50, p95_ms=p95, p99_ms=p99)


class PrometheusObserver:
    """Events as Prometheus metrics: `embedpipe_embedding_seconds`, `..._tokens_total`, `..._hits_total` and others.

    Labelled with model and stage, in `registry` or the default one. One for each registry.
    """

    def __init__(self, registry: Any = None) -> None:
        prometheus = require("prometheus_client", extra="prometheus")
        settings = {"registry": registry or prometheus.REGISTRY, "namespace": "embedpipe", "subsystem": "embedding"}
        labels = ["model", "stage"]
        self._seconds = prometheus.Histogram("seconds", "Seconds in a stage.", labels, **settings)
        self._counters = {
            name: prometheus.Counter(name, f"{name.capitalize()} in a stage.", labels, **settings)
            for name in ("texts", "tokens", "hits", "retries")
        }
        self._errors = prometheus.Counter("errors", "Failed batches.", ["model", "error"], **settings)

    def __call__(self, event: Event) -> None:
        """Adds an event."""
        self._seconds.labels(event.model, event.stage).observe(event.seconds)
        for name, counter in self._counters.items():
            counter.labels(event.model, event.stage).inc(getattr(event, name))
        if event.error is not None:
            self._errors.labels(event.model, event.error).inc()


class OpenTelemetryObserver:
    """Events as OpenTelemetry metrics: `embedpipe.embedding.duration`, `.tokens`, `.hits` and others.

    With the attributes model, stage and error, through `meter_provider` or the global one.
    """

    def __init__(self, meter_provider: Any = None) -> None:
        metrics = require("opentelemetry.metrics", extra="otel")
        meter = metrics.get_meter("embedpipe", meter_provider=meter_provider)
        self._seconds = meter.create_histogram("embedpipe.embedding.duration", unit="s")
        self._counters = {
            name: meter.create_counter(f"embedpipe.embedding.{name}") for name in ("texts", "tokens", "hits", "retries")
        }

    def __call__(self, event: Event) -> None:
        """Adds an event."""
        attributes = {"model": event.model, "stage": event.stage}
        if event.error is not None:
            attributes["error.type"] = event.error
        self._seconds.record(event.seconds, attributes)
        for name, counter in self._counters.items():
            if amount := getattr(event, name):
                counter.add(amount, attributes)
