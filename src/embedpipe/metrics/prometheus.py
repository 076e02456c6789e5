"""Count events in Prometheus metrics."""

from __future__ import annotations

from typing import Any

from embedpipe._forking import Given
from embedpipe._optional import require
from embedpipe.errors import ConfigurationError
from embedpipe.metrics.spans import AMOUNTS, Event

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class PrometheusObserver:
    """Metrics in a Prometheus registry, labelled with stage and model. Use one observer per registry.

    `embedpipe_stage_seconds` (a histogram), `embedpipe_errors_total` (by error as well), `embedpipe_cost_dollars_total`
    and for each amount a counter: `embedpipe_documents_total`, `..._texts_total`, `..._hits_total`, `..._tokens_total`,
    `..._output_tokens_total`, `..._retries_total` and `..._results_total`.
    """

    def __init__(self, registry: Any = None) -> None:
        """Register the metrics.

        Args:
            registry: A registry of prometheus_client. None takes the default one.

        Raises:
            MissingExtraError: If the extra `prometheus` is not installed.
        """
        prometheus = require("prometheus_client", extra="prometheus")
        settings = {"registry": registry or prometheus.REGISTRY, "namespace": "embedpipe"}
        labels = ["stage", "model"]
        self._seconds = prometheus.Histogram(
            "stage_seconds", "Seconds that a stage took.", labels, buckets=_BUCKETS, **settings
        )
        self._amounts = {
            name: prometheus.Counter(name, f"{name.capitalize().replace('_', ' ')} of a stage.", labels, **settings)
            for name in AMOUNTS
        }
        self._errors = prometheus.Counter("errors", "Stages that failed.", [*labels, "error"], **settings)
        self._cost = prometheus.Counter("cost_dollars", "US dollars, by the catalogue's prices.", ["model"], **settings)
        self._given = Given([self._seconds, *self._amounts.values(), self._errors, self._cost])

    def __reduce__(self) -> tuple[Any, ...]:
        raise ConfigurationError(
            "A PrometheusObserver cannot be pickled: its registry belongs to this process. Create another one there."
        )

    def __call__(self, event: Event) -> None:
        """Add an event to the metrics."""
        self._seconds.labels(event.stage, event.model).observe(event.seconds)
        for name, counter in self._amounts.items():
            if amount := getattr(event, name):
                counter.labels(event.stage, event.model).inc(amount)
        if event.error is not None:
            self._errors.labels(event.stage, event.model, event.error).inc()
        if event.price_per_million:
            self._cost.labels(event.model).inc(event.tokens * event.price_per_million / 1e6)
