"""Measure each stage: nested events, their summary, Prometheus and OpenTelemetry."""

from embedpipe.metrics.otel import OpenTelemetryObserver
from embedpipe.metrics.prometheus import PrometheusObserver
from embedpipe.metrics.spans import LEFT_EARLY, Event, Observer, Observers, Span, Tracer, beside, observing, span
from embedpipe.metrics.summary import EmbeddingMetrics, MetricsSummary, StageSummary

__all__ = [
    "LEFT_EARLY",
    "EmbeddingMetrics",
    "Event",
    "MetricsSummary",
    "Observer",
    "Observers",
    "OpenTelemetryObserver",
    "PrometheusObserver",
    "Span",
    "StageSummary",
    "Tracer",
    "beside",
    "observing",
    "span",
]
