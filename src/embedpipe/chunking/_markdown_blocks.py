"""Find the blocks of Markdown as CommonMark and GitHub's tables define them, without parsing what is inside a line.

The result agrees with markdown-it-py, which tests compare. This scanner takes a fifth of its time, and time that grows
with the length of the text only: each line is compared with the quotes and list items that are open, up to a limit.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, TypeAlias

from embedpipe.text import front_matter_end

Kind: TypeAlias = Literal["text", "heading", "fence", "code", "html", "table", "rule", "matter"]

_MAX_NESTING = 32
"""How many quotes and list items a line may be in. Deeper markers are text."""

_QUOTE = -1

_EOL = r"(?:\r\n?|\n|\Z)"
_LINE = re.compile(rf"([^\r\n]*){_EOL}")
_BLANK_LINES = re.compile(r"(?:[ \t]*+(?:\r\n?|\n))++")
_PLAIN_LINES = re.compile(rf"(?:[^\s#>`~*+\-_=<|:\[0-9][^\r\n]*+{_EOL})++")
"""Lines that can only be a paragraph's: they begin with none of the characters that any block begins with."""

_MARKS = frozenset("#>`~*+-_=<|:0123456789")
_HEADING = re.compile(r"(#{1,6})(?: +(.*))?$")
_FENCE = re.compile(r"(`{3,})[^`]*$|(~{3,})")
_UNDERLINE = re.compile(r"(=+|-+) *$")
_RULE = re.compile(r"(?:(?:\* *){3,}|(?:- *){3,}|(?:_ *){3,})$")
_ITEM = re.compile(r"([-+*]|(\d{1,9})[.)])( +|$)")
_CELL_END = re.compile(r"(?<!\\)\|")
_DELIMITER_ROW = re.compile(r"\|? *:?-+:? *(?:\| *:?-+:? *)*\|?$")

_HTML = (
    (r"<(?:script|pre|style|textarea)(?=[\s>]|$)", r"</(?:script|pre|style|textarea)>"),
    (r"<!--", r"-->"),
    (r"<\?", r"\?>"),
    (r"<![a-z]", r">"),
    (r"<!\[cdata\[", r"\]\]>"),
)
_HTML_TO_MARK = tuple((re.compile(start, re.IGNORECASE), re.compile(end, re.IGNORECASE)) for start, end in _HTML)
_HTML_NAMES = (
    "address|article|aside|base|basefont|blockquote|body|caption|center|col|colgroup|dd|details|dialog|dir|div|dl|dt|"
    "fieldset|figcaption|figure|footer|form|frame|frameset|h[1-6]|head|header|hr|html|iframe|legend|li|link|main|menu|"
    "menuitem|nav|noframes|ol|optgroup|option|p|param|search|section|summary|table|tbody|td|tfoot|th|thead|title|tr|"
    "track|ul"
)
_HTML_TO_BLANK = re.compile(rf"</?(?:{_HTML_NAMES})(?=\s|/?>|$)", re.IGNORECASE)
_VALUE = r"""(?:[^"'=<>`\x00-\x20]++|'[^']*+'|"[^"]*+")"""
_HTML_TAG = re.compile(
    rf"(?:<[A-Za-z][A-Za-z0-9-]*+(?:\s++[a-zA-Z_:][a-zA-Z0-9:._-]*+(?:\s*+=\s*+{_VALUE})?+)*+\s*+/?>"
    r"|</[A-Za-z][A-Za-z0-9-]*+\s*+>)\s*$"
)

_DEFINITION = re.compile(
    r"""\[(?=[^\]]*\S)(?:[^\[\]\\]|\\.)++\]:\s*(?:<(?:[^<>\n\\]|\\.)*+>|(?!<)(\S+))"""
    r"""(?:\s++(?:"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'|\((?:[^()\\]|\\.)*+\)))?[ \t]*+(?:\n|\Z)""",
    re.DOTALL,
)


