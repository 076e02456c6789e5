"""The work of `ingest`."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from rich.text import Text

from embedpipe.cli.administration import stored_below
from embedpipe.cli.file_report import (
    not_taken,
    passed_over_json,
    print_failures,
    print_passed_over,
    print_remarks,
    remarks,
)
from embedpipe.cli.render import console, counted, errors, progress_bar, write_json
from embedpipe.errors import ConfigurationError, EmbedPipeError, InputError, MissingExtraError
from embedpipe.files import PassedOver, ReadOptions, found_files, read_documents
from embedpipe.types import Document

if TYPE_CHECKING:
    from embedpipe.ingest import ContextualHeader, ProcessingStats
    from embedpipe.service import SemanticSearchService


@dataclass(slots=True)
class Reading:
    """The documents of the files, read one by one.

    `unread` has the errors of files that could not be read, `remarks` what a document's text lacks, and `records` the
    ids of the documents of each file that is made of records. `names` has each file's name as it was given, by its id.
    """

    files: Sequence[Path]
    options: ReadOptions
    detect_language: bool = False
    unread: dict[str, EmbedPipeError] = field(default_factory=dict)
    remarks: dict[str, dict[str, Any]] = field(default_factory=dict)
    records: dict[str, set[str]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Document]:
        for file in self.files:
            place = file.resolve().as_posix()
            self.names[place] = str(file)
            try:
                documents = read_documents(file, self.options)
            except (InputError, ConfigurationError) as error:
                if isinstance(error, MissingExtraError) and self.options.reader:
                    raise  # the reader that was asked for lacks, so every file would fail alike
                self.unread[str(file)] = error
                continue
            if self.detect_language:
                from embedpipe.ingest import with_languages

                documents = list(with_languages(documents))
            if [document.id for document in documents] != [place]:
                self.records[place] = {document.id for document in documents}
            for document in documents:
                if found := remarks(document):
                    self.remarks[self.name_of(document.id)] = found
                yield document

    def __len__(self) -> int:
        return len(self.files) - len(self.unread) + sum(len(ids) - 1 for ids in self.records.values())

    def name_of(self, document_id: str) -> str:
        """Return how a document is named: its file as it was given, and the number or id of a record in it."""
        for place in (at for at, sign in enumerate(document_id) if sign == "#"):
            if document_id[:place] in self.records:
                return self.names[document_id[:place]] + document_id[place:]
        return self.names.get(document_id, document_id)


def ingest_files(
    service: SemanticSearchService,
    paths: Sequence[Path],
    *,
    options: ReadOptions,
    context: ContextualHeader | None = None,
    late_chunking: bool = False,
    detect_language: bool = False,
    prune: bool,
    skip_unknown: bool,
    as_json: bool,
) -> bool:
    """Ingest files. Return whether all were taken. What was not taken is told on stderr, or in the JSON.

    Below a folder, files of unknown suffix count as not taken unless `skip_unknown` is set. Empty and hidden files are
    skipped. A file's records that it no longer has are removed. `prune` removes documents whose files are not among
    these. It raises `InputError` if a file cannot be read, since its document would be removed.
    """
    found = found_files(paths, reader=options.reader)
    if not found:
        print_passed_over(found.passed_over, skip_unknown=skip_unknown)
        raise InputError("There are no files to read. If their suffix is uncommon, name the files themselves.")
    reading = Reading([*{file.resolve(): file for file in found}.values()], options, detect_language)
    documents = list(reading) if prune else reading
    if prune and reading.unread:
        raise InputError(
            "--prune would remove the documents of files that cannot be read now: "
            + " ".join(map(str, reading.unread.values()))
        )
    stats = ingest_with_progress(service, documents, context=context, late_chunking=late_chunking, prune=prune)
    _remove_lost_records(service, reading, stats)
    stats.failures = reading.unread | {reading.name_of(name): error for name, error in stats.failures.items()}
    if as_json:
        failures = {name: str(error) for name, error in stats.failures.items()}
        told: dict[str, Any] = {"failures": failures, "remarks": reading.remarks}
        if context is not None:
            told["context"] = context.spent._asdict()
        write_json(stats_json(stats) | passed_over_json(found.passed_over) | told)
    else:
        console.print(summary(stats, found.passed_over))
        if context is not None and context.spent.requests:
            console.print(
                f"headers by {context.name}: {context.spent.requests} requests, {context.spent.tokens} tokens"
            )
        print_failures(reading.unread)  # the other failures are in the log
        print_passed_over(found.passed_over, skip_unknown=skip_unknown)
        print_remarks(reading.remarks)
    return not stats.failures and not not_taken(found.passed_over, skip_unknown=skip_unknown)


def _remove_lost_records(service: SemanticSearchService, reading: Reading, stats: ProcessingStats) -> None:
    """Remove the documents of records that a file had in an earlier ingest and has no more."""
    if not reading.records:
        return
    kept = {*reading.names}.union(*reading.records.values())
    candidates = sorted(stored_below(service.store, reading.records) - kept)
    names = {PurePath(place).name for place in reading.records}  # another file may be called "mail.mbox#1.md"
    lost = [each.id for each in service.store.documents(candidates) if each.metadata.get("name") in names]
    if lost:
        stats.chunks_removed += service.store.delete(document_ids=lost)
        stats.removed += len(lost)


def ingest_with_progress(
    service: SemanticSearchService,
    documents: Sequence[Document] | Reading,
    *,
    context: ContextualHeader | None = None,
    late_chunking: bool = False,
    prune: bool = False,
) -> ProcessingStats:
    """Ingest with a progress bar on stderr."""
    with progress_bar() as progress:
        task = progress.add_task("documents", total=len(documents))

        def report(stats: ProcessingStats) -> None:
            progress.update(task, completed=stats.documents, total=len(documents))

        with _ended_at_once_by_a_second_interrupt():
            return service.ingest(
                documents, context=context, late_chunking=late_chunking, prune=prune, on_progress=report
            )


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


def summary(stats: ProcessingStats, passed_over: Sequence[PassedOver] = ()) -> Text:
    empty = sum(each.reason == "empty" for each in passed_over)
    missed = len(not_taken(passed_over))
    parts = [_outcome(stats)]
    parts += [f"{counted(empty, 'empty file')} skipped"] if empty else []
    parts += [f"{counted(missed, 'file')} not taken"] if missed else []
    return Text("; ".join(parts))


def _outcome(stats: ProcessingStats) -> str:
    if stats.documents == len(stats.failures) and not stats.removed:
        return "nothing was ingested" + (f", {stats.documents} failed" if stats.failures else "")
    if stats.documents == stats.kept and not stats.removed:
        kept = counted(stats.kept, "document")
        return f"{kept} unchanged: nothing was embedded again ({stats.seconds:.2f} s)"
    parts = [f"{count} {name}" for name, count in _counts(stats) if count]
    documents = "document" if parts[-1].startswith("1 ") else "documents"
    chunks, tokens = counted(stats.chunks_embedded, "chunk"), counted(stats.tokens, "token")
    return f"{', '.join(parts)} {documents}; {chunks} embedded ({tokens}) in {stats.seconds:.1f} s"


def _counts(stats: ProcessingStats) -> list[tuple[str, int]]:
    return [
        ("new", stats.added),
        ("changed", stats.changed),
        ("unchanged", stats.kept),
        ("removed", stats.removed),
        ("failed", len(stats.failures)),
    ]
