"""The passage of a text that fits a query, the words in it that match, and a text without its markup."""

from __future__ import annotations

import pickle
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedpipe.errors import InputError
from embedpipe.text import Snippet, best_snippet
from embedpipe.text.readable import readable
from embedpipe.types import Chunk, SearchResult

TEXTS = st.text(
    st.sampled_from(list('ab é\u0301 .!?,\n|-#*`[]()<>:{}=~_1茶を淹れるשלוםกา\u0e31हि\u200d😀\\"')), max_size=300
)
ADDED = "…·;:•⏎ "

GUIDE = """## Green tea

Tea is a plant. Green tea is **steeped** at 80 °C, see the [`guide`](https://example.org/a_(b)).
Hotter water makes it bitter. It is drunk in Japan.

## Black tea

Black tea takes boiling water and four minutes.
"""


def snippet(text: str, query: str, most: int = 240, at: int = 0) -> Snippet:
    return best_snippet(text, query, most, start_index=at, end_index=at + len(text))


def marked(found: Snippet) -> list[str]:
    return [found.text[span.start : span.end] for span in found.spans]


def is_subsequence(part: str, whole: str) -> bool:
    signs = iter(whole)
    return all(sign in signs for sign in part)


@given(TEXTS | st.text(max_size=200), st.text(max_size=20) | TEXTS, st.integers(1, 80), st.integers(0, 1000))
def test_a_snippet_is_a_part_of_the_text_within_the_limit(text: str, query: str, most: int, at: int) -> None:
    found = snippet(text, query, most, at)
    assert len(found.text) <= most
    assert at <= found.start_index <= found.end_index <= at + len(text)
    original = text[found.start_index - at : found.end_index - at]
    assert is_subsequence(re.sub(f"[{ADDED}]", "", found.text), original)
    assert bool(found.text) == bool(text.strip())
    assert "".join(part for part, _ in found.parts) == found.text
    done = 0
    for span in found.spans:
        assert done <= span.start < span.end <= len(found.text)
        done = span.end
        assert found.start_index <= span.start_index < span.end_index <= found.end_index
        shown = found.text[span.start : span.end]
        assert is_subsequence(shown, text[span.start_index - at : span.end_index - at])
        assert text[span.start_index - at] == shown[0]
        assert text[span.end_index - at - 1] == shown[-1]


@given(TEXTS)
def test_each_character_of_a_readable_text_knows_where_it_was(text: str) -> None:
    plain = readable(text)
    assert len(plain.text) == len(plain.offsets)
    assert list(plain.offsets) == sorted(plain.offsets)
    assert all(text[at] == sign for sign, at in zip(plain.text, plain.offsets, strict=True) if sign not in ADDED)
    ends = [0, *(edge for span in plain.sentences for edge in span), len(plain.text)]
    assert ends == sorted(ends)
    assert all(plain.text[start:end].strip() == plain.text[start:end] for start, end in plain.sentences)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("# Green *tea* #1\nSteep **it**.", "Green tea #1: Steep it."),
        ("Title\n=====\n\nText.", "Title: Text."),
        ("| a | b |\n|---|:-:|\n| `x` | |\n| y \\| z | **w** |", "a · b; x; y | z · w"),
        ("```python\nx = f(*args)  # one\n\ny = 2\n```\nText", "x = f(*args) # one ⏎ y = 2 Text"),
        (":::{note} Beware\n:class: tip\nof it.\n:::", "Beware of it."),
        ("```{note}\nof it.\n```\nText.", "of it. Text."),
        (".. code-block:: python\n   :linenos:\n\n   x = 1", "x = 1"),
        (".. warning:: Hot\n\nSee :ref:`here <tea-water>` and {doc}`how-to/tea`.", "Hot See here and how-to/tea."),
        ("See `the page <https://example.org>`_ or <https://example.org>.", "See the page or https://example.org."),
        ("[![build](a.svg)](b) ![a cup](cup.png) [ref]", "build a cup [ref]"),
        ("> quoted\n> text", "quoted text"),
        ("- one\n- [two](b)", "• one • two"),
        ("a<br/>b <p class='x'>c</p> 1 <2 <!-- no --> d", "ab c 1 <2 d"),
        ("f(*args, **options) and 2*3*4, object.__init__ and a_b_c", None),
        (">>> 1 + 1", None),
        ("---", None),
        ("``` ```", None),
        ("שלום *עולם*", "שלום עולם"),
    ],
)
def test_markup_reads_as_text(text: str, shown: str | None) -> None:
    assert readable(text).text == (text if shown is None else shown)


def test_the_best_sentences_come_whole() -> None:
    steeped = "Tea is a plant. Green tea is steeped at 80 °C, see the guide."
    assert snippet(GUIDE, "temperature for steeping", len(steeped)).text == steeped
    assert snippet(GUIDE, "boiling", 60).text == "Black tea: Black tea takes boiling water and four minutes."
    assert snippet(GUIDE, "boiling", 50).text == "Black tea takes boiling water and four minutes."
    assert snippet(GUIDE, "", 30).text == "Green tea: Tea is a plant."
    assert snippet(GUIDE, "nothing matches", 30).text == "Green tea: Tea is a plant."


