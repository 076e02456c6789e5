"""Metadata is written so that jsonb gives it back equal, or refused with the key."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedpipe.errors import InputError
from embedpipe.storage.types.jsonb import dumps, storable_text

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
METADATA = st.dictionaries(TEXT, VALUES, max_size=6)


@given(METADATA)
def test_what_is_written_reads_back_equal_and_of_the_same_types(metadata: dict[str, Any]) -> None:
    text = dumps(metadata, what="test")
    assert text is not None
    assert repr(json.loads(text)) == repr(metadata)


@pytest.mark.parametrize("value", [1e23, 1e-7, 1.5e300, 5e-324, 1e16, -1e22])
def test_floats_keep_a_fraction_without_an_exponent(value: float) -> None:
    text = dumps({"x": value}, what="test")
    assert text is not None
    assert "e" not in text
    assert json.loads(text) == {"x": value}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ((1, 2), "tuple"),
        ({1, 2}, "set"),
        (b"x", "bytes"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        pytest.param(10**5000, "digits", id="huge"),
        ("a\x00b", "NUL"),
        ("\ud800", "surrogate"),
        ({1: "x"}, "int"),
    ],
)
def test_what_would_not_come_back_is_refused_with_its_key(value: object, says: str) -> None:
    with pytest.raises(InputError, match=r"outer\.inner") as caught:
        dumps({"outer": {"inner": value}}, what="Chunk 'c'")
    assert says in str(caught.value)
    assert "Chunk 'c'" in str(caught.value)


def test_text_that_postgresql_cannot_hold_is_refused_with_its_position() -> None:
    assert storable_text("naïve 漢字 😀", "text") == "naïve 漢字 😀"
    with pytest.raises(InputError, match="position 2"):
        storable_text("ab\x00", "text")
    with pytest.raises(InputError, match="position 1"):
        storable_text("a\udc00", "text")
    with pytest.raises(InputError, match="Pass a str"):
        storable_text(5, "text")  # type: ignore[arg-type]  # what a caller without types might pass