class Block(NamedTuple):
    """A block of whole lines that holds no other block.

    Args:
        start: Where its first line begins, in code points, with the marks of the quotes and list items around it.
        end: Behind its last line.
        kind: What it is. "matter" is front matter.
        level: A heading's, 1 to 6.
        title: A heading's text, or the cells of a table's header row.
        nested: Whether it is in a quote or a list item.
        head: Where its second line begins, for a fence, or a table's first row below the header.
    """

    start: int
    end: int
    kind: Kind
    level: int = 0
    title: str = ""
    nested: bool = False
    head: int = 0


def markdown_blocks(text: str) -> list[Block]:
    """Return the blocks of the text, in order. Each line that is not blank is in one of them."""
    return _Scanner(text).run()


class _Scanner:
    """Reads line by line, and knows which quotes, items and block are open, as in the specification's appendix."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._blocks: list[Block] = []
        self._containers: list[int] = []  # _QUOTE, or how far an item's lines are indented
        self._bare = False  # the innermost item has nothing but its mark
        self._open: Kind | Literal[""] = ""
        self._start = self._end = self._head = 0
        self._marks_end = 0  # behind the lines of marks only that follow open code: whether they are in it is not known
        self._parts: list[str] = []  # of a paragraph's text
        self._title = ""
        self._header = ""  # the last line of a paragraph, which may turn out to be a table's header
        self._closing = _LINE  # what ends the open fence or HTML block

    def run(self) -> list[Block]:
        text, position, size = self._text, front_matter_end(self._text), len(self._text)
        if position:
            self._blocks.append(Block(0, position, "matter"))
        while position < size:
            if not self._containers:
                position = self._skip(position)
            if position < size:
                line = _LINE.match(text, position)
                assert line is not None  # noqa: S101 - it matches anything
                content = line[1].expandtabs(4) if "\t" in line[1] else line[1]
                self._read(content, position, line.end())
                position = line.end()
        self._close()
        return self._blocks

    def _skip(self, position: int) -> int:
        """Read as many lines as need no closer look, outside of quotes and lists. Return where they end."""
        text = self._text
        if self._open == "fence":
            closing = self._closing.search(text, position)
            self._end = closing.end() if closing else len(text)
            self._close()
            return self._end
        while self._open in ("", "text"):
            if plain := _PLAIN_LINES.match(text, position):
                if not self._open:
                    self._begin("text", position, plain.end())
                self._end = position = plain.end()
                self._parts.append(plain[0])
                self._header = _last_line(plain[0]) if "|" in plain[0] else ""
            blank = _BLANK_LINES.match(text, position)
            if blank is None:
                break
            self._close()
            position = blank.end()
        return position

    def _read(self, rest: str, start: int, end: int) -> None:
        depth, rest = self._continued(rest)
        matched = depth == len(self._containers)
        if matched and self._open in ("fence", "html"):
            self._inside(rest, end)
            return
        blank, lazy, opened = not rest or rest.isspace(), self._open == "text", False
        while not blank:
            body = rest.lstrip(" ")
            indent = len(rest) - len(body)
            if indent > 3 or body[0] not in _MARKS:
                break
            same = matched and not opened and lazy  # the line would continue the paragraph without being lazy
            if same and self._is_table(body):
                self._open_table(end)
                return
            if (inner := self._container(body, indent, depth, same=same)) is not None:
                rest, width = inner
                self._leave(depth)
                self._containers.append(width)
                depth, opened, lazy, matched = depth + 1, True, False, True
                blank = not rest or rest.isspace()
                self._bare = blank and width != _QUOTE
                continue
            if self._leaf(body, start, end, depth, same=same, lazy=lazy):
                return
            break
        self._rest(rest, start, end, depth, matched=matched, opened=opened, lazy=lazy)

    def _continued(self, rest: str) -> tuple[int, str]:
        """Return how many of the open quotes and items the line continues, and the line without their marks."""
        for depth, width in enumerate(self._containers):
            body = rest.lstrip(" ")
            indent = len(rest) - len(body)
            if width == _QUOTE:
                if indent > 3 or not body.startswith(">"):
                    return depth, rest
                rest = body[2:] if body.startswith("> ") else body[1:]
            elif body and indent >= width:
                rest = rest[width:]
            elif body or (self._bare and depth == len(self._containers) - 1):
                return depth, rest
        return len(self._containers), rest

    def _inside(self, rest: str, end: int) -> None:
        """Read a line of the open fence or HTML block."""
        blank = not rest or rest.isspace()
        if self._open == "fence":
            self._end = end
            if self._closing.match(rest):
                self._close()
        elif self._closing is _LINE:  # an HTML block that ends at a blank line
            if blank:
                self._close()
            else:
                self._end = end
        else:
            self._end = end
            if self._closing.search(rest):
                self._close()

    def _container(self, body: str, indent: int, depth: int, *, same: bool) -> tuple[str, int] | None:
        """Return the line inside the quote or item that it opens, and the item's width, or None."""
        if depth >= _MAX_NESTING:
            return None
        if body[0] == ">":
            return (body[2:] if body.startswith("> ") else body[1:]), _QUOTE
        item = _ITEM.match(body)
        if item is None or _RULE.match(body) or (same and body[0] == "-" and _UNDERLINE.match(body)):
            return None
        blank = item.end() == len(body)
        if same and (blank or (item[2] is not None and int(item[2]) != 1)):
            return None
        spaces = 1 if blank or len(item[3]) > 4 else len(item[3])
        return body[len(item[1]) + spaces :], indent + len(item[1]) + spaces

    def _leaf(self, body: str, start: int, end: int, depth: int, *, same: bool, lazy: bool) -> bool:
        """Open the block that the line begins, unless that is a paragraph or indented code. Return whether it did."""
        if body[0] == "#" and (heading := _HEADING.match(body)):
            self._leave(depth)
            self._blocks.append(Block(start, end, "heading", len(heading[1]), _title(heading[2] or ""), depth > 0))
        elif body[0] in "`~" and (fence := _FENCE.match(body)):
            self._leave(depth)
            self._begin("fence", start, end)
            mark = fence[1] or fence[2]
            edge = rf"(?<![^\r\n]) {{0,3}}{mark[0]}{{{len(mark)},}}[ \t]*{_EOL}"
            self._closing, self._head = re.compile(edge), end
        elif body[0] == "<" and (closing := _html_end(body, tag=not lazy)):
            self._leave(depth)
            self._begin("html", start, end)
            self._closing = closing
            if closing is not _LINE and closing.search(body):
                self._close()
        elif same and _UNDERLINE.match(body) and self._underlined(end, 1 if body[0] == "=" else 2):
            pass
        elif _RULE.match(body):
            self._leave(depth)
            self._blocks.append(Block(start, end, "rule", nested=depth > 0))
        else:
            return False
        return True

    def _rest(self, rest: str, start: int, end: int, depth: int, *, matched: bool, opened: bool, lazy: bool) -> None:
        """Read a line that opens no block, or only quotes and items: blank, text, or indented code."""
        code = rest.startswith("    ")
        if not rest or rest.isspace():
            if not matched or (self._open not in ("", "code")):
                self._leave(depth)
            if start < end and not self._text[start:end].isspace():  # a line of marks only
                if self._open:
                    self._marks_end = end
                else:
                    self._blocks.append(Block(start, end, "text", nested=True))
            return
        if lazy:
            self._end = end
            self._parts.append(rest.lstrip(" ") + "\n")
            self._header = rest.strip() if matched and not code and "|" in rest else ""
        elif matched and not opened and self._open == ("code" if code else "table"):
            self._end = end
        else:
            self._leave(depth)
            self._begin("code" if code else "text", start, end)
            self._parts.append(rest.lstrip(" ") + "\n")
            self._header = rest.strip() if "|" in rest and not code else ""
        self._bare = False

    def _is_table(self, body: str) -> bool:
        """Return whether the line is the row below a table's header, which is the last line of the paragraph."""
        if not self._header or body[0] not in "|-:" or body[:2] == "- " or len(body.rstrip()) < 2:
            return False
        row = body.rstrip()
        if not _DELIMITER_ROW.match(row):
            return False
        return len(_cells(self._header)) == len(_cells(row))

    def _open_table(self, end: int) -> None:
        """Make the paragraph's last line the header of a table, and close the paragraph before it."""
        text, line = self._text, self._end
        line -= 2 if text.startswith("\r\n", line - 2) and line >= 2 else 1
        begun = max(text.rfind("\n", self._start, line), text.rfind("\r", self._start, line), self._start - 1) + 1
        header = self._header
        if begun > self._start:
            self._end, behind = begun, self._end
            self._close()
            self._begin("table", begun, behind)
        self._open, self._end, self._head = "table", end, end
        self._title = " | ".join(cell.strip().replace("\\|", "|") for cell in _cells(header))

    def _underlined(self, end: int, level: int) -> bool:
        """Make the paragraph a heading. Return False if all of it defines links: the line then is no underline."""
        text = "\n".join(line.strip(" \t") for line in _lines("".join(self._parts)))
        behind = 0
        while behind < len(text) and (definition := _definition(text, behind)):
            behind = definition
        if behind:  # the definitions are a block of their own
            begun, stop = self._start, self._end
            for _ in range(text.count("\n", 0, behind)):
                line = _LINE.match(self._text, begun)
                assert line is not None  # noqa: S101 - it matches anything
                begun = line.end()
            self._end = begun if behind < len(text) else stop
            self._close()
            if behind >= len(text):
                return False
            self._begin("text", begun, stop)
        start, nested, self._open = self._start, bool(self._containers), ""
        self._blocks.append(Block(start, end, "heading", level, _title(" ".join(text[behind:].split("\n"))), nested))
        return True

    def _begin(self, kind: Kind, start: int, end: int) -> None:
        self._open, self._start, self._end = kind, start, end
        self._parts, self._header = [], ""

    def _leave(self, depth: int) -> None:
        """Close the open block, and the quotes and items deeper than that."""
        self._close()
        del self._containers[depth:]
        self._bare = False

    def _close(self) -> None:
        if self._open:
            title, head = (self._title if self._open == "table" else ""), self._head
            self._blocks.append(Block(self._start, self._end, self._open, 0, title, bool(self._containers), head))
            if self._marks_end > self._end:
                self._blocks.append(Block(self._end, self._marks_end, "text", nested=True))
            self._open, self._parts, self._header, self._head, self._marks_end = "", [], "", 0, 0


