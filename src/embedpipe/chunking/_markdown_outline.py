"""Tell what belongs together in Markdown: a heading and what follows it, a table's rows and their header."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from embedpipe.chunking._joints import Joint
from embedpipe.chunking._markdown_blocks import Block, markdown_blocks
from embedpipe.chunking._table_headers import Table
from embedpipe.types import Chunk

Place: TypeAlias = Literal["text", "before", "behind"]

_LONGEST_MARK = 400
"""Longer blocks are text, in code points. No anchor or directive's line is as long."""

_LONGEST_TITLE = 300
"""What is beyond is left out of the metadata, in code points. A whole paragraph above a line of "---" is a heading."""

_MARK_BEFORE = re.compile(  # anchors, and lines that open a directive
    r"(?:\s*+(?:\([^()\s]+\)=|:{3,} ?\{[^\n]*|/{3,} +\w[^\n]*|(?:!!!|\?\?\?\+?) [^\n]*|\.\. [^\n]*:|\{%[^\n]*%\})"
    r"[ \t]*+(?:\n|\Z))++\Z"
)
_MARK_BEHIND = re.compile(  # lines that close a directive, attributes, and link definitions
    r"(?:\s*+(?::{3,}|/{3,}|\[TOC\]|\[\[_TOC_\]\]|\{[:#.][^}\n]*\}|\[[^^\]\n][^\]\n]*\]: +\S+[^\n]*)"
    r"[ \t]*+(?:\n|\Z))++\Z"
)
_DIRECTIVE = re.compile(r"\s*(?:`{3,}|~{3,})\{(?:toctree|contents|tableofcontents|include|literalinclude|image)\}")
_DELIMITER_ROW = re.compile(r"^[ \t>*+\d.-]*?(?:\|[ \t]*:?-|:?-+:?[ \t]*\|)", re.MULTILINE)
_LAST_LINE = re.compile(  # a heading, its underline, an anchor, a directive's or fence's first line
    r"\s*(?:#{1,6}(?:\s|$)|(?:-+|=+)\s*$|<.*>\s*$|\(\S+\)=|:{3,}|/{3,} |!!! |\?\?\?|\.\. |\{%|(?:```+|~~~+)\s*[^\s`~])"
)
_CLOSING_LINE = re.compile(r"\n[ \t]*(?::{3,}|/{3,})\s*\Z")
_NOT_BLANK = re.compile(r"\S")
_TAGS = re.compile(r"<!--.*?-->|<[^>]*>", re.DOTALL)
_ALTERNATIVE = re.compile(r"\b(?:alt|title)\s*=\s*[\"'][^\"']")
_SPACELESS = r"\u2e80-\u312f\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese and Japanese
_WORD = re.compile(rf"\s*(?:[{_SPACELESS}]{{1,4}}|[^\s{_SPACELESS}]{{1,40}})")
_LAST_SENTENCE = re.compile(r".*(?:\n|[.!?] |[。！？])(?=[^\n]*\w)", re.DOTALL)


@dataclass(slots=True)
class Passage:
    """Blocks that stay together if they fit: a heading, its first paragraph, and a rule behind that."""

    start: int
    end: int
    joints: list[Joint] = field(default_factory=list)
    tail: list[int] | None = None  # where the text begins that stays with the marks at the end


@dataclass(slots=True)
class Section:
    """The passages below one heading, and the titles of that heading and its parents, outermost first."""

    path: list[str]
    passages: list[Passage] = field(default_factory=list)


