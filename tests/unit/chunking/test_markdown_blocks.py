"""The blocks of Markdown are those that markdown-it-py finds, and are found in linear time."""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from embedpipe.chunking._markdown_blocks import Block, markdown_blocks
from embedpipe.text import front_matter_end

PARSER = MarkdownIt("commonmark", {"maxNesting": 200}).enable("table").disable(["inline", "text_join"], True)
KINDS = {"heading_open": "heading", "code_block": "code", "html_block": "html", "table_open": "table", "hr": "rule"}
KINDS["fence"] = "fence"
MARKS = " \t\r\n>"  # a quote's marks on empty lines belong to one block or the next

Found = list[tuple[str, int, int, int, str, bool]]
"""Kind, start, end, level, title, and whether in a quote or an item."""


def theirs(text: str) -> Found:
    starts = [0, *(match.end() for match in re.finditer(r"\r\n?|\n", text)), len(text)]
    found: Found = []
    tokens = PARSER.parse(text)
    for place, token in enumerate(tokens):
        if token.type in KINDS:
            assert token.map is not None
            first, last = token.map
            level = int(token.tag[1]) if token.type == "heading_open" else 0
            title = plain(tokens[place + 1].content) if level else ""
            end = visible(text, starts[first], starts[min(last, len(starts) - 1)])
            found.append((KINDS[token.type], starts[first], end, level, title, token.level > 0))
    return found


def ours(text: str) -> Found:
    return [
        (block.kind, block.start, visible(text, block.start, block.end), block.level, title_of(block), block.nested)
        for block in markdown_blocks(text)
        if block.kind not in ("text", "matter")
    ]


def visible(text: str, start: int, end: int) -> int:
    return start + len(text[start:end].rstrip(MARKS))


def title_of(block: Block) -> str:
    return plain(block.title) if block.level else ""


def plain(title: str) -> str:
    """Attribute lists and closing marks are left out by the one only."""
    return " ".join(re.sub(r"(?:\{[^{]*\}|#|\s)+$", "", title).split())


def corpus() -> Iterator[str]:
    """Markdown of many authors: this project's pages, and the descriptions of the packages that are installed."""
    for path in sorted(Path(__file__).parents[3].glob("docs/**/*.md")):
        yield path.read_text(encoding="utf8")
    for folder in map(Path, sys.path):
        for path in sorted(folder.glob("*.dist-info/METADATA")):
            yield path.read_bytes().decode(errors="replace").partition("\n\n")[2]


def test_the_blocks_of_many_files_agree() -> None:
    """The disagreements are counted: none."""
    files = [text[front_matter_end(text) :] for text in corpus()]
    blocks, differing = 0, []
    for text in files:
        expected = theirs(text)
        blocks += len(expected)
        if ours(text) != expected:
            differing.append(text[:200])
    assert blocks > 3_000
    assert differing == []


TEXTS = Path(__file__).parents[4] / "shared" / "data" / "text" / "fastapi_docs.jsonl.gz"


@pytest.mark.skipif(not TEXTS.exists(), reason="the documentation lies outside the project")
def test_the_blocks_of_a_documentation_agree() -> None:
    with gzip.open(TEXTS, "rt", encoding="utf8") as lines:
        pages = [json.loads(line)["text"] for line in lines]
    bodies = [page[front_matter_end(page) :] for page in pages]
    differing = [body[:200] for body in bodies if ours(body) != theirs(body)]
    assert differing == []


ATOMS = [*"-*>=#|`ab\\[]:<", "# h", "## h #", "```", "````", "~~~", "``` a`b", "- ", "+ ", "1. ", "2) ", "10. ", "> "]
ATOMS += ["    ", "  ", " ", "   ", "\t", "\n", "\n", "\n", "\n\n", "\r", "\r\n", "b c", "===", "---", "- - -", "***"]
ATOMS += ["<div>", "</div>", "<pre>", "</pre>", "<!--", "-->", "<a>", "<a href='x'>", "<?", "?>", "<!X", "[a]: /u"]
ATOMS += ["[a]: /u 't'", "| a | b |", "|---|---|", "| a |", "|---|", "a | b", "-|-", ":-:|", "\\|", "   ---", "===  "]

KNOWN = re.compile(
    # markdown-it-py takes a heading, quote, item, fence or tag with a pipe as the header of a table. GitHub does not.
    r"^[ \t>]*(?:[-+*#>`~<]|\d+[.)]).*\|.*\n[ >\t]*[-|:]"
    # It ends link definitions before the line that may complete the paragraph. The reference parsers do not.
    r"|\[[^\]]*\]:.*\n"
    # It takes ">" behind four spaces as a quote's mark in the line below a quote or item.
    r"|^(?:\t| {4}|>|.*(?:>|[-+*.)] ).*\n).*(?:\t| {4}).*>",
    re.MULTILINE,
)


@given(text=st.lists(st.sampled_from(ATOMS), max_size=14).map("".join))
@settings(max_examples=3_000, deadline=None)
def test_the_blocks_of_anything_agree(text: str) -> None:
    assume(not KNOWN.search(re.sub(r"\r\n?", "\n", text)) and not front_matter_end(text))
    assert ours(text) == theirs(text)


