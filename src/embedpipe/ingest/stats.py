"""The report of an ingest: document by document, and added up."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from html import escape
from typing import TypeAlias

from embedpipe._checks import checked_function
from embedpipe.errors import EmbedPipeError
from embedpipe.types import Chunk, Vectors

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProcessedDocument:
    """A document's chunks with their vectors, (n, d) float32, a row for each chunk. Or its error, without chunks."""

    document_id: str
    chunks: Sequence[Chunk]
    vectors: Vectors
    error: EmbedPipeError | None = None


@dataclass(slots=True)
class ProcessingStats:
    """The report of an ingest.

    `added`, `changed`, `kept` and `removed` count documents. `failures` holds the error of each document that failed,
    by its id. Nothing of such a document was written, and what an earlier ingest stored of it stays.
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
        """Count the documents that came in."""
        return self.added + self.changed + self.kept + len(self.failures)

    @property
    def chunks(self) -> int:
        """Count the chunks of the new and changed documents."""
        return self.chunks_embedded + self.chunks_kept

    def raise_for_failures(self) -> None:
        """Raise the first failure, if there is one."""
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
        return "\n".join([documents, chunks, *(f"failed: {error}" for error in self.failures.values())])

    def _repr_html_(self) -> str:
        documents = {"came": self.documents, "added": self.added, "changed": self.changed, "unchanged": self.kept}
        documents |= {"removed": self.removed, "failed": len(self.failures)}
        chunks = {"embedded": self.chunks_embedded, "from the cache": self.cache_hits, "tokens": self.tokens}
        chunks |= {"kept in changed documents": self.chunks_kept, "removed": self.chunks_removed}
        failures = "".join(f"<li>{escape(str(error))}</li>" for error in self.failures.values())
        failed = f"<details open><summary>failed</summary><ul>{failures}</ul></details>" if failures else ""
        tables = _row("documents", documents) + _row("chunks", chunks)
        return f"<div>{tables}{failed}<small>{self.seconds:.1f} s</small></div>"


def _row(title: str, counts: Mapping[str, int]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in counts)
    values = "".join(f"<td>{count:,}</td>" for count in counts.values())
    return f"<table><thead><tr><th>{title}</th>{head}</tr></thead><tbody><tr><td></td>{values}</tr></tbody></table>"


Progress: TypeAlias = Callable[[ProcessingStats], object]
"""A function that is called after each batch with the report so far, always the same object."""

_COUNTS = [name.name for name in fields(ProcessingStats) if name.name not in ("seconds", "failures")]


class StatsAccumulator:
    """Adds up the reports of a run's batches, and tells of the progress."""

    def __init__(self, on_progress: Progress | None = None) -> None:
        self.stats = ProcessingStats()
        self._on_progress = checked_function("on_progress", on_progress)
        self._started = time.monotonic()

    def add(self, report: ProcessingStats) -> None:
        """Add the report of the next batch, and call `on_progress`."""
        for name in _COUNTS:
            setattr(self.stats, name, getattr(self.stats, name) + getattr(report, name))
        self.stats.failures |= report.failures
        self.stats.seconds = time.monotonic() - self._started
        if self._on_progress is not None:
            self._on_progress(self.stats)

    def add_pruned(self, documents: int, chunks: int) -> None:
        """Add the numbers of documents and chunks that were pruned."""
        self.stats.removed += documents
        self.stats.chunks_removed += chunks

    @contextmanager
    def logged(self) -> Iterator[None]:
        """Log each document that failed at the end, and what an early end means for the rest."""
        try:
            yield
        except BaseException as error:
            logger.warning(
                "Ended by %s after %d documents. What was written stays. Run it again for the rest.",
                type(error).__name__,
                self.stats.documents,
            )
            raise
        finally:
            for failure in self.stats.failures.values():
                logger.warning("Not ingested: %s", failure)
            self.stats.seconds = time.monotonic() - self._started
