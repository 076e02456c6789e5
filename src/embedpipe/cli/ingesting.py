"""The work of `ingest`."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from embedpipe.cli.render import console, errors, progress_bar, write_json
from embedpipe.errors import ConfigurationError, EmbedPipeError, InputError
from embedpipe.files import found_files, read_document
from embedpipe.types import Document

if TYPE_CHECKING:
    from embedpipe.ingest import ProcessingStats
    from embedpipe.service import SemanticSearchService


@dataclass(slots=True)
class Reading:
    """The documents of the files, read one by one. `unread` has the errors of files that could not be read."""

    files: Sequence[Path]
    unread: dict[str, EmbedPipeError] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Document]:
        for file in self.files:
            try:
                yield read_document(file)
            except (InputError, ConfigurationError) as error:
                self.unread[str(file)] = error

    def __len__(self) -> int:
        return len(self.files) - len(self.unread)


def ingest_files(service: SemanticSearchService, paths: Sequence[Path], *, prune: bool, as_json: bool) -> bool:
    """Ingest files. Return whether all succeeded. Failures go to stderr and into the JSON.

    Empty files below a folder are skipped and counted. `prune` removes documents whose files are not among these. It
    raises `InputError` if a file cannot be read, since its document would be removed.
    """
    files = {file.resolve(): file for file in found_files(paths)}
    if not files:
        raise InputError("There are no text files. If their suffix is uncommon, name the files themselves.")
    empty = _empty(files, paths)
    reading = Reading([file for place, file in files.items() if place not in empty])
    documents = list(reading) if prune else reading
    if prune and reading.unread:
        raise InputError(
            "--prune would remove the documents of files that cannot be read now: "
            + " ".join(map(str, reading.unread.values()))
        )
    stats = ingest_with_progress(service, documents, prune=prune)
    given = {place.as_posix(): str(file) for place, file in files.items()}
    stats.failures = reading.unread | {given[name]: error for name, error in stats.failures.items()}
    if as_json:
        failures = {name: str(error) for name, error in stats.failures.items()}
        write_json(stats_json(stats) | {"empty": len(empty), "failures": failures})
    else:
        console.print(summary(stats, empty=len(empty)))
        for error in reading.unread.values():  # it names the file; the other failures are in the log
            errors.print(Text(f"not ingested: {error}", style="red"))
    return not stats.failures


def _empty(files: Mapping[Path, Path], paths: Sequence[Path]) -> set[Path]:
    """Return empty files that were found in a folder, such as `__init__.py`. Files named themselves are not skipped."""
    named = {path.resolve() for path in paths}
    return {place for place in files if place not in named and not place.stat().st_size}


def ingest_with_progress(
    service: SemanticSearchService, documents: Sequence[Document] | Reading, *, prune: bool = False
) -> ProcessingStats:
    """Ingest with a progress bar on stderr."""
    with progress_bar() as progress:
        task = progress.add_task("documents", total=len(documents))

        def report(stats: ProcessingStats) -> None:
            progress.update(task, completed=stats.documents, total=len(documents))

        with _ended_at_once_by_a_second_interrupt():
            return service.ingest(documents, prune=prune, on_progress=report)


@contextmanager
def _ended_at_once_by_a_second_interrupt() -> Iterator[None]:
    """Let the first Ctrl-C wait for the batch at the model, and the second end at once. Neither loses data."""

    def told(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        errors.print("stopping after the current batch; press Ctrl-C again to stop at once")
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGINT, told)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)


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


def summary(stats: ProcessingStats, *, empty: int = 0) -> Text:
    passed_over = f"; {empty} empty files skipped" if empty else ""
    return Text(_outcome(stats) + passed_over)


def _outcome(stats: ProcessingStats) -> str:
    if stats.documents == len(stats.failures) and not stats.removed:
        return "nothing was ingested" + (f", {stats.documents} failed" if stats.failures else "")
    if stats.documents == stats.kept and not stats.removed:
        return f"{stats.kept} documents unchanged: nothing was embedded again ({stats.seconds:.2f} s)"
    parts = [f"{count} {name}" for name, count in _counts(stats) if count]
    return (
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