@given(text=st.lists(st.sampled_from(ATOMS), max_size=30).map("".join))
@settings(max_examples=500, deadline=None)
def test_each_line_is_in_one_block(text: str) -> None:
    blocks = markdown_blocks(text)
    covered = [place for block in blocks for place in range(block.start, block.end)]
    assert covered == sorted(set(covered))
    assert all(char.isspace() for place, char in enumerate(text) if place not in set(covered))


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        (">       code\n>", [(13, "code"), (14, "text")]),
        (">       code\n>\n>       more", [(27, "code")]),
        ("- >     code\n  >\n  >\ntext", [(13, "code"), (21, "text"), (25, "text")]),
    ],
)
def test_lines_of_marks_behind_code_come_in_order(text: str, ends: list[tuple[int, str]]) -> None:
    assert [(block.end, block.kind) for block in markdown_blocks(text)] == ends


@pytest.mark.parametrize(
    ("text", "headings"),
    [
        ("- ```\n  # no\n  ```\n\n# Yes", ["Yes"]),  # a fence on an item's line
        ("1. ~~~\n# Yes\n", ["Yes"]),  # a fence ends with its item
        ("```inline``` code\n\n# Yes\n", ["Yes"]),
        ("<pre>\n# no\n\n# no\n</pre>\n# Yes", ["Yes"]),
        ("<!-- a\n\n# no\n-->\n\n# Yes", ["Yes"]),
        ("<script>\n\n# no\n</script>\n# Yes", ["Yes"]),
        ("<div>\n# no\n\n# Yes", ["Yes"]),
        ("Two lines\nof one title\n===\ntext", ["Two lines of one title"]),
        ("    # no\n\n\t# no\n\n # Yes", ["Yes"]),
        ("[a]: /url\n'title'\nYes\n---", ["Yes"]),
        ("# One\r\r## Two\rtext", ["One", "Two"]),
        ("# One\r\n\r\n## Two\r\n", ["One", "Two"]),
        ("#\tYes\t#\n#no\n\\# no\n####### no", ["Yes"]),
        ("- a\n- b\n===\nno\n===\n\nYes\n===", ["Yes"]),
        ("a\n***\nb\n---", ["b"]),
        ("\ufeff---\ntitle: no\n---\n# Yes", ["Yes"]),
        ("+++\ntitle = 'no'\n+++\n\nYes\n---", ["Yes"]),
        ("---\n\nno front matter\n\n---\n# Yes", ["Yes"]),
        ("> # of the quote\n\n- # of the item\n\n# Yes", ["Yes"]),
    ],
)
def test_headings(text: str, headings: list[str]) -> None:
    found = [block.title for block in markdown_blocks(text) if block.kind == "heading" and not block.nested]
    assert found == headings


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("| a | b |\n|---|---|\n| 1 | 2 |", "a | b"),
        ("a | b\n--|--\n1 | 2", "a | b"),
        ("|a\\|b|c|\n|:-:|-:|\n", "a|b | c"),
        ("- | a | b |\n  |---|---|\n  | 1 | 2 |", "a | b"),
        ("> a | b\n> -|-\n> 1 | 2", "a | b"),
        ("text\n| a |\n| - |\n| 1 |", "a"),
        ("| a | b |\n|---|\n| 1 | 2 |", None),
        ("```\n| a |\n|---|\n```", None),
    ],
)
def test_tables(text: str, header: str | None) -> None:
    assert [block.title for block in markdown_blocks(text) if block.kind == "table"] == ([header] if header else [])


HARD = {
    "quotes": "> " * 40 + "a\n",
    "quotes in one line": ">" * 100,
    "items": "- " * 40 + "a\n",
    "deeper and deeper": "".join("  " * depth + "- a\n" for depth in range(40)),
    "brackets": "[" * 100 + "\n",
    "definitions": "[a]: /b\n[c]: <d> 'e'\n",
    "open definitions": "[a]:\n===\n",
    "tags": "<a " + "b " * 40 + "\n",
    "comments": "<!-- a\n",
    "fences": "```a\n~~~b\n",
    "pipes": "|" * 40 + "\n" + "|-" * 40 + "\n",
    "lines of pipes": "a|b\n",
    "underlined": "a\n===\n",
    "stars": "* " * 50 + "a\n",
    "spaces": " " * 100 + "\n",
    "tabs": "\t" * 50 + "a\n",
    "carriage returns": "a\r",
    "paragraph": "a\n",
    "hashes": "#" * 90 + "\n",
}


@pytest.mark.parametrize("kind", HARD)
def test_the_steps_grow_with_the_length(kind: str) -> None:
    """Lines of Python are counted: ten times the text takes at most eleven times as many."""

    def steps(text: str) -> int:
        count = 0

        def trace(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal count
            count += 1
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            markdown_blocks(text)
        finally:
            sys.settrace(before)
        return count

    few = HARD[kind] * (4_000 // len(HARD[kind]))
    assert steps(few * 10) < 11 * steps(few) + 1_000
