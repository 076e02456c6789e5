"""The work of `verify`, `affected` and `forget`: what became of answers and of their documents."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.text import Text

from embedpipe.answering import CitationState
from embedpipe.cli.commands import check_exists, confirm
from embedpipe.cli.render import console, counted, write_json
from embedpipe.errors import InputError
from embedpipe.storage import Database, PgVectorStore

if TYPE_CHECKING:
    from embedpipe.service import SemanticSearchService

_STYLES = {"unchanged": "green", "moved": "green", "altered": "yellow", "deleted": "red"}


def verify_answer(service: SemanticSearchService, answer: str, *, as_json: bool) -> bool:
    """Print the state of each citation of a kept answer. Return whether all hold."""
    states = service.verify(answer)
    if as_json:
        write_json({"id": answer, "citations": [asdict(state) for state in states]})
    else:
        for state in states:
            console.print(_line(state))
    return all(state.holds for state in states)


def show_affected(service: SemanticSearchService, documents: Sequence[str], *, as_json: bool) -> None:
    """Print the kept answers that lean on a change of these documents."""
    found = service.affected([each for name in documents for each in _ids(name)])
    if as_json:
        write_json({"answers": [asdict(each) | {"created_at": each.created_at.isoformat()} for each in found]})
        return
    for each in found:
        console.print(Text(f"{each.id}  {each.created_at:%Y-%m-%d %H:%M}  {each.question}"))
        for state in each.citations:
            console.print(_line(state))
    if not found:
        console.print("no kept answer is affected")


def forget_document(url: str | None, collection: str, document: str, *, yes: bool, as_json: bool) -> None:
    """Delete a document for good, after a confirmation."""
    with closing(Database(url)) as database:
        check_exists(collection, database)
        store = PgVectorStore(database, collection=collection)
        if not yes:
            confirm(f"Delete {document} from {collection!r} with its earlier versions and the answers that lean on it?")
        gone = [store.forget(name) for name in _ids(document)]
    chunks, versions, answers, _ = (sum(counts) for counts in zip(*gone, strict=True))
    if as_json:
        write_json({"chunks": chunks, "versions": versions, "answers": answers})
    elif not chunks + versions + answers:
        raise InputError(f"Nothing was kept of {document}. `embedpipe search --json` shows the ids of documents.")
    else:
        counts = [counted(chunks, "chunk"), counted(versions, "kept version"), counted(answers, "kept answer")]
        typer.echo(f"removed {', '.join(counts)}")


def _ids(name: str) -> list[str]:
    """Return the ids that a document may have: its own, and that of a file, which is stored under its absolute path."""
    return list(dict.fromkeys((name, Path(name).resolve().as_posix())))


def _line(state: CitationState) -> Text:
    line = Text(f"  [{state.source}] ")
    line.append(state.state, style=_STYLES[state.state])
    place = "" if state.start_index is None else f" [{state.start_index}:{state.end_index}]"
    line.append(f"  {state.document_id}{place}  “{' '.join(state.quote.split())}”")
    if state.text is not None and not state.holds:
        line.append(f"\n      now: “{' '.join(state.text.split())}”")
    return line
