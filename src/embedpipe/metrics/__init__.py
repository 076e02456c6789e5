"""Measure each stage: nested events, their summary, Prometheus and OpenTelemetry."""

from embedpipe.metrics.otel import OpenTelemetryObserver
from embedpipe.metrics.prometheus import PrometheusObserver
from embedpipe.metrics.spans import Event, Observer, Observers, Span, Tracer, observing, span
from embedpipe.metrics.summary import EmbeddingMetrics, MetricsSummary, StageSummary

__all__ = [
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
    "observing",
    "span",
]
