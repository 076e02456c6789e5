"""Chunks of Markdown that know their headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from embedpipe.chunking._measure import Size, Unit, check_size, check_unit, measure_or_none
from embedpipe.chunking._spans import Span, check_text, make_chunks
from embedpipe.chunking._units import cut_units, join_units
from embedpipe.chunking.separators import separators_for
from embedpipe.text import Tokenizer
from embedpipe.types import Chunk

_LINE = re.compile(r"[^\n]*\n?")
_FENCE = re.compile(r" {0,3}(`{3,}+|~{3,}+)([^\n]*)")
_HEADING = re.compile(r" {0,3}(#{1,6})(?:[^\S\n]+([^\n]*))?$")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[^\S\n]*$")
_NOT_A_TITLE = re.compile(r"\s*(?:[-*+>|]|\d+[.)]|$)")


@dataclass(frozen=True, slots=True)
class _Block:
    """A paragraph, list, table, fenced block or heading (of `level` 1 to 6); `title` is the heading's text."""

    start: int
    end: int
    level: int = 0
    title: str = ""


@dataclass(frozen=True, kw_only=True)
class MarkdownChunker:
    """Cuts at every heading and, within a section, between blocks.

    Fenced code and tables stay whole if they fit `chunk_size`. A chunk's metadata holds `heading` (the nearest above
    it) and `heading_path` (that and its parents, outermost first). Chunks before the first heading have neither.
    """

    chunk_size: Size = 1000
    unit: Unit = "characters"
    tokenizer: Tokenizer = "cl100k_base"

    def __post_init__(self) -> None:
        check_size(self.chunk_size)
        check_unit(self.unit, self.tokenizer)

    def chunk(self, text: str) -> list[Chunk]:
        """Return chunks in order, each within `chunk_size` and within one section.

        Raises:
            InputError: If the text is not a str.
        """
        check_text(text)
        measure = measure_or_none(text, unit=self.unit, tokenizer=self.tokenizer, size=self.chunk_size)
        chunks: list[Chunk] = []
        for path, blocks in _sections(text):
            units = cut_units(text, blocks, measure, separators_for("markdown"))
            for chunk in make_chunks(text, join_units(units, measure)):
                chunks.append(chunk._replace(chunk_index=len(chunks), metadata=_headings(path)))
        return chunks


def _headings(path: list[str]) -> dict[str, Any]:
    return {"heading": path[-1], "heading_path": list(path)} if path else {}


def _title(line: str) -> str:
    """Return a heading's text without its closing marks and without an attribute list such as { #anchor }."""
    line = line.strip()
    if line.endswith("}") and "{" in line:
        line = line[: line.rindex("{")].rstrip()
    bare = line.rstrip("#")
    return bare.rstrip() if not bare or bare[-1].isspace() else line


def _sections(text: str) -> Iterator[tuple[list[str], list[Span]]]:
    """Yield each section's heading path and blocks. Its heading is one of the blocks."""
    path: list[tuple[int, str]] = []
    blocks: list[Span] = []
    for block in _blocks(text):
        if block.level:
            if blocks:
                yield [title for _, title in path], blocks
            blocks = []
            path = [*((level, title) for level, title in path if level < block.level), (block.level, block.title)]
        blocks.append((block.start, block.end))
    if blocks:
        yield [title for _, title in path], blocks


def _blocks(text: str) -> Iterator[_Block]:
    """Yield the text's blocks in order. Blank lines between them belong to none."""
    lines = [match.span() for match in _LINE.finditer(text) if match.end() > match.start()]
    number = 0
    while number < len(lines):
        start, end = lines[number]
        line = text[start:end].rstrip()
        if not line:
            number += 1
            continue
        if fence := _FENCE.match(line):
            number = _behind_fence(text, lines, number, mark=fence[1])
            yield _Block(start, lines[number - 1][1])
            continue
        number += 1
        if heading := _HEADING.match(line):
            yield _Block(start, end, len(heading[1]), _title(heading[2] or ""))
            continue
        number, level = _behind_paragraph(text, lines, number, title=line)
        end = lines[number - 1][1]
        yield _Block(start, end, level, _title(line) if level else "")


def _behind_fence(text: str, lines: list[Span], number: int, *, mark: str) -> int:
    """Return the line behind the fence that closes the one at `number`, or behind the last line."""
    for closing in range(number + 1, len(lines)):
        line = text[slice(*lines[closing])].strip()
        if len(line) >= len(mark) and not line.strip(mark[0]):
            return closing + 1
    return len(lines)


def _behind_paragraph(text: str, lines: list[Span], number: int, *, title: str) -> tuple[int, int]:
    """Return the line behind the paragraph before `number`, and its level if an underline makes it a heading."""
    first = number
    while number < len(lines):
        line = text[slice(*lines[number])].rstrip()
        if number == first and (underline := _UNDERLINE.match(line)) and not _NOT_A_TITLE.match(title):
            return number + 1, 1 if underline[1][0] == "=" else 2
        if not line or _FENCE.match(line) or _HEADING.match(line):
            break
        number += 1
    return number, 0
