"""Spans that OpenTelemetry's own exporter collected in memory, put together to traces."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from embedpipe.metrics import OpenTelemetryObserver


def stage(span: ReadableSpan) -> str:
    return str((span.attributes or {}).get("embedpipe.stage", span.name))


@dataclass(frozen=True)
class Trace:
    """The spans of one trace."""

    spans: Sequence[ReadableSpan]

    def tree(self) -> dict[str, set[str]]:
        """{stage: the stages right within it}, of those that have any; the root has an entry in any case."""
        names = {span.context.span_id: stage(span) for span in self.spans if span.context}
        found: dict[str, set[str]] = defaultdict(set)
        for span in self.spans:
            if span.parent is None:
                found[stage(span)] |= set()
            else:
                found[names[span.parent.span_id]].add(stage(span))
        return dict(found)

    def of(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if stage(span) == name]

    def amounts(self, attribute: str) -> list[int]:
        """The attribute's values, of the spans that have it."""
        return [int(str(value)) for span in self.spans if (value := (span.attributes or {}).get(attribute)) is not None]


@dataclass(frozen=True)
class Tracing:
    """An observer, and what it has told so far."""

    observer: OpenTelemetryObserver
    provider: TracerProvider
    exporter: InMemorySpanExporter

    def traces(self) -> list[Trace]:
        """Each trace with all its spans, in the order in which they ended."""
        traces: dict[int, list[ReadableSpan]] = defaultdict(list)
        for span in self.exporter.get_finished_spans():
            assert span.context is not None
            traces[span.context.trace_id].append(span)
        return [Trace(spans) for spans in traces.values()]


def tracing(*, capture_text: bool = False) -> Tracing:
    """An OpenTelemetry observer whose spans stay in memory."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Tracing(OpenTelemetryObserver(tracer_provider=provider, capture_text=capture_text), provider, exporter)
