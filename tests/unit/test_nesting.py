"""How deep a provider's reply is nested, counted while it arrives."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from embedpipe._providers.http import Nesting

_TEXT = st.text('[]{}",\\\n aé', max_size=6)
_VALUES: st.SearchStrategy[Any] = st.recursive(
    _TEXT | st.integers(0, 9), lambda within: st.lists(within, max_size=3) | st.dictionaries(_TEXT, within, max_size=3)
)


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


@given(value=_VALUES, size=st.integers(1, 9), indent=st.sampled_from([None, 1]))
def test_the_depth_is_that_of_the_value_however_it_is_cut(value: Any, size: int, indent: int | None) -> None:
    body = json.dumps(value, indent=indent, ensure_ascii=False).encode()
    nesting = Nesting()
    assert max(nesting.deepest(body[start : start + size]) for start in range(0, len(body), size)) == _depth(value)
    assert nesting.deepest(b"[") == 1
