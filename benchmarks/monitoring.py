"""What observers cost a search: p50 of hybrid searches over books, with none and with each, one after the other.

    python benchmarks/monitoring.py [--rows 20000] [--rounds 5]

The queries are seven words of a passage, embedded by a model that takes no time to speak of, so that what is measured
is the service's own way and the database's. Spans end in a batch processor, whose exporter drops them. What is lost in
the noise of a loaded machine is seen in the second figure, that of the search's five stages with nothing in them.
"""

from __future__ import annotations

import argparse
import random
import re
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from prometheus_client import CollectorRegistry

from embedpipe import Document, EmbeddingGenerator, SemanticSearchService
from embedpipe.metrics import EmbeddingMetrics, Observers, OpenTelemetryObserver, PrometheusObserver, span
from embedpipe.storage import Database
from embedpipe.storage.embedded.server import embedded_url
from embedpipe.testing import FakeEmbeddingModel
from storage import make_data


class Dropped(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def observers() -> dict[str, Observers | None]:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Dropped()))
    meters = MeterProvider([InMemoryMetricReader()])
    return {
        "none": None,
        "EmbeddingMetrics": EmbeddingMetrics(),
        "PrometheusObserver": PrometheusObserver(CollectorRegistry()),
        "OpenTelemetryObserver": OpenTelemetryObserver(tracer_provider=provider, meter_provider=meters),
    }


def stages_alone(metrics: Observers | None) -> float:
    """Seconds of a search's five stages, empty."""
    started = time.perf_counter()
    with span("retrieve", to=metrics, collection="docs"), span("embed", model="m"):
        with span("embed.tokenize", model="m", texts=1):
            pass
        with span("embed.request", model="m", texts=1) as request:
            request.note(tokens=10)
        with span("store.search", collection="docs") as search:
            search.note(results=10)
    return time.perf_counter() - started


def main(url: str, rows: int, rounds: int) -> None:
    texts = make_data(rows, 8).texts
    generator, database = EmbeddingGenerator(FakeEmbeddingModel(64)), Database(url)
    services = {
        name: SemanticSearchService(generator, database=database, chunker=None, metrics=metrics)
        for name, metrics in observers().items()
    }
    services["none"].ingest(Document(id=str(place), text=text) for place, text in enumerate(texts))
    words = [re.findall(r"[A-Za-z]{3,}", texts[place * 97 % rows]) for place in range(200)]
    queries = [" ".join(random.Random(place).sample(each, 7)) for place, each in enumerate(words) if len(each) >= 7]
    seconds: dict[str, list[float]] = {name: [] for name in services}
    for _ in range(rounds):
        for query in queries:
            for name, service in services.items():
                started = time.perf_counter()
                service.search(query, k=10)
                seconds[name].append(time.perf_counter() - started)
    plain = statistics.median(seconds["none"])
    print(f"{rows} passages, n = {len(seconds['none'])} searches each, p50")
    for name, times in seconds.items():
        p50 = statistics.median(times)
        alone = statistics.median(stages_alone(services[name].metrics) for _ in range(2000))
        print(f"  {name:22} {p50 * 1e3:6.2f} ms  x{p50 / plain:.3f}   stages alone {alone * 1e6:6.1f} us")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        main(embedded_url(Path(folder) / "server"), options.rows, options.rounds)
