"""What the embedding engine asks of a backend beyond `EmbeddingModel`, and the limits it works under."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from embedpipe.types import Kind, Vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much goes out at once.

    `batch_items` and `batch_tokens` bound one request (no bound of tokens where None), `concurrency` the requests of
    one generator under way at once, whatever calls they belong to. Rates are for a minute; where None, those that the
    provider states in its replies are kept.
    `shared` is a file through which several processes on one machine keep to the rates together.
    """

    batch_items: int = 2048
    batch_tokens: int | None = 300_000
    concurrency: int = 8
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    shared: Path | str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often a request that failed for a passing reason is sent again.

    Waits grow from `initial_s` to `max_s` by doubling, with as much jitter as `initial_s`; a `Retry-After` of the
    provider is honoured in full. A request is given up after `attempts`, or where nothing has succeeded for
    `deadline_s` seconds.
    """

    attempts: int = 6
    deadline_s: float = 120.0
    initial_s: float = 0.5
    max_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingResponse:
    """What a provider sent: (n, d) float32 vectors in the input's order, and its headers, in lower case."""

    vectors: Vectors
    headers: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class LimitedModel(Protocol):
    """A backend with bounds of its own."""

    @property
    def limits(self) -> Limits: ...


@runtime_checkable
class RemoteModel(Protocol):
    """A backend behind a network, natively async, which raises the errors of `embedpipe.errors` and does not retry."""

    def fetch(self, texts: Sequence[str], kind: Kind) -> EmbeddingResponse: ...

    async def afetch(self, texts: Sequence[str], kind: Kind) -> EmbeddingResponse: ...
