"""What became of an ingest."""

from __future__ import annotations

from dataclasses import dataclass, field

from embedpipe.errors import EmbedPipeError


@dataclass(slots=True)
class ProcessingStats:
    """What became of the documents and chunks of an ingest.

    `added`, `changed`, `kept` and `removed` count documents; `failures` holds the error of each document that could
    not be taken, by its id: nothing of it was written, and what an earlier ingest stored of it stays.
    """

    added: int = 0
    changed: int = 0
    kept: int = 0
    removed: int = 0
    chunks_embedded: int = 0
    chunks_kept: int = 0
    chunks_removed: int = 0
    tokens: int = 0
    cache_hits: int = 0
    requests: int = 0
    retries: int = 0
    seconds: float = 0.0
    failures: dict[str, EmbedPipeError] = field(default_factory=dict)

    @property
    def documents(self) -> int:
        """How many documents came in."""
        return self.added + self.changed + self.kept + len(self.failures)

    def raise_for_failures(self) -> None:
        """Raises the first failure, if there is one."""
        for error in self.failures.values():
            raise error

    def __str__(self) -> str:
        documents = (
            f"{self.documents} documents in {self.seconds:.1f} s: {self.added} added, {self.changed} changed, "
            f"{self.kept} unchanged, {self.removed} removed, {len(self.failures)} failed"
        )
        chunks = (
            f"{self.chunks_embedded} chunks embedded ({self.tokens} tokens, {self.cache_hits} from the cache), "
            f"{self.chunks_kept} kept in changed documents, {self.chunks_removed} removed"
        )
        return "\n".join([documents, chunks, *(f"failed: {name}: {error}" for name, error in self.failures.items())])
