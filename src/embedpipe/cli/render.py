"""Print tables, answers and JSON."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from embedpipe.rag import Citation, RAGResponse
from embedpipe.retrieval.context import Passage
from embedpipe.storage.admin import CollectionState
from embedpipe.text import Snippet
from embedpipe.types import SearchResult

_UNBOUNDED = 1_000_000
_SNIPPET, _LEAST_SNIPPET = 240, 80
_SNIPPET_LINES = 4
_NUMBERS_WIDTH = 46
"""What the columns of numbers take of the width in a table of hits."""
_NARROW = 90
"""In a terminal narrower than this, the numbers are in a line of their own."""
_UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")
"""The categories of Unicode whose characters break a line, steer the terminal, or cannot be encoded."""


def _output(*, stderr: bool = False) -> Console:
    made = Console(stderr=stderr)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = _UNBOUNDED  # rich would assume 80 columns and wrap lines that another program reads
    return made


console = _output()
errors = _output(stderr=True)

_STATUS = {
    "quoted": ("✓ quoted", "green"),
    "paraphrased": ("≈ paraphrased", "green"),
    "unsupported": ("✗ not in the source", "red"),
    "unsupported_value": ("✗ unsupported value", "red"),
    "misquoted": ("✗ misquoted", "red"),
    "unknown_source": ("✗ no such source", "red"),
}


def write_json(value: object) -> None:
    """Write one JSON document to stdout."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:  # also a file's name whose bytes are no UTF-8
        text = json.dumps(value, indent=2)
    sys.stdout.write(text + "\n")


def counted(number: int, thing: str) -> str:
    """Return "1 chunk" or "2 chunks"."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def legible(text: str) -> str:
    """Return a text on one line, with escapes for line ends, other control characters and bytes that are no UTF-8."""
    return "".join(
        each.encode("unicode_escape").decode() if unicodedata.category(each) in _UNPRINTABLE else each for each in text
    )


def result_json(result: SearchResult) -> dict[str, Any]:
    return {
        "id": result.id,
        "document_id": result.document_id,
        "title": result.title,
        "start_index": result.start_index,
        "end_index": result.end_index,
        "score": result.score,
        "similarity": result.similarity,
        "dense_rank": result.dense_rank,
        "lexical_score": result.lexical_score,
        "lexical_rank": result.lexical_rank,
        "rerank_score": result.rerank_score,
        "snippet": result.snippet().to_dict(),
        "text": result.text,
        "metadata": result.metadata,
    }


def show_hits(results: Sequence[SearchResult], folder: str = "") -> None:
    """Print a table of results, and below it the folder that their documents are relative to."""
    console.print(hits_table(results, folder) if results else "nothing found")
    if results and folder:
        console.print(Text(legible(f"below {folder}"), style="dim"))


def hits_table(results: Sequence[SearchResult], folder: str = "") -> Table:
    """Return a table of results: scores and ranks of both legs, title and place in the document, and a snippet.

    Args:
        results: The results, best first.
        folder: What is left out at the beginning of ids.
    """
    numbers = ("score", "dense (rank)", "lexical (rank)")
    is_narrow = console.width < _NARROW
    table = new_table("#", *(() if is_narrow else numbers), "document [start:end]", right=("#", *numbers))
    width = console.width - (0 if is_narrow else _NUMBERS_WIDTH)
    most = min(max(width * _SNIPPET_LINES, _LEAST_SNIPPET), _SNIPPET)
    for place, result in enumerate(results, 1):
        place_in = f"[{result.start_index}:{result.end_index}]{_place(result.metadata)}"
        name = (result.document_id or result.id).removeprefix(folder)
        document = Text(legible(f"{name} {place_in}"))
        if result.title not in (name, name.rpartition("/")[2]):
            document.append(f"  {legible(result.title)}", style="italic")
        legs = _leg(result.similarity, result.dense_rank), _leg(result.lexical_score, result.lexical_rank)
        snippet = _snippet(result.snippet(most))
        if is_narrow:
            scores = Text(f"{result.score:.4f}, dense {legs[0]}, lexical {legs[1]}")
            table.add_row(str(place), Group(document, scores, snippet))
        else:
            table.add_row(str(place), f"{result.score:.4f}", *legs, Group(document, snippet))
    return table


def new_table(*columns: str, right: Collection[str] = ()) -> Table:
    """Return an empty table. Columns in `right` are right-aligned. In a narrow terminal, cells wrap and are not cut."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(Text(name), justify="right" if name in right else "left", overflow="fold")
    return table


def progress_bar(*columns: ProgressColumn, transient: bool = False) -> Progress:
    """Return a progress bar on stderr, by default with a count. It shows nothing if stderr is not a terminal."""
    shown = columns or (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*shown, console=errors, transient=transient, disable=not errors.is_terminal)


def _place(metadata: Mapping[str, Any]) -> str:
    """Return where a chunk is in its file, as a person says it: " p. 12", " sheet Prices, row 40"."""
    named = {"page": ("p.", "pp."), "slide": ("slide", "slides"), "sheet": ("sheet", ""), "row": ("row", "rows")}
    found = []
    for key, (word, several) in named.items():
        value, end = metadata.get(key), metadata.get(f"{key}_end")
        if value is not None:
            found.append(f"{word} {value}" if end is None else f"{several} {value}–{end}")
    return f" {', '.join(found)}" if found else ""


def _leg(score: float | None, rank: int | None) -> str:
    return "-" if score is None else f"{score:.3f} ({rank or '-'})"


