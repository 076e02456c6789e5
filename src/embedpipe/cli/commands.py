"""The work of `ask`, and checks that several commands share."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import typer

from embedpipe.cli.render import console, show_answer, show_citations, write_json
from embedpipe.errors import CollectionNotFoundError, InputError
from embedpipe.rag import RAGPipeline, RAGResponse
from embedpipe.storage.filters import parse_filter
from embedpipe.storage.transfer import common_beginning, in_snapshot

if TYPE_CHECKING:
    from embedpipe.service import SemanticSearchService
    from embedpipe.storage import Database, PgVectorStore


def check_exists(collection: str, database: Database) -> None:
    """Raise `CollectionNotFoundError`, which lists all collections, if this one does not exist."""
    names = [info.name for info in database.collections()]
    if collection not in names:
        known = f"Collections: {', '.join(names)}." if names else "There are none yet. `embedpipe ingest` creates one."
        raise CollectionNotFoundError(f"There is no collection {collection!r}. {known}")


def ingested_folder(store: PgVectorStore) -> str:
    """Return the folder that all documents of a collection are below, with a slash at its end. "" if there is none."""
    beginning = in_snapshot(store, common_beginning).partition("#")[0]  # behind which is the id of a record
    folder = beginning[: beginning.rfind("/") + 1]
    return folder if PurePath(folder).is_absolute() and len(folder) > 1 else ""


def parsed_filter(text: str | None) -> dict[str, Any] | None:
    """Return the filter from its JSON. Raise `typer.BadParameter` if it is not a valid filter."""
    if text is None:
        return None
    try:
        value = json.loads(text)
        if not isinstance(value, dict):
            raise typer.BadParameter(f"{text!r} is not a JSON object.", param_hint="--filter")
        parse_filter(value)
    except InputError as error:
        raise typer.BadParameter(str(error), param_hint="--filter") from error
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a JSON object: {error}.", param_hint="--filter") from error
    return value


def confirm(question: str) -> None:
    """Ask for a confirmation and abort unless it is yes. Asks on stderr, since other programs may read stdout."""
    typer.echo(f"{question} [y/N]: ", nl=False, err=True)  # typer.confirm(err=True) still writes a space to stdout
    answer = sys.stdin.readline() if sys.stdin else ""
    if not answer:
        typer.echo(err=True)
        raise InputError("Nothing was removed: there was no answer to the question. Pass --yes to skip it.")
    if answer.strip().lower() not in ("y", "yes"):
        raise typer.Abort


def moment(text: str | None) -> datetime | None:
    """Return the time of --as-of, in the local time zone if it names none."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            f"{text!r} is no time. Write it as 2026-05-01 or 2026-05-01T12:00.", param_hint="--as-of"
        ) from error


def answer(
    rag: RAGPipeline,
    question: str,
    folder: str,
    *,
    keeper: SemanticSearchService | None,
    as_json: bool,
    **search: Any,
) -> None:
    """Print the answer, piece by piece if a model writes it, then its checked citations.

    Args:
        rag: What answers.
        question: The question.
        folder: The folder that ids of documents are shown relative to, see `ingested_folder`.
        keeper: Keeps the answer, whose id is printed, too.
        as_json: Whether the answer is printed as JSON, all at once.
        search: Options of the search.
    """
    if as_json:
        response = rag.query(question, **search)
        kept = {} if keeper is None else {"id": keeper.keep_answer(response)}
        write_json(response.to_dict() | kept)
        return
    response = _printed(rag, question, folder, search)
    if keeper is not None:
        console.print(f"kept as {keeper.keep_answer(response)}", highlight=False)


def _printed(rag: RAGPipeline, question: str, folder: str, search: dict[str, Any]) -> RAGResponse:
    if not rag.generates:
        response = rag.query(question, **search)
        show_answer(response, folder)
        return response
    stream = rag.stream(question, **search)
    for piece in stream:
        console.print(piece, end="", markup=False, highlight=False, soft_wrap=True)
    console.print("\n")
    show_citations(stream.response, folder)
    return stream.response