def _html_end(body: str, *, tag: bool) -> re.Pattern[str] | None:
    """Return what ends the HTML block that the line begins: `_LINE` for a blank line. None if it begins none."""
    for start, end in _HTML_TO_MARK:
        if start.match(body):
            return end
    return _LINE if _HTML_TO_BLANK.match(body) or (tag and _HTML_TAG.match(body)) else None


def _lines(text: str) -> list[str]:
    """Return the lines, without a last empty one. `str.splitlines` also cuts at other characters."""
    return re.split(r"\r\n?|\n", text.rstrip("\r\n"))


def _last_line(text: str) -> str:
    """Return the last line if it may be a table's header."""
    last = _lines(text)[-1]
    return last if "|" in last else ""


def _cells(row: str) -> list[str]:
    """Return the cells of a table's row. A pipe behind a backslash is text."""
    cells = _CELL_END.split(row.strip())
    if cells and not cells[0]:
        del cells[0]
    if cells and not cells[-1]:
        del cells[-1]
    return cells


def _definition(text: str, place: int) -> int:
    """Return where the link reference definition that begins there ends, 0 if none does."""
    found = _DEFINITION.match(text, place)
    if found is None:
        return 0
    bare = re.sub(r"\\.", "", found[1] or "")
    return found.end() if bare.count("(") == bare.count(")") else 0


def _title(line: str) -> str:
    """Return a heading's text without its closing marks and without an attribute list such as { #anchor }."""
    line = line.strip()
    if line.endswith("}") and "{" in line:
        line = line[: line.rindex("{")].rstrip()
    bare = line.rstrip("#")
    return bare.rstrip() if not bare or bare[-1].isspace() else line
