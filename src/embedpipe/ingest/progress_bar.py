"""A progress bar for ingests."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from embedpipe._optional import require
from embedpipe.ingest.stats import ProcessingStats


class ProgressBar:
    """An `on_progress` that draws a bar with tqdm, in a terminal or a notebook.

    with ProgressBar(total=len(documents)) as bar:
        service.ingest(documents, on_progress=bar)
    """

    def __init__(self, total: int | None = None) -> None:
        self._bar = require("tqdm.auto", extra="notebook").tqdm(total=total, unit=" documents")

    def __call__(self, stats: ProcessingStats) -> None:
        """Move the bar to the report's number of documents."""
        self._bar.set_postfix(chunks=stats.chunks, failed=len(stats.failures), refresh=False)
        self._bar.update(stats.documents - self._bar.n)

    def close(self) -> None:
        """Stop drawing. The bar stays as it is."""
        self._bar.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
