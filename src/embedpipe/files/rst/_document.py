"""reStructuredText as Markdown, line by line in linear time.

docutils is not used: it stops at directives and roles of Sphinx, which most files of this format are full of.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from embedpipe.files._blocks import left_out as counted
from embedpipe.files._decoding import decode
from embedpipe.files.parsed import Parsed, ReadOptions
from embedpipe.files.rst import _tables
from embedpipe.files.rst._inline import Inline

_MAX_DEPTH = 20
_LINE = re.compile(r"([!-/:-@\[-`{-~])\1+\s*")
_DIRECTIVE = re.compile(r"(?:\|(?P<name>[^|\n]+)\| +)?(?P<kind>[A-Za-z][\w.+:-]*)::(?:\s+(?P<rest>.*)|$)")
_TARGET = re.compile(r"_(`[^`]+`|(?:[^:\\]|\\.)+):")
_NOTE = re.compile(r"(\[(?:#?[\w-]+|#|\*)\])\s+(.*)")
_FIELD = re.compile(r":([A-Za-z][^:\n]*):(?:\s+(.*)|$)")
_NUMBERED = re.compile(r"^(\s*)#\.(?=\s)", re.MULTILINE)
_LINE_BLOCK = re.compile(r"^(\s*)\| ?", re.MULTILINE)
_GRID = re.compile(r"\+(?:-+\+)+")

_CODE = "code code-block sourcecode parsed-literal testcode testoutput doctest prompt ipython".split()  # noqa: SIM905
_ADMONITIONS = """
note warning tip important caution danger attention hint error seealso todo
""".split()  # noqa: SIM905 - read as a list of words
_SINCE = {
    "versionadded": "Added in",
    "versionchanged": "Changed in",
    "deprecated": "Deprecated since",
    "versionremoved": "Removed in",
}
_TITLED = "admonition topic sidebar rubric centered dropdown tab-item tab group-tab code-tab card".split()  # noqa: SIM905
_PASSED_ON = """
only container compound epigraph highlights pull-quote class hlist glossary tab-set grid tabs
""".split()  # noqa: SIM905
_INVISIBLE = """
contents toctree index meta highlight default-role default-domain sectnum role raw currentmodule py:currentmodule
tabularcolumns testsetup testcleanup title
""".split()  # noqa: SIM905
_ELSEWHERE = """
include literalinclude automodule autoclass autofunction automethod autoattribute autosummary
""".split()  # noqa: SIM905


def parse(data: bytes, name: str, options: ReadOptions) -> Parsed:
    """Return the text with its headings, code, tables and notes as Markdown. The first heading is the title.

    Comments, addresses of links and lists of contents are left out. Nothing is included from other files.

    Raises:
        InputError: If the file is no text, or its encoding cannot be told.
    """
    decoded = decode(data, name, options.encoding)
    content = decoded.text.expandtabs(8) if "\t" in decoded.text else decoded.text
    lines = [line.rstrip() for line in content.split("\n")]
    converter = _Converter(lines)
    text = "\n\n".join(block for block in converter.blocks(lines, 0) if block.strip()) + "\n"
    left_out = [*decoded.left_out, *counted(converter.left_out)]
    return Parsed(text, {**converter.metadata, **decoded.metadata}, left_out=left_out)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _dedented(lines: list[str]) -> list[str]:
    least = min((_indent(line) for line in lines if line), default=0)
    return [line[least:] for line in lines]


def _trimmed(lines: list[str]) -> list[str]:
    start, end = 0, len(lines)
    while start < end and not lines[start]:
        start += 1
    while end > start and not lines[end - 1]:
        end -= 1
    return lines[start:end]


def _fenced(lines: list[str], language: str = "") -> str:
    fence = "````" if any("```" in line for line in lines) else "```"
    return "\n".join([fence + language, *_dedented(_trimmed(lines)), fence])


class _Converter:
    def __init__(self, lines: list[str]) -> None:
        self.metadata: dict[str, Any] = {}
        self.left_out: Counter[str] = Counter()
        self._styles: list[tuple[str, bool]] = []
        explicit = [line.lstrip()[3:] for line in lines if line.lstrip().startswith(".. ")]
        targets = [found[1].strip("`").lower() for line in explicit if (found := _TARGET.match(line))]
        directives = [found for line in explicit if line[:1] == "|" and (found := _DIRECTIVE.match(line))]
        replaced = {found["name"]: found["rest"] or "" for found in directives if found["kind"] == "replace"}
        self._inline = Inline(replaced, frozenset(targets))

    def blocks(self, lines: list[str], depth: int) -> list[str]:
        """Return the blocks of these lines as Markdown."""
        found: list[str] = []
        at = 0
        while at < len(lines):
            line = lines[at]
            indent = _indent(line)
            if not line:
                at += 1
            elif line[indent:].startswith(".. ") or line[indent:] == "..":
                end = self._end_of_block(lines, at + 1, indent)
                block = self._explicit(line[indent + 3 :], _dedented(lines[at + 1 : end]), depth)
                found += [_indented(text, indent) for text in block]
                at = end
            elif line.startswith("__ "):
                at += 1
            elif heading := self._heading(lines, at):
                text, at = heading
                found.append(text)
            elif _GRID.fullmatch(line[indent:]) or _tables.is_simple_border(line):
                text, at = self._table(lines, at, indent)
                found.append(text)
            else:
                texts, at = self._paragraph(lines, at, indent)
                found += texts
        return found

    def _end_of_block(self, lines: list[str], at: int, indent: int) -> int:
        """Return where lines end that are blank or indented deeper."""
        end = at
        while at < len(lines) and (not lines[at] or _indent(lines[at]) > indent):
            at += 1
            if lines[at - 1]:
                end = at
        return end

    def _heading(self, lines: list[str], at: int) -> tuple[str, int] | None:
        """Return the heading that begins here, and where it ends. Its level is the place of its style in the file."""
        line, below = lines[at], lines[at + 1] if at + 1 < len(lines) else ""
        over, under = _LINE.fullmatch(line), _LINE.fullmatch(below)
        if over and below and not under and at + 2 < len(lines) and lines[at + 2] == line:
            title, style, end = below.strip(), (line[0], True), at + 3
        elif not over and line[0] != " " and under and len(below) >= min(4, len(line)):
            title, style, end = line, (below[0], False), at + 2
        elif over and len(line) >= 4 and not below:
            return "---", at + 1
        else:
            return None
        if style not in self._styles:
            self._styles.append(style)
        title = self._inline.markdown(title)
        self.metadata.setdefault("title", title)
        return f"{'#' * min(6, 1 + self._styles.index(style))} {title}", end

    def _table(self, lines: list[str], at: int, indent: int) -> tuple[str, int]:
        end = at + 1
        if lines[at][indent] == "+":
            while end < len(lines) and lines[end]:
                end += 1
        else:
            while end < len(lines) and not (
                _tables.is_simple_border(lines[end]) and (end + 1 == len(lines) or not lines[end + 1])
            ):
                end += 1
            end += 1
        table = [line[indent:] for line in lines[at:end]]
        text = _tables.grid(table) if table[0][0] == "+" else _tables.simple(table)
        shown = _fenced(table) if text is None else self._inline.markdown(text)
        return _indented(shown, indent), min(end, len(lines))

    def _paragraph(self, lines: list[str], at: int, indent: int) -> tuple[list[str], int]:
        """Return a paragraph, with the literal block that follows if it ends with "::"."""
        end = at
        while end < len(lines) and lines[end] and not (end > at and lines[end].lstrip().startswith(".. ")):
            end += 1
        paragraph = lines[at:end]
        if paragraph[0].lstrip().startswith(">>> "):
            return [_indented(_fenced(paragraph, "python"), indent)], end
        literal = paragraph[-1].endswith("::")
        text = "\n".join(paragraph)
        if literal:
            text = text[:-2].rstrip() if text[:-2].endswith((" ", "\n")) or text == "::" else text[:-1]
        if text.lstrip().startswith(("| ", "#.")):
            text = _LINE_BLOCK.sub(r"\1", _NUMBERED.sub(r"\g<1>1.", text))
        found = [self._inline.markdown(text)]
        if literal:
            stop = self._end_of_block(lines, end, indent)
            found.append(_indented(_fenced(lines[end:stop]), indent))
            end = stop
        return found, end

    def _explicit(self, first: str, body: list[str], depth: int) -> list[str]:
        """Return a directive or note as Markdown. Comments and targets are none."""
        note = _NOTE.match(first)
        if note:
            return [self._inline.markdown("\n".join([f"{note[1]} {note[2]}", *_trimmed(body)]))]
        found = _DIRECTIVE.match(first)
        if not found or found["name"]:
            return []
        if depth == _MAX_DEPTH:
            return ["\n".join([first, *body])]
        options: dict[str, str] = {}
        arguments = [found["rest"]] if found["rest"] else []
        place = 0
        while place < len(body) and body[place]:  # the arguments go on, then come the options
            option = _FIELD.fullmatch(body[place])
            if option:
                options[option[1]] = option[2] or ""
            else:
                arguments.append(body[place].strip())
            place += 1
        content = _trimmed(body[place:])
        return self._directive(found["kind"].lower(), arguments, options, content, depth)

    def _directive(  # noqa: C901 - one branch for each kind
        self, kind: str, arguments: list[str], options: dict[str, str], content: list[str], depth: int
    ) -> list[str]:
        argument = self._inline.markdown(" ".join(arguments))
        if kind in _CODE:
            code = _fenced(content, " ".join(arguments[:1])) if content else _fenced(arguments)
            return [self._inline.markdown(options.get("caption", "")), code]
        if kind == "math":
            return ["\n".join(["$$", *arguments, *content, "$$"])]
        if kind in _INVISIBLE:
            return []
        if kind in ("image", "figure"):
            self.left_out["picture without a description"] += not (options.get("alt") or content)
            return [self._inline.markdown(options.get("alt", "")), *self.blocks(content, depth + 1)]
        if kind in _ELSEWHERE:
            self.left_out["part of another file"] += 1
            return [argument]
        if kind == "csv-table":
            table = _tables.of_csv(content, options.get("header", ""), options.get("delim", ","))
            return [argument, self._inline.markdown(table)]
        if kind == "list-table":
            return [argument, self._inline.markdown(_tables.of_list(content))]
        if kind in _SINCE:  # the version is one word, what follows is content
            version, _, rest = argument.partition(" ")
            return [f"**{_SINCE[kind]} {version}:** {rest}".strip(), *self.blocks(content, depth + 1)]
        within = self.blocks(content, depth + 1)
        if kind in _ADMONITIONS:
            return [f"**{kind.capitalize()}:** {argument}".strip(), *within]
        if kind in _PASSED_ON:
            return within
        if kind in _TITLED or kind == "table":
            return [f"**{argument}**", *within] if argument else within
        signatures = [f"`{signature}`" for signature in arguments]
        return ["\n".join(signatures), *within]


def _indented(text: str, indent: int) -> str:
    return "\n".join(" " * indent + line if line else line for line in text.split("\n")) if indent else text
