"""What `ingest` does once its arguments are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from embedpipe.cli.render import console, errors, write_json
from embedpipe.errors import ConfigurationError, InputError
from embedpipe.files import found_files, read_document
from embedpipe.types import Document

if TYPE_CHECKING:
    from embedpipe.ingest import ProcessingStats
    from embedpipe.service import SemanticSearchService


@dataclass(slots=True)
class Reading:
    """The files' documents, read as they are asked for; `unread` holds why those that were passed over were."""

    files: Sequence[Path]
    unread: dict[str, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Document]:
        for file in self.files:
            try:
                yield read_document(file)
            except (InputError, ConfigurationError) as error:
                self.unread[str(file)] = str(error)

    def __len__(self) -> int:
        return len(self.files) - len(self.unread)


def ingest_files(service: SemanticSearchService, paths: Sequence[Path], *, prune: bool, as_json: bool) -> bool:
    """Whether all files got in; those that did not are named on stderr, and in the JSON.

    `prune` removes documents that are not among them; `InputError` where a file is, and cannot be read.
    """
    reading = Reading(list({file.resolve(): file for file in found_files(paths)}.values()))
    if not reading.files:
        raise InputError("no text files there: name the files themselves where their suffix is uncommon.")
    documents = list(reading) if prune else reading
    if prune and reading.unread:
        raise InputError("--prune would remove what cannot be read now: " + " ".join(reading.unread.values()))
    stats = ingest_with_progress(service, documents, prune=prune)
    failures = reading.unread | {name: str(error) for name, error in stats.failures.items()}
    if as_json:
        write_json(stats_json(stats) | {"failures": failures})
    else:
        console.print(summary(stats))
        for message in reading.unread.values():  # which names the file; the other failures are in the log
            errors.print(Text(f"not ingested: {message}", style="red"))
    return not failures


def ingest_with_progress(
    service: SemanticSearchService, documents: Sequence[Document] | Reading, *, prune: bool = False
) -> ProcessingStats:
    """The ingest's report; a bar on stderr shows how far it is."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=not errors.is_terminal) as progress:
        task = progress.add_task("documents", total=len(documents))

        def report(stats: ProcessingStats) -> None:
            progress.update(task, completed=stats.documents, total=len(documents))

        return service.ingest(documents, prune=prune, on_progress=report)


def stats_json(stats: ProcessingStats) -> dict[str, Any]:
    return {
        "documents": stats.documents,
        "added": stats.added,
        "changed": stats.changed,
        "kept": stats.kept,
        "removed": stats.removed,
        "chunks_embedded": stats.chunks_embedded,
        "chunks_kept": stats.chunks_kept,
        "chunks_removed": stats.chunks_removed,
        "tokens": stats.tokens,
        "cache_hits": stats.cache_hits,
        "seconds": stats.seconds,
    }


def summary(stats: ProcessingStats) -> Text:
    if not stats.documents and not stats.removed:
        return Text("nothing was ingested")
    if not stats.chunks_embedded and not stats.failures and not stats.removed:
        return Text(f"{stats.kept} documents unchanged: nothing was embedded again ({stats.seconds:.2f} s)")
    parts = [f"{count} {name}" for name, count in _counts(stats) if count]
    return Text(
        f"{', '.join(parts)} documents; {stats.chunks_embedded} chunks embedded "
        f"({stats.tokens} tokens) in {stats.seconds:.1f} s"
    )


def _counts(stats: ProcessingStats) -> list[tuple[str, int]]:
    return [
        ("new", stats.added),
        ("changed", stats.changed),
        ("unchanged", stats.kept),
        ("removed", stats.removed),
        ("failed", len(stats.failures)),
    ]
