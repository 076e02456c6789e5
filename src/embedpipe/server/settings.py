"""What a server allows, and how it batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from embedpipe.errors import ConfigurationError

MOST_ITEMS = 50_000
"""Items of one list in a request, whatever the settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """The limits of a server.

    At most `max_requests` requests and `max_pending_bytes` of their bodies are under way at once; who comes then gets
    429 with a Retry-After. A body has at most `max_body_bytes` and about `max_values` texts, keys, numbers, lists and
    objects (ten token ids count as one), a request at most `max_texts` texts of at most `max_text_characters`
    characters (a document's own text has no bound but the body's), and `request_timeout_s` seconds until its answer
    begins. A document's metadata has at most `max_metadata_characters`. `max_k` bounds the results of a search.

    Texts that wait for the model at the same time go through it together, whichever requests they came with: with a
    local model at most `batch_texts` of `batch_characters` characters in all, with a provider's as many as it takes.
    With `dynamic_batching` False each request's texts go through it by themselves. `aliases` are further names that
    the model is served under.
    """

    max_requests: int = 256
    max_pending_bytes: int = 64_000_000
    max_body_bytes: int = 10_000_000
    max_values: int = 250_000
    max_texts: int = 2048
    max_text_characters: int = 100_000
    max_metadata_characters: int = 50_000
    max_k: int = 1000
    request_timeout_s: float = 60.0
    batch_texts: int = 64
    batch_characters: int = 16_000
    dynamic_batching: bool = True
    aliases: Sequence[str] = ()

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name not in ("aliases", "dynamic_batching") and not value > 0:
                raise ConfigurationError(f"{each.name} expected a positive number, got {value!r}.")
        if self.max_texts > MOST_ITEMS:
            raise ConfigurationError(f"max_texts expected at most {MOST_ITEMS}, got {self.max_texts}.")
        if self.max_pending_bytes < self.max_body_bytes:
            raise ConfigurationError(
                f"max_pending_bytes expected at least max_body_bytes ({self.max_body_bytes}), or a large body would "
                f"never be taken; got {self.max_pending_bytes}."
            )
