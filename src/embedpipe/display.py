"""Show search results with their scores, and a text with its chunks in colour, in a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

from embedpipe.types import Chunk, SearchResult

_COLOURS = ("#cfe8fc", "#fde2c4", "#d5f0d0", "#ead7f5", "#fff3b8")
_OVERLAP = "#f7b6b2"
_SHOWN = 100
_SCORES = {
    "score": "score",
    "similarity": "similarity",
    "dense_rank": "rank by meaning",
    "lexical_score": "BM25",
    "lexical_rank": "rank by words",
    "rerank_score": "reranker",
}


@dataclass(frozen=True, slots=True)
class View:
    """Shows as HTML in a notebook and as plain text elsewhere."""

    html: str = field(repr=False)
    text: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.text


def show_results(results: Sequence[SearchResult]) -> View:
    """Show a table of results: the scores that any of them has, the place in the document, and a snippet.

    Args:
        results: The results of a search, best first.

    Returns:
        A table in a notebook, lines of text elsewhere.
    """
    shown = [name for name in _SCORES if any(getattr(result, name) is not None for result in results)]
    head = "".join(f"<th>{title}</th>" for title in ("", *(_SCORES[name] for name in shown), "document", "snippet"))
    rows = "".join(_row(place, result, shown) for place, result in enumerate(results, 1))
    text = "\n\n".join(result.explain() for result in results)
    return View(f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>", text or "no results")


def show_chunks(text: str, chunks: Sequence[Chunk]) -> View:
    """Show a text with its chunks in alternating colours. Overlaps are red, and text outside all chunks is plain.

    Args:
        text: The text that was chunked.
        chunks: Its chunks.

    Returns:
        The coloured text in a notebook, a list of the chunks elsewhere.
    """
    body = "".join(_span(text[start:end], held) for start, end, held in _stretches(text, chunks))
    html = f'<div style="white-space: pre-wrap; color: #222; background: #fff; padding: .5em">{body}</div>'
    plain = "\n".join(
        f"{chunk.chunk_index:4} [{chunk.start_index}:{chunk.end_index}] {_beginning(chunk.text)}" for chunk in chunks
    )
    return View(html, plain or "no chunks")


def _row(place: int, result: SearchResult, shown: Sequence[str]) -> str:
    values = "".join(f"<td>{_number(getattr(result, name))}</td>" for name in shown)
    where = escape(f"{result.document_id or result.id} [{result.start_index}:{result.end_index}]")
    parts = result.snippet().parts
    snippet = "".join(f"<mark>{escape(part)}</mark>" if matches else escape(part) for part, matches in parts)
    text = f"<details><summary>{snippet}</summary><pre>{escape(result.text)}</pre></details>"
    return f'<tr><td>{place}</td>{values}<td>{where}</td><td style="text-align: left">{text}</td></tr>'


def _number(value: float | None) -> str:
    if value is None:
        return "&ndash;"
    return str(value) if isinstance(value, int) else f"{value:.4f}"


def _beginning(text: str) -> str:
    line = " ".join(text[: 4 * _SHOWN].split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "\u2026"


def _stretches(text: str, chunks: Sequence[Chunk]) -> Iterator[tuple[int, int, list[int]]]:
    """Yield (start, end, positions of the chunks with this part) from one edge of a chunk to the next."""
    edges = sorted({0, len(text), *(edge for c in chunks for edge in (c.start_index, c.end_index))})
    opening: dict[int, list[int]] = {}
    closing: dict[int, list[int]] = {}
    for place, chunk in enumerate(chunks):
        opening.setdefault(chunk.start_index, []).append(place)
        closing.setdefault(chunk.end_index, []).append(place)
    held: list[int] = []
    for start, end in pairwise(edges):
        ended = set(closing.get(start, []))
        held = [place for place in held if place not in ended] + opening.get(start, [])
        yield start, end, list(held)


def _span(text: str, held: Sequence[int]) -> str:
    if not held:
        return escape(text)
    colour = _OVERLAP if len(held) > 1 else _COLOURS[held[0] % len(_COLOURS)]
    return f'<span style="background: {colour}" title="chunk {held[0]}">{escape(text)}</span>'