def _snippet(snippet: Snippet) -> Text:
    """Return a snippet with its matches in bold."""
    shown = Text(style="dim")
    for part, matches in snippet.parts:
        shown.append(legible(part), style="bold not dim" if matches else "")
    return shown


def show_answer(response: RAGResponse, folder: str = "") -> None:
    """Print an answer, then each citation with its check and its place in the document."""
    answer = Text()
    for statement in response.statements:
        answer.append(statement.text)
        for citation in statement.citations:
            answer.append(f" [{citation.source}]", style=_STATUS[citation.status][1])
        answer.append("\n")
    console.print(answer if response.statements else Text(response.answer + "\n"))
    show_citations(response, folder)


def show_citations(response: RAGResponse, folder: str = "") -> None:
    """Print each citation with its check, its document relative to the folder, and its quotation or a snippet."""
    for citation in response.citations:
        console.print(_citation_line(citation, response.sources, folder))
    how = "no language model: sentences quoted from the sources" if response.answered else "no language model was asked"
    footer = [response.model or how]
    if response.tokens_used is not None:
        footer.append(counted(response.tokens_used, "token"))
    if response.truncated:
        footer.append("the answer was cut off at the model's token limit")
    if response.left_out:
        found = len(response.left_out) + sum(len(source.results) for source in response.sources)
        footer.append(f"{len(response.left_out)} of {found} results left out")
    footer.append(f"answered in {response.timings['total']:.2f} s")
    console.print(Text(" · ".join(footer), style="dim"))


def _citation_line(citation: Citation, sources: Sequence[Passage], folder: str) -> Text:
    words, style = _STATUS[citation.status]
    line = Text(f"  [{citation.source}] ")
    line.append(words, style=style)
    line.append("".join(f" {value}" for value in citation.values))
    if citation.start_index is not None:
        name = legible((citation.document_id or "").removeprefix(folder))
        line.append(f"  {name} [{citation.start_index}:{citation.end_index}]{_place(citation.metadata)}  ")
        line.append(f"“{' '.join((citation.quote or '').split())}”", style="dim")
    elif 0 < citation.source <= len(sources):
        source = sources[citation.source - 1]
        line.append(f"  {legible((source.document_id or '').removeprefix(folder))}  ")
        line.append_text(_snippet(source.snippet()))
    return line


def models_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    numbers = ("dimensions", "max_tokens", "USD per 1M tokens")
    table = new_table("model", "provider", *numbers, right=numbers)
    for row in rows:
        table.add_row(
            row["name"],
            row["provider"],
            str(row["dimensions"]),
            str(row["max_tokens"]),
            _price(row["price_per_million"]),
        )
    return table


def _price(dollars: float | None) -> str:
    """Return a price. Weights that are open cost nothing, which is not the same as a price that is not known."""
    if dollars is None:
        return "unknown"
    return f"{dollars:.2f}" if dollars else "free"


def finding_line(check: str, found: str, *, is_good: bool | None) -> Text:
    """Return a line for what one check found: "ok", "WRONG", or nothing where there is no right or wrong."""
    word, style = {True: ("ok", "green"), False: ("WRONG", "bold red"), None: ("", "")}[is_good]
    line = Text()
    line.append(f"{word:<6}", style=style)
    line.append(f"{check:<14}", style="bold")
    line.append(found)
    return line


def model_lines(row: Mapping[str, Any]) -> Text:
    """Return what is known of a model, a line for each fact. Prompts are quoted, since they may end in a space."""
    lines = Text()
    for field, value in row.items():
        if field.endswith("_prompt"):
            shown = repr(value) if value else "none"
        elif field == "price_per_million":
            shown = _price(value)
        elif isinstance(value, list | tuple):
            shown = ", ".join(value) or "-"
        else:
            shown = "-" if value in (None, "") else str(value)
        lines.append(f"{field.replace('_', ' '):<18}", style="bold")
        lines.append(f"{shown}\n")
    lines.right_crop(1)
    return lines


def collections_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    numbers = ("documents", "chunks", "MB")
    table = new_table("collection", "model", *numbers, "search", right=numbers)
    for row in rows:
        search = "by index" if row["indexed"] else "exact"
        size = f"{row['bytes'] / 1e6:.1f}"
        table.add_row(row["name"], row["model"]["name"], str(row["documents"]), str(row["chunks"]), size, search)
    return table


def states_table(states: Iterable[CollectionState]) -> Table:
    """Return the doctor's table of collections."""
    numbers = ("documents", "chunks", "vectors", "MB", "unused MB")
    table = new_table("collection", "model", *numbers, "index", "words", "cosines", right=numbers)
    for state in states:
        serves = {True: "", False: " (unused)", None: ""}[state.index_serves]
        table.add_row(
            state.name,
            f"{state.model} ({state.dimensions})",
            str(state.documents),
            str(state.chunks),
            str(state.vectors),
            f"{state.bytes / 1e6:.1f}",
            f"{state.unused_bytes / 1e6:.1f}",
            "none" if state.index is None else state.index + serves,
            state.language or "none",
            "none" if state.cosines is None else f"{state.cosines.mean:.2f} ± {state.cosines.spread:.2f}",
        )
    return table


def write_fact(name: str, value: str, *, as_json: bool) -> None:
    """Write a value alone, for other programs, or as JSON under its name."""
    if as_json:
        write_json({name: value})
    else:
        sys.stdout.write(value + "\n")
