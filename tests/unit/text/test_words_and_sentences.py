from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedpipe.text import sentence_spans, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It's the Straße, OK?", ["it", "s", "the", "strasse", "ok"]),
        ("vector_store v2.0", ["vector", "store", "v2", "0"]),
        ("Python语言很好", ["python", "语言", "言很", "很好"]),
        ("हिन्दी में।", ["हिन्दी", "में"]),
        ("café", ["café"]),
        ("?! …", []),
        ("好", ["好"]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        (
            "Dr. Smith paid 3.50 euro, e.g. to J. Doe. He left.",
            ["Dr. Smith paid 3.50 euro, e.g. to J. Doe.", "He left."],
        ),
        ("A line that\nis wrapped. Next.", ["A line that\nis wrapped.", "Next."]),
        ("Heading\n=======\n\nText here.", ["Heading", "=======", "Text here."]),
        ("Items:\n\n* one\n* two, and\n  more", ["Items:", "* one", "* two, and\n  more"]),
        ("他来了。她走了！", ["他来了。", "她走了！"]),
        ('He said "Go." She went.', ['He said "Go."', "She went."]),
        ("  \n ", []),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in sentence_spans(text)] == expected


@given(st.text(alphabet=st.sampled_from('aB .!?\n*-。"’1)\u0301'), max_size=60))
def test_spans_are_in_order_and_hold_every_non_space_character(text: str) -> None:
    spans = sentence_spans(text)
    covered = [i for start, end in spans for i in range(start, end)]
    assert covered == sorted(set(covered))
    assert {i for i, c in enumerate(text) if not c.isspace()} <= set(covered)
    assert all(text[start:end] == text[start:end].strip() for start, end in spans)
