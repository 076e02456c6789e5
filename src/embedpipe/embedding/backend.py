"""What a backend may offer beyond `EmbeddingModel`, and the limits that the engine keeps to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from embedpipe._checks import Bounds, check_fields
from embedpipe.types import Kind, Vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is sent at once, and in a minute.

    Args:
        batch_items: Most texts in one request.
        batch_tokens: Most tokens in one request; None for no limit.
        concurrency: Most requests under way at once, over all calls of one generator.
        requests_per_minute: By default the rate that the provider states in its replies.
        tokens_per_minute: As `requests_per_minute`.
        shared: A file through which several processes on one machine keep to the rates together.
    """

    batch_items: int = 2048
    batch_tokens: int | None = 300_000
    concurrency: int = 8
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    shared: Path | str | None = None

    def __post_init__(self) -> None:
        rate = Bounds(above=0)
        check_fields(self, {"requests_per_minute": rate, "tokens_per_minute": rate})


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingResponse:
    """What a provider sent: (n, d) float32 vectors in the input's order, and its headers, in lower case."""

    vectors: Vectors
    headers: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class LimitedModel(Protocol):
    """A backend with limits of its own."""

    @property
    def limits(self) -> Limits: ...


@runtime_checkable
class LateChunkingModel(Protocol):
    """A backend on this machine that can embed spans of a document in its context."""

    def embed_document(self, text: str, spans: Sequence[tuple[int, int]]) -> Vectors:
        """Return (n, d) float32, one row for each span of the text, in order."""
        ...


@runtime_checkable
class RemoteLateChunkingModel(Protocol):
    """A backend behind a network that can embed the chunks of a document together."""

    def fetch_document(self, chunks: Sequence[str]) -> EmbeddingResponse: ...

    async def afetch_document(self, chunks: Sequence[str]) -> EmbeddingResponse: ...


@runtime_checkable
class RemoteModel(Protocol):
    """A backend behind a network, such as `OpenAIModel` and `CohereModel`.

    It is natively async. It raises the errors of `embedpipe.errors`, and does not retry.
    """

    def fetch(self, texts: Sequence[str], kind: Kind) -> EmbeddingResponse: ...

    async def afetch(self, texts: Sequence[str], kind: Kind) -> EmbeddingResponse: ...
