"""Write Markdown, reStructuredText and code as a person reads them, and know where each character was."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from embedpipe.text.sentences import sentence_spans

BETWEEN_CELLS = " · "
BULLET = "•"
_MARKS = {"heading": ":", "row": ";"}
"""What is written behind a unit of this kind, if it ends in a letter or digit."""
END_OF_CODE_LINE = " ⏎"
"""What is written between two lines of code."""

_LINE = re.compile(r"[^\n]+")
_FENCE = re.compile(r"\s*(?:>\s?)?(`{3,}|~{3,}|:{3,})\s*(?:\{([\w:.+-]+)\})?(.*)")
_DIRECTIVE = re.compile(r"\s*\.\.\s+(?:\|[^|]*\|\s+)?([\w:.+-]+)::(.*)")
_OPTION = re.compile(r"\s*:[\w-]+:(?:\s|$)")
_TARGET = re.compile(r"\s*(?:\.\.\s+_[^:]*:|\([\w:.-]+\)=\s*$)")
_HEADING = re.compile(r"\s{0,3}#{1,6}\s+")
_LEAD = re.compile(r"\s*(?:>(?!>)\s*)?(?:([-*+•⁃])(?=\s)\s*)?")
_CELL = re.compile(r"(?:[^|\\]|\\.?)+")
_RULES = frozenset(" \t\r|:+=-~^_*#")
_SILENT = frozenset(
    """
    code code-block code-cell sourcecode highlight eval-rst literalinclude include image figure toctree contents raw
    role default-role index only ifconfig math parsed-literal automodule mermaid
    """.split()  # noqa: SIM905 - read as a list of words
)
"""Directives whose argument is for a program: a language, a file, a number of levels."""

_TAGS = (
    "a|abbr|b|blockquote|br|center|code|dd|del|details|div|dl|dt|em|figcaption|figure|font|h[1-6]|hr|i|img|kbd|li|ol|p|"
    "picture|pre|s|section|small|source|span|strong|sub|summary|sup|table|tbody|td|th|thead|tr|u|ul|video"
)
_URL = r"[^()\s]*+(?:\([^()\s]*+\))?[^()\s]*+"
# A document may be hostile, so every pattern takes linear time: none looks past the character that could begin its
# next match, and none gives back what it took but a group once. Python before 3.11.5 finds no match where a possessive
# group has alternatives or looks ahead.
_INLINE = re.compile(
    rf"""
    <!--(?:(?!-->|<!--).)*-->
    | </?(?:{_TAGS})(?=[\s/>])[^<>]*+>
    | <(?P<address>https?://[^<>\s]++)>
    | \[!\[(?P<badge>[^\[\]]*+)\]\({_URL}\)\]\({_URL}\)
    | !?\[(?P<label>[^\[\]]*+)\]\({_URL}(?:\s++"[^"\n]*+")?\)
    | (?P<role>(?<![\w:]):(?:[\w+.-]++:){{1,3}}|\{{[\w:+.-]++\}})?
      (?P<ticks>`{{1,2}})(?!`)(?P<code>[^`]++)(?P=ticks)(?!`)(?P<link>_{{0,2}})
    | (?P<stars>(?<![\w*\\])\*{{1,3}})(?=[^\s*])(?P<strong>[^*]++)(?<=\S)(?P=stars)(?![\w*])
    | \\(?P<escaped>[*_`|\#~])
    | :(?=:[^\S\n]*+(?:\n|$))
    | (?P<space>[^\S ]\s*+|[ ]\s++)
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_SPACE = re.compile(r"(?P<space>[^\S ]\s*+| \s++)")  # but single spaces, which stay


class ReadableText(NamedTuple):
    """A text without markup.

    Attributes:
        text: The text. White space is one space. Between the cells of a table is a "·", before an item of a list a "•",
            behind a heading a ":", behind a row a ";" and between lines of code a "⏎". Everything else is as in the
            original.
        offsets: For each character of the text, the offset of the character in the original that it stands for.
        sentences: The (start, end) in `text` of each sentence, heading, row of a table and line of code, in order. The
            marks behind headings and rows lie between them.
    """

    text: str
    offsets: array[int]
    sentences: list[tuple[int, int]]


def readable(text: str) -> ReadableText:
    """Return a text as a person reads it, in linear time.

    What marks emphasis, links, headings, code, quotations and directives is left out. So are the addresses of links,
    HTML tags, rules, and the options of directives. A text that is nothing but these stays as it is.
    """
    writer = _Writer(text)
    for unit in _Units(text):
        writer.unit(unit)
    if not writer.sentences:
        writer.unit(_Unit(0, len(text), "code"))
    return ReadableText("".join(writer.written), writer.offsets, writer.sentences)


class _Unit(NamedTuple):
    """A sentence, heading, row of a table or line of code: its span, and its kind."""

    start: int
    end: int
    kind: str = "sentence"


class _Directive(NamedTuple):
    """A fence of code or text, or a directive of reStructuredText."""

    marker: str  # "" for the latter
    name: str
    argument: int  # where it begins in the line


def _directive(line: str) -> _Directive | None:
    if fence := _FENCE.fullmatch(line):
        # Backquotes behind the marker are code within a line.
        return None if "`" in fence[3] else _Directive(fence[1], (fence[2] or "").lower(), fence.start(3))
    if directive := _DIRECTIVE.fullmatch(line):
        return _Directive("", directive[1].lower(), directive.start(2))
    return None


def _kind(line: str) -> str:
    """Return what a line is that is neither code nor a directive."""
    content = line.strip()
    if len(content) > 2 and _RULES.issuperset(content):
        return "row of rules" if "|" in content else "rule"
    if len(content) > 2 and content[0] == content[-1] == "|":
        return "row"
    if _TARGET.match(line):
        return "target"
    return "heading" if _HEADING.match(line) else "sentence"


class _Units:
    """Finds the units of a text, line by line."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._fence = ""  # that the code below it ends with
        self._open_fences: list[str] = []  # of directives that hold text
        self._has_options = False
        self._prose: tuple[int, int] | None = None

    def __iter__(self) -> Iterator[_Unit]:
        for match in _LINE.finditer(self._text):
            yield from self._line(match[0], *match.span())
        yield from self._sentences()

    def _line(self, line: str, start: int, end: int) -> Iterator[_Unit]:
        if self._fence:
            yield from self._code(line, start, end)
            return
        if self._has_options and _OPTION.match(line):
            return
        directive = _directive(line)
        self._has_options = directive is not None
        kind = _kind(line) if directive is None else "directive"
        if kind == "sentence":
            self._prose = (start if self._prose is None else self._prose[0], end)
            return
        yield from self._sentences(ruled_at=start if kind == "rule" else None)
        if directive is not None:
            if directive.marker:
                self._open(directive, has_argument=bool(line[directive.argument :].strip()))
            if directive.name and directive.name not in _SILENT:
                yield _Unit(start + directive.argument, end)
        elif kind == "row":
            yield _Unit(start, end, kind)
        elif kind == "heading" and (mark := _HEADING.match(line)):
            yield _Unit(start + mark.end(), end, kind)

    def _code(self, line: str, start: int, end: int) -> Iterator[_Unit]:
        if line.strip().startswith(self._fence) and not line.strip().strip(self._fence[0]):
            self._fence = ""
        elif not line.isspace():
            yield _Unit(start, end, "code")

    def _open(self, fence: _Directive, *, has_argument: bool) -> None:
        """Note what a fence opens: code, or text that ends with the same marker. Or it closes such a text."""
        if not fence.name and not has_argument and fence.marker in self._open_fences:
            del self._open_fences[self._open_fences.index(fence.marker) :]
        elif fence.marker[0] != ":" and fence.name and fence.name not in _SILENT:
            self._open_fences.append(fence.marker)
        elif fence.marker[0] != ":":
            self._fence = fence.marker

    def _sentences(self, *, ruled_at: int | None = None) -> Iterator[_Unit]:
        """Yield the sentences of the lines so far. With a rule directly below, the last one is a heading."""
        if self._prose is None:
            return
        (start, end), self._prose = self._prose, None
        spans = sentence_spans(self._text[start:end])
        is_heading = ruled_at is not None and self._text[end:ruled_at] == "\n"
        for place, (left, right) in enumerate(spans, 1):
            kind = "heading" if is_heading and place == len(spans) else "sentence"
            yield _Unit(start + left, start + right, kind)


@dataclass(slots=True)
class _Writer:
    """Writes units, and notes for each character its offset in the original."""

    original: str
    written: list[str] = field(default_factory=list)
    offsets: array[int] = field(default_factory=lambda: array("q"))
    sentences: list[tuple[int, int]] = field(default_factory=list)
    _kind: str = ""  # of the last unit
    _is_spaced: bool = True  # nothing, or a space, is before what comes next

    def unit(self, unit: _Unit) -> None:
        before = len(self.written), len(self.offsets)
        if self.sentences:
            self._add(self._mark(unit.kind) + " ", unit.start)
        self._is_spaced = True
        begin = len(self.offsets)
        if unit.kind == "row":
            self._row(unit)
        elif unit.kind == "code":
            self._inline(unit.start, unit.end, _SPACE)
        else:
            lead = _LEAD.match(self.original, unit.start, unit.end)
            assert lead is not None  # noqa: S101 - it matches anything
            if lead[1] and lead.end() < unit.end:
                self._add(f"{BULLET} ", lead.start(1))
            self._inline(lead.end(), unit.end, _INLINE)
        if len(self.offsets) > begin and self.written[-1].endswith(" "):
            self.written[-1] = self.written[-1][:-1]
            self.offsets.pop()
        if len(self.offsets) == begin:
            del self.written[before[0] :], self.offsets[before[1] :]
            return
        self.sentences.append((begin, len(self.offsets)))
        self._kind = unit.kind

    def _mark(self, following: str) -> str:
        """Return what separates the last unit from one of that kind, beside a space."""
        if self._kind == following == "code":
            return END_OF_CODE_LINE
        return _MARKS.get(self._kind, "") if self.written[-1][-1:].isalnum() else ""

    def _row(self, unit: _Unit) -> None:
        begin = len(self.offsets)
        for cell in _CELL.finditer(self.original, unit.start, unit.end):
            content = cell[0].strip()
            if not content:
                continue
            start = cell.start() + cell[0].index(content[0])
            if len(self.offsets) > begin:
                self._add(BETWEEN_CELLS, start)
            self._inline(start, start + len(content), _INLINE)

    def _inline(self, start: int, end: int, markup: re.Pattern[str]) -> None:
        """Write a part of the original without the markup in it."""
        for match in markup.finditer(self.original, start, end):
            self._keep(start, match.start())
            start = match.end()
            kind = match.lastgroup
            if kind == "space":
                if not self._is_spaced:
                    self._add(" ", match.start())
            elif kind == "link":
                self._inline(match.start("code"), _shown_end(match), _SPACE)
            elif kind in ("label", "strong"):  # neither holds one of its kind, so this goes three levels deep
                self._inline(*match.span(kind), markup)
            elif kind is not None:
                self._keep(*match.span(kind))
        self._keep(start, end)

    def _keep(self, start: int, end: int) -> None:
        if start < end and self._is_spaced and self.original[start] == " ":
            start += 1
        if start < end:
            self.written.append(self.original[start:end])
            self.offsets.extend(range(start, end))
            self._is_spaced = self.original[end - 1] == " "

    def _add(self, mark: str, at: int) -> None:
        """Write a mark that the original has not, or not in this form."""
        self.written.append(mark)
        self.offsets.extend([at] * len(mark))
        self._is_spaced = mark.endswith(" ")


def _shown_end(match: re.Match[str]) -> int:
    """Return the end of what is shown of a role or link: `text <target>` shows its text."""
    code = match["code"]
    has_target = code.endswith(">") and (match["role"] or match["link"])
    title = code[: code.rfind("<")].rstrip() if has_target and "<" in code else ""
    return match.start("code") + len(title) if title else match.end("code")
