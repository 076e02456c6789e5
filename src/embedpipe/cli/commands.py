"""What `ask` does once its arguments are read, and what several commands ask of theirs."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import typer

from embedpipe.cli.render import console, show_answer, show_citations, write_json
from embedpipe.errors import CollectionNotFoundError, InputError
from embedpipe.rag import RAGPipeline
from embedpipe.storage.filters import parse_filter

if TYPE_CHECKING:
    from embedpipe.storage import Database


def check_exists(collection: str, database: Database) -> None:
    """Raises `CollectionNotFoundError`, which names the collections there are, where this one is not among them."""
    names = [info.name for info in database.collections()]
    if collection not in names:
        known = f"There are: {', '.join(names)}." if names else "There are none yet: `embedpipe ingest` makes one."
        raise CollectionNotFoundError(f"There is no collection {collection!r}. {known}")


def parsed_filter(text: str | None) -> dict[str, Any] | None:
    """The JSON object; a wrong usage where it is none, or no condition."""
    if text is None:
        return None
    try:
        value = json.loads(text)
        if not isinstance(value, dict):
            raise typer.BadParameter(f"expected a JSON object; got {text!r}.", param_hint="--filter")
        parse_filter(value)
    except InputError as error:
        raise typer.BadParameter(str(error), param_hint="--filter") from error
    except ValueError as error:
        raise typer.BadParameter(
            f"expected a JSON object; {text!r} is no JSON ({error}).", param_hint="--filter"
        ) from error
    return value


def confirm(question: str) -> None:
    """Goes on where the answer is yes. It asks on stderr: stdout is for what other programs read."""
    typer.echo(f"{question} [y/N]: ", nl=False, err=True)  # typer.confirm writes a space to stdout all the same
    answer = sys.stdin.readline() if sys.stdin else ""
    if not answer:
        typer.echo(err=True)
        raise InputError("nothing was removed: an answer was expected, and none came. --yes answers beforehand.")
    if answer.strip().lower() not in ("y", "yes"):
        raise typer.Abort


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
