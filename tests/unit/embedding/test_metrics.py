from __future__ import annotations

from pathlib import Path

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry

from embedpipe.embedding import EmbeddingGenerator, Limits, Retry
from embedpipe.errors import ProviderError
from embedpipe.metrics import EmbeddingMetrics, Event, OpenTelemetryObserver, PrometheusObserver
from embedpipe.testing import EmbeddingServer, FakeEmbeddingModel, Fault

TEXTS = [f"some text number {number}" for number in range(20)]
MODEL = FakeEmbeddingModel(1536)
LIMITS = Limits(batch_items=10, concurrency=1)


def test_counts_of_a_run(tmp_path: Path) -> None:
    metrics = EmbeddingMetrics()
    with EmbeddingServer(MODEL, faults=[Fault.status(500), Fault.status(500)]) as server:
        generator = EmbeddingGenerator(
            base_url=server.url,
            api_key="any",
            cache=tmp_path,
            limits=LIMITS,
            metrics=metrics,
            retry=Retry(initial_s=0.01),
        )
        generator.generate_batch(TEXTS)
        tokens = int(generator.generate_batch(TEXTS).token_counts.sum())
        server.faults.extend([Fault.status(400)] * 3)
        with pytest.raises(ProviderError):
            generator.generate("another text")
    summary = metrics.summary()
    assert (summary.calls, summary.requests, summary.retries) == (3, 5, 2)
    assert (summary.texts, summary.tokens) == (41, tokens)
    assert (summary.cache_hits, summary.cache_misses) == (20, 21)
    assert summary.cache_hit_rate == pytest.approx(20 / 41)
    assert summary.errors == {"ProviderError": 1}
    assert summary.error_rate == pytest.approx(1 / 3)
    assert summary.cost == pytest.approx(tokens * 0.02 / 1e6)
    for latency in summary.latency.values():
        assert 0 < latency.p50_ms <= latency.p95_ms <= latency.p99_ms
    assert set(summary.latency) == {"cache", "count", "request", "call"}


def test_prices_of_the_users_own() -> None:
    metrics = EmbeddingMetrics(prices={"fake": 5.0})
    EmbeddingGenerator(FakeEmbeddingModel(4), metrics=metrics).generate_batch(["abc" * 10, "abc" * 10, "def"])
    assert metrics.summary().cost == pytest.approx(11 * 5.0 / 1e6)


def test_nothing_measured_is_no_error() -> None:
    summary = EmbeddingMetrics().summary()
    assert (summary.calls, summary.cost, summary.cache_hit_rate, summary.error_rate) == (0, 0.0, 0.0, 0.0)


def test_latencies_are_percentiles() -> None:
    metrics = EmbeddingMetrics()
    for milliseconds in range(1, 101):
        metrics(Event(stage="call", model="m", seconds=milliseconds / 1000))
    latency = metrics.summary().latency["call"]
    assert latency.p50_ms == pytest.approx(50.5)
    assert latency.p95_ms == pytest.approx(95.05)
    assert latency.p99_ms == pytest.approx(99.01)


def test_prometheus() -> None:
    registry = CollectorRegistry()
    generator = EmbeddingGenerator(FakeEmbeddingModel(4), metrics=PrometheusObserver(registry))
    generator.generate_batch(TEXTS)
    labels = {"model": "fake", "stage": "request"}
    assert registry.get_sample_value("embedpipe_embedding_texts_total", labels) == 20
    assert registry.get_sample_value("embedpipe_embedding_seconds_count", labels) == 1


def test_open_telemetry() -> None:
    reader = InMemoryMetricReader()
    observer = OpenTelemetryObserver(MeterProvider([reader]))
    EmbeddingGenerator(FakeEmbeddingModel(4), metrics=observer).generate_batch(TEXTS)
    data = reader.get_metrics_data()
    assert data is not None
    names = {metric.name for metric in data.resource_metrics[0].scope_metrics[0].metrics}
    assert {"embedpipe.embedding.duration", "embedpipe.embedding.texts", "embedpipe.embedding.tokens"} <= names
