from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedpipe.errors import InputError, TokenLimitError
from embedpipe.text import clean_text, fault, faults, validate_input


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("  a \t b  ", "a b"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("a\n\n\n\nb", "a\n\nb"),
        ("e\u0301", "\u00e9"),
        ("a\x00b\x07c\ufeff", "abc"),
        ("a\ud800b", "ab"),
        ("a\u00a0\u2003b", "a b"),
        ("👩‍👩‍👧", "👩‍👩‍👧"),  # joiners stay
        ("\u0627\u200c\u0628", "\u0627\u200c\u0628"),
    ],
)
def test_cleaning(given_text: str, expected: str) -> None:
    assert clean_text(given_text) == expected


@given(st.text())
def test_cleaning_is_settled_at_once_and_leaves_valid_text(text: str) -> None:
    cleaned = clean_text(text)
    assert clean_text(cleaned) == cleaned
    assert unicodedata.is_normalized("NFC", cleaned)
    cleaned.encode()
    assert "\x00" not in cleaned


@given(st.text(st.characters(), max_size=20))
def test_a_fault_is_found_by_either_way(text: str) -> None:
    assert bool(fault(text)) == bool(faults([text]))


def test_positions_of_faults() -> None:
    assert list(faults(["a", "", "ä", None, " ", "\ud800"])) == [1, 3, 4, 5]


def test_validation_counts_tokens() -> None:
    assert validate_input("Hello world") == 2
    assert validate_input("Hello world", model="all-MiniLM-L6-v2", max_tokens=2) == 2


@pytest.mark.parametrize(("bad", "message"), [("", "empty"), (" \n", "white space"), (3, "int")])
def test_validation_refuses(bad: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        validate_input(bad)  # type: ignore[arg-type]


def test_validation_of_length() -> None:
    with pytest.raises(TokenLimitError, match="at most 3") as caught:
        validate_input("one two three four five", max_tokens=3)
    assert caught.value.token_counts == (5,)
    assert caught.value.max_tokens == 3
