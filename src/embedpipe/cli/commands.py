"""What `ingest` and `ask` do once their arguments are read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from embedpipe.cli.files import found_files, read_document
from embedpipe.cli.render import console, errors, show_answer, show_citations, write_json
from embedpipe.errors import CollectionNotFoundError, InputError
from embedpipe.rag import RAGPipeline
from embedpipe.types import Document

if TYPE_CHECKING:
    from embedpipe.ingest import ProcessingStats
    from embedpipe.service import SemanticSearchService
    from embedpipe.storage import Database


def ingest_files(service: SemanticSearchService, paths: Sequence[Path], *, prune: bool, as_json: bool) -> bool:
    """Whether all files got in; those that did not are named on stderr, and in the JSON.

    `prune` removes documents that are not among them; `InputError` where a file is, and cannot be read.
    """
    documents: list[Document] = []
    unread: dict[str, str] = {}
    for file in found_files(paths):
        try:
            documents.append(read_document(file))
        except InputError as error:
            unread[str(file)] = str(error)
    if not documents and not unread:
        raise InputError("no text files there: name the files themselves where their suffix is uncommon.")
    if prune and unread:
        raise InputError("--prune would remove what cannot be read now: " + " ".join(unread.values()))
    stats = ingest_with_progress(service, documents, prune=prune)
    failures = unread | {name: str(error) for name, error in stats.failures.items()}
    if as_json:
        write_json(stats_json(stats) | {"failures": failures})
    else:
        console.print(summary(stats))
        for name, message in unread.items():  # the others are in the log
            errors.print(Text(f"not ingested: {name}: {message}", style="red"))
    return not failures


def ingest_with_progress(
    service: SemanticSearchService, documents: Sequence[Document], *, prune: bool = False
) -> ProcessingStats:
    """The ingest's report; a bar on stderr shows how far it is."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=not errors.is_terminal) as progress:
        task = progress.add_task("documents", total=len(documents))
        return service.ingest(
            documents, prune=prune, on_progress=lambda stats: progress.update(task, completed=stats.documents)
        )


def check_exists(collection: str, database: Database) -> None:
    """Raises `CollectionNotFoundError`, which names the collections there are, where this one is not among them."""
    names = [info.name for info in database.collections()]
    if collection not in names:
        known = f"There are: {', '.join(names)}." if names else "There are none yet: `embedpipe ingest` makes one."
        raise CollectionNotFoundError(f"There is no collection {collection!r}. {known}")


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


def parsed_filter(text: str | None) -> dict[str, Any] | None:
    """The JSON object; `InputError` where it is none."""
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InputError(f"--filter must be a JSON object; {text!r} is no JSON ({error}).") from error
    if not isinstance(value, dict):
        raise InputError(f"--filter must be a JSON object; got {text!r}.")
    return value


def answer(rag: RAGPipeline, question: str, *, as_json: bool, **search: Any) -> None:
    """Shows the answer: piece by piece as a model writes it, then its citations with what their check found."""
    if as_json:
        write_json(rag.query(question, **search).to_dict())
        return
    if not rag.generates:
        show_answer(rag.query(question, **search))
        return
    stream = rag.stream(question, **search)
    for piece in stream:
        console.print(piece, end="", markup=False, highlight=False, soft_wrap=True)
    console.print("\n")
    show_citations(stream.response)
