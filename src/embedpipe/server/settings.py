"""The limits and the batching of a server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from embedpipe._checks import MOST_SECONDS, Bounds, check_fields
from embedpipe.errors import ConfigurationError

MOST_ITEMS = 50_000
"""The most items of one list in a request, whatever the settings say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """The limits of a server.

    Texts that wait for the model at the same time are embedded in one batch, whichever requests they came with.

    Attributes:
        max_requests: The most requests in progress at once. Further requests get status 429 with a Retry-After.
        max_pending_bytes: The most bytes of request bodies held at once. Further requests get status 429.
        max_body_bytes: The most bytes of one body.
        max_values: About how many texts, keys, numbers, lists and objects a body may hold. Ten token ids count as one.
        max_texts: The most texts of one request.
        max_text_characters: The most characters of one text. A document's text is limited by the body alone.
        max_metadata_characters: The most characters of a document's metadata as JSON.
        max_k: The most results of a search.
        request_timeout_s: Seconds until an answer begins.
        batch_texts: The most texts of a local model's batch. A provider's batch is as large as the provider allows.
        batch_characters: The most characters of a local model's batch.
        dynamic_batching: Whether texts of different requests share a batch.
        aliases: Further names for the model in requests.
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
        seconds, bytes_ = Bounds(above=0, most=MOST_SECONDS), Bounds(1, 2**63 - 1)
        ranges = {"max_texts": Bounds(1, MOST_ITEMS), "request_timeout_s": seconds}
        check_fields(self, {**ranges, "max_pending_bytes": bytes_, "max_body_bytes": bytes_})
        if self.max_pending_bytes < self.max_body_bytes:
            raise ConfigurationError(
                f"max_pending_bytes is {self.max_pending_bytes}, less than max_body_bytes ({self.max_body_bytes}): the "
                "largest bodies would always be refused. Raise it, or lower max_body_bytes."
            )
