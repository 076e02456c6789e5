"""What a generator tells its observers, how stages nest, and what each kind of observer makes of it."""

from __future__ import annotations

import asyncio
import logging
import pickle
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextvars import copy_context
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry

from embedpipe.embedding import EmbeddingGenerator, Limits, Retry
from embedpipe.errors import ConfigurationError, InputError, ProviderError
from embedpipe.metrics import (
    EmbeddingMetrics,
    Event,
    OpenTelemetryObserver,
    PrometheusObserver,
    beside,
    observing,
    span,
)
from embedpipe.testing import EmbeddingServer, FakeEmbeddingModel, Fault
from tracing import tracing

TEXTS = [f"some text number {number}" for number in range(20)]
MODEL = FakeEmbeddingModel(1536)
LIMITS = Limits(batch_items=10, concurrency=1)


@pytest.mark.parametrize("concurrency", [1, 4])
def test_counts_of_a_run(tmp_path: Path, concurrency: int) -> None:
    metrics = EmbeddingMetrics()
    with EmbeddingServer(MODEL, faults=[Fault.status(500), Fault.status(500)]) as server:
        generator = EmbeddingGenerator(
            base_url=server.url,
            api_key="any",
            cache=tmp_path,
            limits=Limits(batch_items=10, concurrency=concurrency),
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
    assert summary.stages["embed.request"].errors == {"ProviderError": 1}
    assert summary.stages["embed.request"].error_rate == pytest.approx(1 / 3)
    assert summary.stages["embed"].errors == {"ProviderError": 1}
    assert summary.cost == pytest.approx(tokens * 0.02 / 1e6)
    for stage in summary.stages.values():
        assert 0 < stage.p50_ms <= stage.p95_ms <= stage.p99_ms
    assert set(summary.stages) == {"embed", "embed.cache", "embed.tokenize", "embed.request"}
    assert "embed.request" in str(summary)


def test_prices_of_the_users_own() -> None:
    metrics = EmbeddingMetrics(prices={"fake": 5.0})
    EmbeddingGenerator(FakeEmbeddingModel(4), metrics=metrics).generate_batch(["abc" * 10, "abc" * 10, "def"])
    assert metrics.summary().cost == pytest.approx(11 * 5.0 / 1e6)
    assert pickle.loads(pickle.dumps(metrics)).prices == {"fake": 5.0}  # noqa: S301 - made here


def test_nothing_measured_is_no_error() -> None:
    summary = EmbeddingMetrics().summary()
    assert (summary.calls, summary.cost, summary.cache_hit_rate, summary.stages) == (0, 0.0, 0.0, {})


def test_latencies_are_percentiles() -> None:
    metrics = EmbeddingMetrics()
    for milliseconds in range(1, 101):
        metrics(Event(stage="embed", model="m", seconds=milliseconds / 1000))
    stage = metrics.summary().stages["embed"]
    assert stage.p50_ms == pytest.approx(50.5)
    assert stage.p95_ms == pytest.approx(95.05)
    assert stage.p99_ms == pytest.approx(99.01)


def test_one_of_several_observers_that_fails_costs_no_call(caplog: pytest.LogCaptureFixture) -> None:
    metrics = EmbeddingMetrics()

    class Broken:
        def begin(self, stage: str) -> Callable[[Event], None]:
            raise RuntimeError(stage)

        def __call__(self, event: Event) -> None:
            raise AssertionError

    def failing(event: Event) -> None:
        raise ValueError(event.stage)

    with caplog.at_level(logging.ERROR, logger="embedpipe"):
        EmbeddingGenerator(FakeEmbeddingModel(4), metrics=[Broken(), failing, metrics]).generate("text")
    assert metrics.summary().calls == 1
    assert {record.getMessage() for record in caplog.records} >= {
        "An observer failed at the start of embed.",
        "An observer failed at the end of embed.",
    }


def test_an_observer_that_is_given_twice_counts_once() -> None:
    metrics = EmbeddingMetrics()
    generator = EmbeddingGenerator(FakeEmbeddingModel(4), metrics=metrics)
    with observing([metrics, metrics]), observing(metrics):
        generator.generate("text")
    generator.generate("text")
    assert metrics.summary().stages["embed"].count == 2


def test_what_is_not_observed_any_more_is_not_told() -> None:
    metrics = EmbeddingMetrics()
    generator = EmbeddingGenerator(FakeEmbeddingModel(4))
    with observing(metrics):
        generator.generate("text")
    with pytest.raises(InputError):
        generator.generate("")
    generator.generate("text")
    assert metrics.summary().stages["embed"].count == 1


def test_no_text_is_in_the_repr_of_an_event() -> None:
    assert "secret" not in repr(Event(stage="embed", seconds=1, content=["secret"]))


class TestPrometheus:
    def test_stages_and_amounts(self) -> None:
        registry = CollectorRegistry()
        generator = EmbeddingGenerator(FakeEmbeddingModel(4), metrics=PrometheusObserver(registry))
        tokens = generator.generate_batch(TEXTS).token_counts.sum()
        labels = {"model": "fake", "stage": "embed.request"}
        assert registry.get_sample_value("embedpipe_texts_total", labels) == 20
        assert registry.get_sample_value("embedpipe_tokens_total", labels) == tokens
        assert registry.get_sample_value("embedpipe_stage_seconds_count", labels) == 1

    def test_errors_and_cost(self) -> None:
        registry = CollectorRegistry()
        observer = PrometheusObserver(registry)
        observer(Event(stage="embed.request", seconds=1, model="m", tokens=10, error="ProviderError"))
        observer(Event(stage="embed.request", seconds=1, model="m", tokens=500_000, price_per_million=0.02))
        labels = {"model": "m", "stage": "embed.request", "error": "ProviderError"}
        assert registry.get_sample_value("embedpipe_errors_total", labels) == 1
        assert registry.get_sample_value("embedpipe_cost_dollars_total", {"model": "m"}) == pytest.approx(0.01)


class TestOpenTelemetry:
    def test_metrics_have_the_names_of_the_conventions(self) -> None:
        reader = InMemoryMetricReader()
        observer = OpenTelemetryObserver(meter_provider=MeterProvider([reader]))
        with EmbeddingServer(MODEL) as server:
            generator = EmbeddingGenerator(base_url=server.url, api_key="any", metrics=observer)
            tokens = int(generator.generate_batch(TEXTS).token_counts.sum())
        data = reader.get_metrics_data()
        assert data is not None
        metrics = {metric.name: metric.data for metric in data.resource_metrics[0].scope_metrics[0].metrics}
        assert {"embedpipe.stage.duration", "embedpipe.texts", "gen_ai.client.operation.duration"} <= set(metrics)
        [usage] = metrics["gen_ai.client.token.usage"].data_points
        assert usage.sum == tokens  # type: ignore[union-attr]  # it is a histogram
        assert dict(usage.attributes or {}) == {
            "embedpipe.stage": "embed.request",
            "gen_ai.operation.name": "embeddings",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "text-embedding-3-small",
            "gen_ai.token.type": "input",
        }

    @pytest.mark.parametrize("how", ["sync", "async"])
    @pytest.mark.parametrize("concurrency", [1, 4])
    async def test_requests_are_within_their_call(self, concurrency: int, how: str) -> None:
        seen = tracing()
        with EmbeddingServer(MODEL) as server:
            generator = EmbeddingGenerator(
                base_url=server.url,
                api_key="any",
                metrics=seen.observer,
                limits=Limits(batch_items=4, concurrency=concurrency),
            )
            if how == "sync":
                batch = await asyncio.to_thread(generator.generate_batch, TEXTS)
            else:
                batch = await generator.agenerate_batch(TEXTS)
        [whole] = seen.traces()
        assert whole.tree() == {"embed": {"embed.request", "embed.tokenize"}}
        requests = whole.of("embed.request")
        assert len(requests) == 5
        for request in requests:
            assert request.name == "embeddings text-embedding-3-small"
            assert request.kind is trace.SpanKind.CLIENT
            attributes = dict(request.attributes or {})
            assert attributes["gen_ai.operation.name"] == "embeddings"
            assert attributes["gen_ai.provider.name"] == "openai"
            assert attributes["embedpipe.texts"] == 4
        assert sum(whole.amounts("gen_ai.usage.input_tokens")) == batch.token_counts.sum()

    def test_an_error_has_its_class_and_nothing_of_its_message(self) -> None:
        seen = tracing()
        generator = EmbeddingGenerator(FakeEmbeddingModel(4), metrics=seen.observer)
        with pytest.raises(InputError):
            generator.generate_batch(["fine", "  "])
        [whole] = seen.traces()
        [call] = whole.of("embed")
        assert dict(call.attributes or {})["error.type"] == "InputError"
        assert call.status.status_code is trace.StatusCode.ERROR
        assert call.status.description is None
        assert not call.events

    @pytest.mark.parametrize("capture_text", [False, True])
    def test_text_leaves_where_it_is_asked_for(self, capture_text: bool) -> None:
        seen = tracing(capture_text=capture_text)
        EmbeddingGenerator(FakeEmbeddingModel(4), metrics=seen.observer).generate("the secret text")
        exported = "".join(one.to_json() for whole in seen.traces() for one in whole.spans)
        assert ("the secret text" in exported) is capture_text

    def test_a_span_of_the_users_own_is_the_parent(self) -> None:
        seen = tracing()
        tracer = seen.provider.get_tracer("test")
        with tracer.start_as_current_span("request"):
            EmbeddingGenerator(FakeEmbeddingModel(4), metrics=seen.observer).generate("text")
        assert trace.get_current_span() is trace.INVALID_SPAN
        [whole] = seen.traces()
        assert whole.tree()["request"] == {"embed"}


def test_threads_carry_the_stage_and_leave_none_behind() -> None:
    seen = tracing()

    def work(number: int) -> None:
        with span(f"inner {number}"):
            pass

    with span("outer", to=seen.observer):
        threads = [threading.Thread(target=copy_context().run, args=(work, number)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    work(9)
    [whole] = seen.traces()
    assert whole.tree() == {"outer": {"inner 0", "inner 1", "inner 2"}}


async def test_a_stage_across_pieces_is_not_their_readers() -> None:
    seen = tracing()

    def pieces() -> Generator[int, None, None]:
        context = copy_context()
        with beside(span("stream", to=seen.observer), context), beside(span("piece"), context):
            for number in range(3):
                yield context.run(within, number)

    async def apieces() -> AsyncGenerator[int, None]:
        context = copy_context()
        with beside(span("stream", to=seen.observer), context), beside(span("piece"), context):
            for number in range(3):
                yield await asyncio.create_task(awithin(number), context=context)

    def within(number: int) -> int:
        with span("work"):
            return number

    async def awithin(number: int) -> int:
        with span("work"):
            return number

    for number in pieces():
        with span("reader", to=seen.observer):
            pass
        if number == 1:
            break
    async for _ in apieces():
        with span("reader", to=seen.observer):
            pass
    trees = [whole.tree() for whole in seen.traces()]
    assert trees.count({"stream": {"piece"}, "piece": {"work"}}) == 2
    assert trees.count({"reader": set()}) == 5
    assert len(trees) == 7
    assert not any("error.type" in (one.attributes or {}) for whole in seen.traces() for one in whole.spans)


def test_what_belongs_to_a_process_stays_in_it() -> None:
    copy = pickle.loads(pickle.dumps(OpenTelemetryObserver(capture_text=True)))  # noqa: S301 - made here
    assert isinstance(copy, OpenTelemetryObserver)
    assert copy._capture_text
    with pytest.raises(ConfigurationError, match="Create another one there"):
        pickle.dumps(PrometheusObserver(CollectorRegistry()))
