"""Citation marks in every form that models write, what is no mark, reasoning that is taken out, and growth."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from embedpipe.answering.citations import checked_statements
from embedpipe.answering.marks import find_marks
from embedpipe.answering.thoughts import ThoughtFilter, without_thoughts
from embedpipe.retrieval.context import ContextSettings, build_context
from embedpipe.types import Chunk, SearchResult

FACT = "Green tea is steeped at 80 °C for two minutes"
CHUNKS = [Chunk.whole(f"{FACT}.", id=name, document_id=name) for name in ("a", "b", "c")]
SOURCES = [
    build_context([SearchResult(chunk=chunk, score=1.0)], ContextSettings(max_tokens=None))[0][0] for chunk in CHUNKS
]


def cited(answer: str) -> list[tuple[int, ...]]:
    return [mark.numbers for mark in find_marks(answer, sources=3)]


@pytest.mark.parametrize(
    ("mark", "numbers"),
    [
        ("[1]", [1]),
        ("[ 1 ]", [1]),
        ("[[1]]", [1]),
        ("[1, 2]", [1, 2]),
        ("[1; 3]", [1, 3]),
        ("[1-3]", [1, 2, 3]),
        ("[1–3]", [1, 2, 3]),
        ("[1][2]", [1, 2]),
        ("[1] [2]", [1, 2]),
        ("[1, 2 and 3]", [1, 2, 3]),
        ("[Source 1]", [1]),
        ("[source: 1]", [1]),
        ("[Sources 1, 2]", [1, 2]),
        ("[source 1, source 2]", [1, 2]),
        ("[doc 1]", [1]),
        ("[Document #2]", [2]),
        ("[ref. 2]", [2]),
        ("【1】", [1]),
        ("【1†L1-L3】", [1]),
        ("【2†source】", [2]),
        ("［1］", [1]),
        ("[１，２]", [1, 2]),
        ("(Source 1)", [1]),
        ("(sources 1 and 2)", [1, 2]),
        ("（Source 1）", [1]),
        ("[1](https://example.com/a_b)", [1]),
        ("[[1]](https://example.com)", [1]),
        ("\\[1\\]", [1]),
        ("<sup>1</sup>", [1]),
        ("<sup>[1, 2]</sup>", [1, 2]),
        ("[^1]\n\n[^1]: Source 1", [1]),
        ("[^a]\n\n[^a]: Source 2, on tea\n    and more", [2]),
        ("[^1][^2]\n\n[^1]: [3] Leaves\n[^2]: [1] Water", [3, 1]),
    ],
)
def test_every_form_of_a_mark_is_read(mark: str, numbers: list[int]) -> None:
    (statement,) = checked_statements(f"{FACT} {mark}", SOURCES)
    assert statement.text == FACT
    assert [(citation.source, citation.status) for citation in statement.citations] == [
        (number, "quoted") for number in numbers
    ]


@pytest.mark.parametrize(
    "text",
    [
        "An area of 3 m² and 10² tiles.",
        "The field is 5 km² large.",
        "See [the manual](https://example.com/1).",
        "As of [2024](https://example.com).",
        "In step (1) heat the water.",
        "Use `a[1]` here.",
        "```\nx[1] = 2\n```",
        "[a], [b] and [note].",
        "The interval [1.5, 2.5] is closed.",
        "An unknown[^note] label.",
    ],
)
def test_what_is_no_mark(text: str) -> None:
    assert cited(text) == []


@pytest.mark.parametrize("raised", [".¹", ". ¹", "¹", "¹˒²", "”¹"])
def test_raised_numbers_behind_words_are_marks(raised: str) -> None:
    assert cited(f"{FACT}{raised}")[0][0] == 1


@pytest.mark.parametrize(
    "ending",
    [
        "Sources: [1]",
        "**Sources:** [1], [2]",
        "Sources:\n- [1] tea.md\n- [2] water.md",
        "## References\n\n[1] Tea, page 3\n[2] Water",
        "References\n1. tea.md\n2. water.md",
        "Sources used:\n* [1]: tea.md",
    ],
)
def test_a_list_of_sources_at_the_end_states_nothing(ending: str) -> None:
    statements = checked_statements(f"{FACT} [1].\n\n{ending}", SOURCES)
    assert [statement.text for statement in statements] == [f"{FACT}."]
    assert [citation.source for citation in statements[0].citations] == [1]


def test_a_sentence_about_sources_is_a_statement() -> None:
    assert cited("Sources of iron are listed [1].\nBeans have much [2].") == [(1,), (2,)]
    assert cited("Sources:\n[1] says that beans have iron.\nSo they are good [2].") == [(1,), (2,)]


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ("<think>Is it [7]? Yes.</think>Green tea.", "Green tea."),
        ("<think>\nHm.\n</think>\n\nGreen tea.", "Green tea."),
        ("<THINK>Hm.</THINK> Green.", "Green."),
        ("<reasoning>a < b</reasoning>Green.", "Green."),
        ("Green <think>hm</think>tea.", "Green tea."),
        ("<think>a</think><think>b</think>Green.", "Green."),
        ("<think>It never ends", ""),
        ("2 < 3 and <b>bold</b> <t", "2 < 3 and <b>bold</b> <t"),
        ("<thin ice", "<thin ice"),
    ],
)
def test_reasoning_is_taken_out_of_an_answer_however_it_is_cut_into_pieces(answer: str, shown: str) -> None:
    chance = random.Random(7)
    assert without_thoughts(answer) == shown
    for _ in range(50):
        thoughts = ThoughtFilter()
        pieces, at = "", 0
        while at < len(answer):
            size = chance.randint(1, 5)
            pieces += thoughts.feed(answer[at : at + size])
            at += size
        assert pieces + thoughts.rest() == shown


def test_reasoning_whose_opening_stood_in_the_prompt_is_taken_out() -> None:
    assert without_thoughts("I look at [3].\n</think>\n\nGreen tea [1].") == "Green tea [1]."


GROWING: dict[str, Callable[[int], str]] = {
    "brackets": lambda n: "[" * n,
    "numbers": lambda n: "[1" * n,
    "list": lambda n: "[" + "1," * n,
    "links": lambda n: "[1](" * n,
    "addresses": lambda n: ("[1](" + "a" * 3000) * (n // 3000),
    "footnotes": lambda n: "[^1]: a\n  b\n" * (n // 10),
    "spaces": lambda n: "[" + " " * n,
    "titles": lambda n: "Sources:\n[1]\nx\n" * (n // 16),
    "lists": lambda n: "Sources:\n[1]\n" * (n // 16),
    "raised": lambda n: "¹" * n,
    "thoughts": lambda n: "<think>" * (n // 7),
    "fences": lambda n: "```" * (n // 3),
}


@pytest.mark.timeout(60)  # a second or two; a square of the length would take hours
@pytest.mark.parametrize("shape", GROWING)
def test_a_long_answer_is_read_in_linear_time(shape: str) -> None:
    assert isinstance(find_marks(without_thoughts(GROWING[shape](500_000)), sources=3), list)