class Outline:
    """The sections and the tables of a text, in order. A heading without text is part of the next passage."""

    def __init__(self, text: str) -> None:
        self.sections: list[Section] = []
        self.tables: list[Table] = []
        self._text = text
        self._path: list[tuple[int, str]] = []
        self._is_below = True  # the last section is the one below the last heading
        self._waiting: list[Block] = []  # headings and other marks before the next text
        self._reached = -1  # where the last block ended, if a line that follows at once belongs to the same passage
        for block in markdown_blocks(text):
            closing = _closing_line(text, block)
            if closing:  # a directive's last line, with no blank line before it
                self._take(block._replace(end=closing))
                block = block._replace(start=closing)
            self._take(block)
        if self._waiting:
            self._end_with_marks()

    def joints(self) -> Iterator[Joint]:
        """Yield the joints of all passages, in order."""
        for section in self.sections:
            for passage in section.passages:
                yield from passage.joints

    def _take(self, block: Block) -> None:
        if block.kind == "heading" and not block.nested:
            self._is_below = False
            title = block.title[:_LONGEST_TITLE]
            self._path = [*(entry for entry in self._path if entry[0] < block.level), (block.level, title)]
        if block.kind == "table" and block.title.strip(" |"):
            mark = _NOT_BLANK.search(self._text, block.start)
            self.tables.append(Table(mark.start() if mark else block.start, block.end, block.title))
        place = _place(self._text, block)
        flows = block.kind in ("text", "code", "html")
        if place == "behind" and self.sections and not self._waiting:
            self._append(block)
        elif place != "text":
            self._waiting.append(block)
        elif flows and self._reached == block.start:
            self.sections[-1].passages[-1].end = block.end
            self.sections[-1].passages[-1].tail = None
        else:
            self._add(block)
        self._reached = block.end if flows and not self._waiting else -1

    def _end_with_marks(self) -> None:
        """Join the headings and marks behind the last text to it.

        Where there is no text, they are a passage. So they are with a heading that is a whole paragraph among them: it
        may be too long for a chunk, and the others go with its beginning or its end.
        """
        body = max(self._waiting, key=lambda mark: (self._is_paragraph(mark), mark.end - mark.start))
        if self.sections and not self._is_paragraph(body):
            self._append(self._waiting[-1])
            return
        place = self._waiting.index(body)
        behind = self._waiting[place + 1 :]
        self._waiting = self._waiting[:place]
        self._add(body)
        if behind:
            self._append(behind[-1])

    def _is_paragraph(self, mark: Block) -> bool:
        """Return whether a heading is a paragraph of several lines above a line of "---"."""
        return mark.kind == "heading" and len(self._text[mark.start : mark.end].strip().splitlines()) > 2

    def _begin(self, start: int, end: int) -> Passage:
        if not self._is_below or not self.sections:
            self.sections.append(Section([title for _, title in self._path]))
            self._is_below = True
        passage = Passage(start, end)
        self.sections[-1].passages.append(passage)
        return passage

    def _add(self, block: Block) -> None:
        """Begin a passage with a block of text and the headings before it."""
        starts = [before.start for before in self._waiting]
        last = block.start
        if block.kind in ("fence", "table") and block.head < block.end:
            starts.append(block.start)  # its first line goes with the next one
            last = block.head
        passage = self._begin(starts[0] if starts else block.start, block.end)
        if starts:
            word = _WORD.match(self._text, last)
            passage.joints.append(Joint(starts, last, word.end() if word else last))
        self._waiting = []

    def _append(self, block: Block) -> None:
        """Join all up to a block's end to the passage before, whose last sentence or at least word stays with it."""
        passage, text = self.sections[-1].passages[-1], self._text
        if passage.tail is None:
            window = max(passage.end - _LONGEST_MARK, passage.start)
            body = window + len(text[window : passage.end].rstrip())
            sentence = _LAST_SENTENCE.match(text, window, body)
            passage.tail = [sentence.end() if sentence else window, max(text.rfind(" ", window, body), window)]
        else:
            passage.joints.pop()
        end = block.start + len(text[block.start : block.end].rstrip())
        passage.joints.append(Joint(passage.tail, end - 1, end))
        passage.end = block.end


def _closing_line(text: str, block: Block) -> int:
    """Return where the last line of a paragraph begins if it only closes a directive, 0 otherwise."""
    if block.kind != "text":
        return 0
    closing = _CLOSING_LINE.search(text[max(block.end - 40, block.start) : block.end])
    return max(block.end - 40, block.start) + closing.start() + 1 if closing else 0


def may_divide(text: str, chunks: Sequence[Chunk]) -> bool:
    """Return False only if no chunk ends with a heading, is only a mark, or begins inside a table.

    This looks at the last line of each chunk alone, and is much faster than an outline.
    """
    if "|" in text and _DELIMITER_ROW.search(text):
        return True
    for chunk in chunks:
        last = chunk.text[chunk.text.rfind("\n") + 1 :]
        if _LAST_LINE.match(last) or not chunk.text.strip("-=*_:/ \n") or (chunk.text[0] in "<[{" and _is_mark(chunk)):
            return True
    return False


def _is_mark(chunk: Chunk) -> bool:
    return _place(chunk.text, Block(0, len(chunk.text), "text")) != "text"


def _place(text: str, block: Block) -> Place:
    """Return whether a block is text, or only goes with the text before or behind it."""
    if block.kind in ("heading", "rule"):
        return "before" if block.kind == "heading" else "behind"
    if block.kind == "fence":
        return "behind" if _DIRECTIVE.match(text, block.start) else "text"
    if block.end - block.start > _LONGEST_MARK or block.kind not in ("text", "html"):
        return "text"
    content = text[block.start : block.end].strip()
    if content[0] == "<":
        if _TAGS.sub("", content).strip() or _ALTERNATIVE.search(content):
            return "text"
        return "behind" if content.startswith("</") else "before"
    if content[0].isalpha():
        return "text"
    if _MARK_BEFORE.match(content):
        return "before"
    return "behind" if _MARK_BEHIND.match(content) else "text"
