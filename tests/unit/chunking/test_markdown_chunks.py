"""Headings stay with their text, and later chunks of a table know its header."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe.chunking import MarkdownChunker, RecursiveChunker
from embedpipe.chunking._measure import Unit
from embedpipe.text import token_counter
from embedpipe.types import Chunk, Chunker

SIZE = 120
CHUNKERS: dict[str, Chunker] = {
    "Markdown": MarkdownChunker(chunk_size=SIZE),
    "Markdown, tokens": MarkdownChunker(chunk_size=30, unit="tokens"),
    "recursive": RecursiveChunker(chunk_size=SIZE, language="markdown"),
    "recursive, overlap": RecursiveChunker(chunk_size=SIZE, chunk_overlap=20, language="markdown"),
    "recursive, tokens": RecursiveChunker(chunk_size=30, unit="tokens", language="markdown"),
}
MARK = r"(?:#{1,6} [^\n]*|[^\n]+\n(?:=+|-+)|---|\(\w+\)=|<a id=[^\n]*></a>|<!--[^\n]*-->|:::\{?\w*\}?"
MARK += r"|```\{toctree\}\n[^`]*```)"
ONLY_MARKS = re.compile(rf"(?:{MARK}\s*)+\Z")
WORDS = "Green tea is steeped at eighty degrees for two minutes, and black tea takes boiling water. " * 3


def texts(chunker: Chunker, text: str) -> list[str]:
    chunks = chunker.chunk(text)
    assert all(text[chunk.start_index : chunk.end_index] == chunk.text for chunk in chunks)
    return [chunk.text for chunk in chunks]


@pytest.mark.parametrize("name", CHUNKERS)
@pytest.mark.parametrize(
    "text",
    [
        f"# Tea\n\n{WORDS}",
        f"# Tea\n## Green\n\n### Sencha\n\n{WORDS}",
        f"{WORDS}\n\n# Tea\n\n{WORDS}\n\n## Empty\n\n# Next\n\n{WORDS}\n\n# References",
        f"Tea\n===\n\n{WORDS}\n\nGreen\n---\n{WORDS}",
        f"(tea)=\n# Tea\n\n{WORDS}\n\n(green)=\n\n## Green\n{WORDS}\n\n---\n\n# Last\n\n{WORDS}\n\n---\n",
        f'<a id="tea"></a>\n\n# Tea\n\n<!-- lint off -->\n\n{WORDS}\n\n```{{toctree}}\n:hidden:\nstart\n```\n',
        "# Tea\n\n```python\n" + "".join(f"steep(minutes={n}, degrees=80)\n" for n in range(9)) + "```\n",
        "# Tea\n\n| kind | degrees |\n|---|---|\n" + "".join(f"| kind {n} | {n} |\n" for n in range(30)),
        "# Tea\n\n" + "".join(f"- item number {n} of a long list\n" for n in range(9)),
        f"# Tea\r\n\r\n{WORDS}\r\n\r\n## Green\r\n\r\n{WORDS}",
        "# 茶\n\n" + "绿茶用八十度的水泡两分钟，红茶用开水。" * 20,
        f"> # Quoted\n>\n> {WORDS}\n\n- # Listed\n\n  {WORDS}",
        f"::: {{note}}\n{WORDS}\n:::\n\n# Tea\n\n:::{{note}}\n\n{WORDS}\n\n:::",
    ],
)
def test_no_chunk_is_a_heading_alone(name: str, text: str) -> None:
    found = texts(CHUNKERS[name], text)
    assert len(found) > 1
    assert [each for each in found if ONLY_MARKS.match(each)] == []
    assert [each for each in found[:-1] if re.search(r"\n#+ [^\n]*\Z", each)] == []


@pytest.mark.parametrize("name", CHUNKERS)
@pytest.mark.parametrize("text", ["# Only", "# One\n\n## Two\n\n# Three\n", "---", "<!-- note -->\n\n# One"])
def test_a_document_of_headings_alone_is_one_chunk(name: str, text: str) -> None:
    assert texts(CHUNKERS[name], text) == [text.strip()]


@pytest.mark.parametrize("name", ["Markdown", "recursive"])
def test_a_heading_without_room_for_a_word_stands_alone(name: str) -> None:
    heading = "# " + "h" * (SIZE - 5)
    assert texts(CHUNKERS[name], f"{heading}\n\nSteeped.")[0] == heading


def test_a_heading_without_text_is_in_the_next_section() -> None:
    chunks = MarkdownChunker().chunk("# Tea\n\n## Empty\n\n## Green\n\nSteep it.\n\n# Empty\n")
    assert [(chunk.text, chunk.metadata["heading_path"]) for chunk in chunks] == [
        ("# Tea\n\n## Empty\n\n## Green\n\nSteep it.\n\n# Empty", ["Tea", "Green"])
    ]


def test_a_paragraph_above_a_line_is_a_heading_with_a_short_title() -> None:
    chunks = MarkdownChunker(chunk_size=SIZE).chunk(f"{WORDS * 9}\n---\n{WORDS}")
    assert chunks[-1].metadata["heading"] == (WORDS * 9)[:300]


PARTS = ["# Tea", "## Green { #green }", "Black\n===", "Tea.", WORDS[:90], WORDS[:200], "- one\n- two", "---", "(a)="]
PARTS += ["```py\n# comment\nsteep()\n```", "| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 12, "> quoted", "<!-- note -->"]
PARTS += ["1. one\n\n   # Inner\n\n   text.", "<div>\n", "\t code", "[a]: /url", "| a |\n|---|"]


@pytest.mark.parametrize("before", ["", "Text.\n\n", "Text.\n\n## Drinks\n\n"])
def test_a_heading_goes_with_the_beginning_of_a_heading_too_long_for_a_chunk(before: str) -> None:
    paragraph = "Green tea is steeped at eighty degrees for two minutes, and black tea takes boiling water.\nBlack"
    chunks = MarkdownChunker(chunk_size=100).chunk(f"{before}# Tea\n\n{paragraph}\n===\n")
    assert any("# Tea\n\nGreen tea" in chunk.text for chunk in chunks)


@pytest.mark.parametrize("before", ["", "Tea.\n\n"])
@pytest.mark.parametrize("line", ["===", "---"])
@pytest.mark.parametrize("behind", ["# Tea", "# Tea\n\n## Green", "---\n\n# Tea", "(a)=\n# Tea"])
def test_headings_behind_a_heading_as_long_as_a_chunk_go_with_its_end(before: str, line: str, behind: str) -> None:
    paragraph = "Green tea is steeped at eighty degrees for two minutes, and black tea takes boiling water.\nBlack"
    found = texts(MarkdownChunker(chunk_size=100), f"{before}{paragraph}\n{line}\n\n{behind}\n")
    assert found[-1] == f"Black\n{line}\n\n{behind}"


@given(
    text=st.lists(st.tuples(st.sampled_from(PARTS), st.sampled_from(["\n\n", "\n", "\r\n\r\n"])), max_size=12).map(
        lambda parts: "".join(map("".join, parts))
    ),
    size=st.integers(20, 130),
    unit=st.sampled_from(["characters", "tokens"]),
    recursive=st.booleans(),
    overlap=st.integers(0, 15),
)
@settings(max_examples=600, deadline=None)
def test_what_is_promised_holds_for_any_markdown(
    text: str, size: int, unit: Unit, recursive: bool, overlap: int
) -> None:
    chunker: Chunker = MarkdownChunker(chunk_size=size, unit=unit)
    if recursive:
        chunker = RecursiveChunker(chunk_size=size, chunk_overlap=overlap, unit=unit, language="markdown")
    chunks = chunker.chunk(text)
    length = len if unit == "characters" else token_counter("cl100k_base").count
    covered: set[int] = set()
    for chunk in chunks:
        assert text[chunk.start_index : chunk.end_index] == chunk.text
        assert length(chunk.embedded_text) <= size
        covered.update(range(chunk.start_index, chunk.end_index))
    assert all(char.isspace() for place, char in enumerate(text) if place not in covered)
    assert all(a.start_index < b.start_index and a.end_index < b.end_index for a, b in pairwise(chunks))
    room = all(length(run[0]) + 20 <= size for run in re.finditer(rf"(?:{MARK}\s*)+", text))  # for a word behind them
    if length(text.strip()) > size >= 100 and room and not ONLY_MARKS.match(text):
        assert [chunk.text for chunk in chunks if re.fullmatch(r"(?:(?:#+ .*|---|<!--.*-->)\s*)+", chunk.text)] == []


def rows(columns: str = "| part | shelf | price |\n|---|---|---|\n", row: str = "| hinge {} | 4 | 30 |\n") -> str:
    return columns + "".join(row.format(number) for number in range(60))


@pytest.mark.parametrize("name", CHUNKERS)
@pytest.mark.parametrize(
    ("text", "header"),
    [
        (f"# Stock\n\n{rows()}", "part | shelf | price"),
        (f"Of the stock.\n\n{rows()}\n\n# Next\n\nText.", "part | shelf | price"),
        (rows("part | shelf | price\n--- | :-: | --:\n", "hinge {} | 4 | 30\n"), "part | shelf | price"),
        (rows("| a\\|b | shelf |\n|---|---|\n", "| hinge {} | x \\| y |\n"), "a|b | shelf"),
        ("- Stock:\n\n" + rows("  | part | price |\n  |---|---|\n", "  | hinge {} | 4 |\n"), "part | price"),
        (rows("> | part | price |\n> |---|---|\n", "> | hinge {} | 4 |\n"), "part | price"),
        (rows().replace("\n", "\r\n"), "part | shelf | price"),
    ],
)
def test_later_chunks_of_a_table_have_its_header(name: str, text: str, header: str) -> None:
    chunks = CHUNKERS[name].chunk(text)
    assert all(text[chunk.start_index : chunk.end_index] == chunk.text for chunk in chunks)
    first = text.index("hinge 0 ")
    later = [chunk for chunk in chunks if chunk.start_index > first and "hinge" in chunk.text]
    assert len(later) > 5
    assert {chunk.header for chunk in later} == {header}
    assert all(chunk.header is None for chunk in chunks if chunk not in later)


@pytest.mark.parametrize("name", CHUNKERS)
def test_a_wide_header_leaves_room_for_rows(name: str) -> None:
    columns = " | ".join(f"column {number}" for number in range(80))
    text = f"{columns}\n{' | '.join(['---'] * 80)}\n" + f"{' | '.join(['1'] * 80)}\n" * 5
    chunks = CHUNKERS[name].chunk(text)
    headers = {chunk.header for chunk in chunks[1:]}
    assert len(headers) == 1
    assert str(headers.pop()).startswith("column 0 | column 1")
    assert all(len(chunk.embedded_text) <= SIZE for chunk in chunks if "tokens" not in name)


def test_a_table_without_a_header_gives_none() -> None:
    chunks: list[Chunk] = MarkdownChunker(chunk_size=100).chunk(rows("|  |  |\n|---|---|\n", "| hinge {} | 4 |\n"))
    assert {chunk.header for chunk in chunks} == {None}


def test_other_separators_are_left_alone() -> None:
    text = "# Tea\n\n" + WORDS
    assert RecursiveChunker(chunk_size=SIZE, separators=("\n\n", "\n", " ", "")).chunk(text)[0].text == "# Tea"
