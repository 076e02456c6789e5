"""Paragraphs, headings, list items and tables as Markdown. Word, PowerPoint, OpenDocument and RTF share it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from embedpipe.files._readings import joined_reading, listed_readings
from embedpipe.files._scripts import SUB, SUP, raised

_NO_TEXT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\ufeff\ufffe\uffff\ud800-\udfff]")
"""Control characters, soft hyphens, and code points that are no characters."""

_REPEATED = 200
"""Up to this length, the text of a cell that is merged over several rows stands in each of them. Any longer text could
make a file of one megabyte a text of gigabytes."""


class Span(NamedTuple):
    """Text of one format within a paragraph.

    `script` is 1 for superscript, -1 for subscript. `reading` says how to pronounce the text. It stands above it.
    """

    text: str
    bold: bool = False
    italic: bool = False
    struck: bool = False
    script: int = 0
    reading: str = ""


@dataclass(slots=True)
class Block:
    """A paragraph, unless it says that it is something else.

    Args:
        text: Its text, in one or several lines.
        heading: The level of a heading. 0 for none.
        label: The number or "-" of a list item.
        depth: How deep a list item is nested.
        code: Whether it is a line of code.
        rows: The rows of a table. The first one is its header.
    """

    text: str = ""
    heading: int = 0
    label: str = ""
    depth: int = 0
    code: bool = False
    rows: Sequence[Sequence[str]] = ()


class Cell(NamedTuple):
    """A cell of a table, and over how many columns it reaches.

    `below` goes on with the cell above it, `beside` with the one before it.
    """

    text: str
    columns: int = 1
    below: bool = False
    beside: bool = False


class BlockReader(Protocol):
    """Reads the blocks within a cell of a table. It counts what it leaves out."""

    left_out: Counter[str]

    def blocks(self, elements: Iterable[Any]) -> list[Block]:
        """Return the blocks of these elements."""


def clean(text: str) -> str:
    """Return the text without control characters and soft hyphens."""
    return _NO_TEXT.sub("", text)


def inline(spans: Sequence[Span], *, plain: bool = False) -> str:
    """Return a paragraph's spans as Markdown.

    Emphasis within a word is left out, because it would divide the word for every search. Readings follow the text.

    Args:
        spans: In order.
        plain: Leave out all emphasis.
    """
    merged: list[tuple[str, list[str]]] = []  # emphasis, texts
    before = ""
    marks = ""
    joined = _joined(spans)
    for place, span in enumerate(joined):
        text = span.text
        if span.script and (words := text.strip()):
            following = joined[place + 1] if place + 1 < len(joined) else Span("")
            after = ("", "^", "_")[following.script] + following.text[:2]
            text = text.replace(words, raised(SUP if span.script > 0 else SUB, words, before, after))
        if not span.script and not plain and span.text.strip():
            marks = "~~" * span.struck + "**" * span.bold + "*" * span.italic
        if merged and merged[-1][0] == marks:
            merged[-1][1].append(text)
        else:
            merged.append((marks, [text]))
        before = (before + text[-60:])[-60:]
    texts = [(marks, "".join(parts)) for marks, parts in merged]
    written: list[str] = []
    for place, (marks, text) in enumerate(texts):
        left = texts[place - 1][1][-1:] if place else ""
        right = texts[place + 1][1][:1] if place + 1 < len(texts) else ""
        written.append(_emphasised(text, marks, left, right) if marks else text)
    return clean("".join([*written, listed_readings(_readings(spans))]))


def _readings(spans: Sequence[Span]) -> list[tuple[str, str]]:
    """Return the words that have a reading, each with it. Neighbours are one word: programs divide it anywhere."""
    found: list[tuple[list[str], list[str]]] = []
    before = ""
    for span in spans:
        if span.reading:
            if not before:
                found.append(([], []))
            found[-1][0].append(span.text)
            found[-1][1].append(span.reading)
        before = span.reading
    return [("".join(texts), joined_reading(readings)) for texts, readings in found]


def _joined(spans: Sequence[Span]) -> list[Span]:
    """Return the spans with neighbours of one format as one: programs divide text into runs anywhere."""
    found: list[tuple[tuple[bool, bool, bool, int], list[str]]] = []
    for text, *formats, _ in spans:
        if found and list(found[-1][0]) == formats:
            found[-1][1].append(text)
        elif text:
            found.append((tuple(formats), [text]))  # type: ignore[arg-type]
    return [Span("".join(texts), *formats) for formats, texts in found]


def _emphasised(text: str, marks: str, before: str, after: str) -> str:
    words = text.strip()
    start = text.index(words)
    before, after = text[start - 1 : start] or before, text[start + len(words) :][:1] or after
    if not words or "\n\n" in words or (before.isalnum() and words[0].isalnum()):
        return text
    if after.isalnum() and words[-1].isalnum():
        return text
    return f"{text[:start]}{marks}{words}{marks[::-1]}{text[start + len(words) :]}"


def table(rows: Sequence[Sequence[Cell]]) -> Block:
    """Return a table in which a merged cell's text stands in each of its places, if it is short.

    A cell over the whole row, such as a section's title, stands in the first column only.
    """
    left = 1000 + 8 * sum(map(len, rows))  # places for merged cells: more are an attack
    above: dict[int, str] = {}
    filled: list[list[str]] = []
    for row in rows:
        alone = sum(not cell.beside for cell in row) == 1
        texts: list[str] = []
        for cell in row:
            first = cell.text
            if cell.below or cell.beside:
                first = above.get(len(texts), "") if cell.below else "" if alone or not texts else texts[-1]
                first = first if len(first) <= _REPEATED and left > 0 else ""
            other = first if len(first) <= _REPEATED and not alone and cell.columns <= left else ""
            left -= cell.columns - 1 + cell.below + cell.beside
            for text in (first, *[other] * (cell.columns - 1)):
                above[len(texts)] = text
                texts.append(text)
        while texts and not texts[-1]:
            texts.pop()
        if texts:
            filled.append(texts)
    return Block(rows=filled)


def flat(blocks: Sequence[Block]) -> str:
    """Return the text of blocks in one line, as a table's cell has it.

    The cells of a table within the cell are divided by commas, its rows by semicolons.
    """
    parts = []
    filled = [block for block in blocks if block.rows or block.text]
    for block in filled:
        if block.rows:
            parts.append("; ".join(filter(None, (", ".join(filter(None, row)) for row in block.rows))))
        elif block.label == "-" and len(filled) == 1:  # one item is no list
            parts.append(block.text)
        else:
            parts.append(f"{block.label} {block.text}".lstrip())
    return " ".join(" ".join(parts).split(None)) if parts else ""


def markdown(blocks: Sequence[Block]) -> str:
    """Return the blocks as Markdown, a blank line between them. It ends with a line end, unless it is empty."""
    written: list[str] = []
    items: list[tuple[int, int]] = []  # the depth of each list that is open, and the width of its label
    before = Block()
    for block in blocks:
        text = _written(block, items)
        if not text:
            continue
        if block.code and before.code:
            written.append("\n")
        elif written:
            written.append("\n```\n\n" if before.code else "\n" if before.label and block.label else "\n\n")
        if block.code and not before.code:
            written.append("```\n")
        written.append(text)
        before = block
    if before.code:
        written.append("\n```")
    return "".join(written) + "\n" if written else ""


def _written(block: Block, items: list[tuple[int, int]]) -> str:
    if block.rows:
        items.clear()
        return _table(block.rows)
    if block.code:
        return block.text.replace("```", "` ` `") or " "
    if not block.text:
        return ""
    if not block.label:
        items.clear()
        return f"{'#' * min(block.heading, 6)} {' '.join(block.text.split())}" if block.heading else block.text
    while items and items[-1][0] >= block.depth:
        items.pop()
    indent = " " * sum(width for _, width in items)
    items.append((block.depth, len(block.label) + 1))
    lines = f"{block.label} {block.text}".split("\n")
    return "\n".join([indent + lines[0], *(indent + " " * (len(block.label) + 1) + line for line in lines[1:])])


def _table(rows: Sequence[Sequence[str]]) -> str:
    columns = max(len(row) for row in rows)
    if not columns:
        return ""
    escaped = [[text.replace("|", "\\|").replace("\n", " ") for text in row] for row in rows]
    header = escaped[0] + [""] * (columns - len(escaped[0]))  # rows that are too short need no more cells
    lines = [header, ["---"] * columns, *escaped[1:]]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


def left_out(counts: Mapping[str, int]) -> list[str]:
    """Return "2 pictures without a description" for each "picture without a description", as counted."""
    return [f"{count} {_plural(words) if count > 1 else words}" for words, count in counts.items() if count]


def _plural(words: str) -> str:
    noun, *rest = re.split(r"(?= (?:of|with|without|that)\b| \()", words, maxsplit=1)
    return noun + "s" + "".join(rest)