def test_a_span_is_where_the_document_has_it() -> None:
    found = snippet(GUIDE, "guide to boiling", 240, at=1000)
    places = [GUIDE[span.start_index - 1000 : span.end_index - 1000] for span in found.spans]
    assert places == marked(found) == ["guide", "boiling"]


def test_a_long_sentence_is_cut_around_the_words() -> None:
    found = snippet("before " * 100 + "needle " + "after " * 100, "needle", 60)
    assert found.text.startswith("…")
    assert found.text.endswith("…")
    assert marked(found) == ["needle"]


@pytest.mark.parametrize(
    ("query", "text", "words"),
    [
        ("CLOSING the cafe", "Close the Café, closes", ["Close", "Café", "closes"]),
        ("naïve Straße", "NAIVE STRASSE", ["NAIVE", "STRASSE"]),
        ("keys", "a key and a keyboard", ["key"]),
        ("user name", "getUserName, user_name, USERS", ["User", "Name", "user", "name", "USERS"]),
        ("HTTPServer 42", "HTTPServer, HTTP, 42 and 421", ["HTTPServer", "HTTP", "42"]),
        ("what is the", "the cat is", ["the", "is"]),
        ("what is the cat", "the cat is", ["cat"]),
        ("緑茶の温度", "日本の緑茶は温度八十度。", ["緑茶", "温度"]),
        ("ชาเขียว", "ดื่มชาเขียวร้อน", ["ชาเขียว"]),
        ("שלום", "אמר שלום לו", ["שלום"]),
        ("हिन्दी", "यह हिन्दी है", ["हिन्दी"]),
    ],
)
def test_words_match_without_case_accents_and_endings(query: str, text: str, words: list[str]) -> None:
    assert marked(snippet(text, query)) == words


def test_a_cut_keeps_combining_marks_with_their_letter() -> None:
    text = "e\u0301" * 200
    found = snippet(text, "", 51)
    assert found.text.rstrip("…").endswith("\u0301")


@pytest.mark.parametrize("most", [0, -1, 1.5, True])
def test_a_limit_that_is_none_is_refused(most: int) -> None:
    with pytest.raises(InputError, match="max_characters"):
        snippet("text", "", most)


@pytest.mark.parametrize(
    "unit",
    ["[", "[a](", "<a ", "<!--", "`", "*a", ":a:", "{a}", "\\", "| ", "a" * 50, "a. ", "- a\n", "茶", "```\n", "\n",
     " ", "$a|",
     ".. a", ":::{a}\n", "```{note}\n", "e\u0301", "aB", "[![a](b"],
)  # fmt: skip
def test_the_work_grows_with_the_text_and_not_faster(unit: str) -> None:
    def steps(times: int) -> int:
        count = 0

        def traced(*_: object) -> object:
            nonlocal count
            count += 1
            return traced

        text = unit * times
        sys.settrace(traced)  # type: ignore[arg-type]
        try:
            snippet(text, "a b 茶", 100)
        finally:
            sys.settrace(None)
        return count

    assert steps(400) <= 4.5 * steps(100) + 2000


def test_a_result_has_its_place_its_title_and_its_query() -> None:
    chunk = Chunk(GUIDE, 10, 10 + len(GUIDE), 0, {"name": "tea.md"}, "/docs/tea.md", "c1")
    result = SearchResult(chunk=chunk, score=1.0, query="boiling")
    assert (result.start_index, result.end_index, result.title) == (10, 10 + len(GUIDE), "tea.md")
    assert marked(result.snippet(60)) == ["boiling"]
    assert pickle.loads(pickle.dumps(result)).snippet(60) == result.snippet(60)  # noqa: S301 - our own
    assert "“" + str(result.snippet(120)) + "”" in result.explain()
    assert SearchResult(chunk=chunk, score=1.0).snippet(30).text == "Green tea: Tea is a plant."


@pytest.mark.parametrize(
    ("metadata", "title"),
    [
        ({"title": "Tea\n guide", "heading_path": ["A", "B"], "name": "tea.md"}, "Tea guide"),
        ({"title": " ", "heading_path": ["A", "B"], "name": "tea.md"}, "A › B"),
        ({"heading": "B"}, "B"),
        ({"title": 5, "name": "tea.md"}, "tea.md"),
        ({}, "other.md"),
    ],
)
def test_a_title_is_the_documents_else_the_headings_else_the_name(metadata: dict[str, object], title: str) -> None:
    assert SearchResult(chunk=Chunk("x", 0, 1, 0, metadata, "/docs/other.md", "c1"), score=1.0).title == title


def test_of_a_cleaned_text_only_the_place_of_the_chunk_is_known() -> None:
    result = SearchResult(chunk=Chunk("Black  tea", 5, 90, 0, {}, "tea", "c1"), score=1.0, query="tea")
    found = result.snippet()
    assert (found.start_index, found.end_index) == (5, 90)
    assert [span[2:] for span in found.spans] == [(5, 90)]
