"""Send events as OpenTelemetry spans and metrics, under the names of its semantic conventions if it has one."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from embedpipe._optional import require
from embedpipe.metrics.spans import AMOUNTS, Event

# From a lookup in the cache to a large batch of a slow provider.
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
# Powers of 4, as the semantic conventions for generative AI clients recommend.
_TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576)
_GEN_AI = {"embed.request": "embeddings", "retrieve": "retrieval", "answer": "chat"}


class OpenTelemetryObserver:
    """Sends a span for each stage, nested like the stages, and metrics.

    Span names and attributes:

    - a request to an embedding model: `embeddings <model>`, with `gen_ai.*`
    - a search of the service: `retrieval <collection>`, with `gen_ai.*`
    - an answer of a language model: `chat <model>`, with `gen_ai.*`
    - an operation of a store: `<operation> <collection>`, with `db.*`
    - other stages: the stage's name

    Each span also has `embedpipe.stage` and its amounts. Texts, keys, URLs and error messages are not sent.

    The metrics: `gen_ai.client.operation.duration`, `gen_ai.client.token.usage`, `db.client.operation.duration`,
    `embedpipe.stage.duration`, and counters of the amounts (`embedpipe.texts` and so on).
    """

    def __init__(self, *, tracer_provider: Any = None, meter_provider: Any = None, capture_text: bool = False) -> None:
        """Set up the spans and metrics.

        Args:
            tracer_provider: OpenTelemetry's provider of tracers. None takes the global one.
            meter_provider: OpenTelemetry's provider of meters. None takes the global one.
            capture_text: Whether to send texts, questions and answers.

        Raises:
            MissingExtraError: If the extra `otel` is not installed.
        """
        self._api = require("opentelemetry.trace", extra="otel")
        self._context = require("opentelemetry.context", extra="otel")
        meters = require("opentelemetry.metrics", extra="otel")
        self._tracer = self._api.get_tracer("embedpipe", tracer_provider=tracer_provider)
        self._capture_text = capture_text
        meter = meters.get_meter("embedpipe", meter_provider=meter_provider)
        seconds = partial(meter.create_histogram, unit="s", explicit_bucket_boundaries_advisory=_SECONDS)
        self._stages = seconds("embedpipe.stage.duration")
        self._gen_ai = seconds("gen_ai.client.operation.duration")
        self._database = seconds("db.client.operation.duration")
        self._usage = meter.create_histogram(
            "gen_ai.client.token.usage", unit="{token}", explicit_bucket_boundaries_advisory=_TOKENS
        )
        self._amounts = {name: meter.create_counter(f"embedpipe.{name}") for name in AMOUNTS}

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings alone. A copy in another process takes the global providers there."""
        return partial(OpenTelemetryObserver, capture_text=self._capture_text), ()

    def begin(self, stage: str) -> Callable[[Event], None]:
        """Open the stage's span within the current one. Return the function that ends it."""
        api = self._api
        remote = stage in ("embed.request", "answer") or stage.startswith("store.")
        opened = self._tracer.start_span(stage, kind=api.SpanKind.CLIENT if remote else api.SpanKind.INTERNAL)
        return partial(self._end, opened, self._context.attach(api.set_span_in_context(opened)))

    def _end(self, opened: Any, token: Any, event: Event) -> None:
        identity = _identity(event)
        self._measure(event, identity)  # while the span is open, so that exemplars can refer to it
        self._context.detach(token)
        if opened.is_recording():
            texts = _texts(event) if self._capture_text else {}
            opened.set_attributes(identity | _amounts(event) | texts)
            opened.update_name(_name(event))
            if event.error is not None:
                opened.set_status(self._api.Status(self._api.StatusCode.ERROR))
        opened.end()

    def __call__(self, event: Event) -> None:
        """Add an event to the metrics."""
        self._measure(event, _identity(event))

    def _measure(self, event: Event, attributes: dict[str, Any]) -> None:
        of_stage = {"embedpipe.stage": event.stage, "gen_ai.request.model": event.model}
        failed = {} if event.error is None else {"error.type": event.error}
        self._stages.record(event.seconds, of_stage | failed)
        for name, counter in self._amounts.items():
            if amount := getattr(event, name):
                counter.add(amount, of_stage)
        if "gen_ai.operation.name" in attributes:
            self._gen_ai.record(event.seconds, attributes)
            for kind, tokens in (("input", event.tokens), ("output", event.output_tokens)):
                if tokens:
                    self._usage.record(tokens, attributes | {"gen_ai.token.type": kind})
        if "db.system.name" in attributes:
            self._database.record(event.seconds, attributes)


def _operation(event: Event) -> str | None:
    """Return the conventions' name of the stage. None for extractive answers and for stages that they do not name."""
    return None if event.stage == "answer" and not event.model else _GEN_AI.get(event.stage)


def _name(event: Event) -> str:
    part, _, operation = event.stage.partition(".")
    if part == "store":
        return f"{operation} {event.collection}"
    known = _operation(event)
    return event.stage if known is None else f"{known} {event.model or event.collection}"


def _identity(event: Event) -> dict[str, Any]:
    """Return the attributes that say which stage this is. They have few values, so metrics can use them as well."""
    part, _, operation = event.stage.partition(".")
    attributes: dict[str, Any] = {"embedpipe.stage": event.stage, "error.type": event.error}
    if part == "store":
        attributes |= {"db.system.name": "postgresql", "db.operation.name": operation}
        attributes |= {"db.collection.name": event.collection}
    else:
        attributes |= {"gen_ai.operation.name": _operation(event), "gen_ai.data_source.id": event.collection}
        attributes |= {"gen_ai.provider.name": event.provider, "gen_ai.request.model": event.model}
    return {name: value for name, value in attributes.items() if value}


def _amounts(event: Event) -> dict[str, Any]:
    amounts = {f"embedpipe.{name}": value for name in AMOUNTS if (value := getattr(event, name))}
    if _operation(event) is not None:
        usage = {"gen_ai.usage.input_tokens": event.tokens, "gen_ai.usage.output_tokens": event.output_tokens}
        amounts |= {name: value for name, value in usage.items() if value}
    if event.stage.startswith("store."):
        amounts["db.response.returned_rows"] = event.results
    return amounts


def _texts(event: Event) -> dict[str, Any]:
    if not event.content:
        return {}
    if event.stage == "retrieve":
        return {"gen_ai.retrieval.query.text": event.content[0]}
    if event.stage == "answer":
        parts = [{"type": "text", "content": text} for text in event.content]
        return {"gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": parts}])}
    return {"embedpipe.content": list(event.content)}
