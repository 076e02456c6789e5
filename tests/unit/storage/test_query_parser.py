"""Queries as `websearch_to_tsquery` users write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedpipe.storage.lexical.query_parser import ParsedQuery, parse_query


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ParsedQuery("")),
        ("two words", ParsedQuery("two words")),
        ('a "b c" -d', ParsedQuery("a b c", '" b c " -" d "', "b c", "d")),
        ('-"b c" a', ParsedQuery("a", '-" b c "', "", "b c")),
        ('"left open', ParsedQuery("left open")),
        ('a "b c', ParsedQuery("a b c")),
        ('a"b c"d', ParsedQuery("a b c d")),
        ('a 5" or 3" wide', ParsedQuery("a 5 3 wide")),
        ('("b c")', ParsedQuery("( b c )", '" b c "', "b c")),
        ('"a b" or -c d', ParsedQuery("a b d", '" a b " or -" c "', "", "c")),
        ('"a b" OR c d', ParsedQuery("a b c d", '" a b " or " c " or " d "')),
        ("a OR b", ParsedQuery("a b")),
        ('-a "b c"', ParsedQuery("b c", '" b c " -" a "', "b c", "a")),
        ("or a or", ParsedQuery("or a or")),
        ("a or or b", ParsedQuery("a or b")),
        ('"or" a', ParsedQuery("or a", '" or "', "or")),
        ("well-known fact", ParsedQuery("well-known fact")),
        ("rock - paper", ParsedQuery("rock - paper")),
        ("git --amend", ParsedQuery("git --amend")),
        ("-", ParsedQuery("-")),
        ("it's | & ! ( ) <-> :*", ParsedQuery("it's | & ! ( ) <-> :*")),
    ],
)
def test_words_phrases_and_exclusions_are_told_apart(text: str, expected: ParsedQuery) -> None:
    assert parse_query(text) == expected


@given(st.text())
def test_any_text_is_a_query_and_only_exclusions_and_or_are_left_out_of_its_words(text: str) -> None:
    query = parse_query(text)
    assert set(query.words.split()) <= set(text.replace('"', " ").split()) | {part.lstrip("-") for part in text.split()}
    if '"' not in text and "-" not in text:
        assert query.constraint is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("two words", ParsedQuery("two words")),
        ('a "b c" "d"', ParsedQuery("a b c d", phrases=("b c", "d"))),
        ('a "b c" -d', ParsedQuery("a b c", '-" d "', "", "d", ("b c",))),
        ('a -"b c"', ParsedQuery("a", '-" b c "', "", "b c")),
        ('"a b" or -c d', ParsedQuery("a b d", '" a b " or -" c "', "", "c", ("a b",))),
        ('"a b" or "c d"', ParsedQuery("a b c d", phrases=("a b", "c d"))),
        ('"or" a', ParsedQuery("or a", phrases=("or",))),
    ],
)
def test_phrases_that_are_not_required_leave_the_constraint(text: str, expected: ParsedQuery) -> None:
    assert parse_query(text, required_phrases=False) == expected


@given(st.text())
def test_phrases_are_words_of_the_query_whether_required_or_not(text: str) -> None:
    required, free = parse_query(text), parse_query(text, required_phrases=False)
    assert free.words == required.words
    assert free.excluded == required.excluded
    assert (free.required, required.phrases) == ("", ())
    assert set(" ".join(free.phrases).split()) <= set(free.words.split())
