from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedpipe.errors import ConfigurationError
from embedpipe.retrieval.context import ContextSettings, build_context
from searching import DOCUMENT, paragraphs, result

NO_LIMIT = ContextSettings(max_tokens=None)


class WordCounter:
    def count_many(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]


def test_overlapping_hits_become_one_exact_passage() -> None:
    passages, left_out = build_context([result(40, 90, score=0.2), result(10, 60, score=0.8, index=1)], NO_LIMIT)
    assert [(p.start_index, p.end_index, p.score) for p in passages] == [(10, 90, 0.8)]
    assert passages[0].text == DOCUMENT[10:90]
    assert (passages[0].gaps, left_out) == ((), [])


def test_neighbors_with_white_space_between_are_joined_and_the_gap_is_known() -> None:
    (passage,), _ = build_context(paragraphs(), NO_LIMIT)
    assert (passage.start_index, passage.end_index) == (0, len(DOCUMENT.rstrip()))
    assert passage.text == DOCUMENT.rstrip()
    assert [DOCUMENT[a:b] for a, b in passage.stretches] == [r.text for r in paragraphs()]


def test_hits_of_other_documents_or_far_apart_stay_apart() -> None:
    far = [result(0, 10), result(40, 50, index=1), result(10, 40, id="other"), result(60, 70, index=9)]
    passages, _ = build_context(far, NO_LIMIT)
    assert sorted((p.document_id or "", p.start_index) for p in passages) == [
        ("other", 10),
        ("with", 0),
        ("with", 40),
        ("with", 60),
    ]


def test_overlap_whose_texts_differ_is_not_joined() -> None:
    changed = DOCUMENT.upper()
    passages, _ = build_context([result(0, 50), result(30, 80, index=1, document=changed)], NO_LIMIT)
    assert len(passages) == 2


@given(st.lists(st.tuples(st.integers(0, len(DOCUMENT) - 1), st.integers(1, 60)), min_size=1, max_size=8))
def test_merged_passages_hold_what_the_hits_held(spans: list[tuple[int, int]]) -> None:
    hits = [result(a, min(a + n, len(DOCUMENT)), index=i * 10) for i, (a, n) in enumerate(spans)]
    passages, repeated = build_context(hits, NO_LIMIT)
    assert all(p.text == DOCUMENT[p.start_index : p.end_index] for p in passages)
    assert {hit.text for hit in repeated} <= {hit.text for p in passages for hit in p.results}
    kept = [hit for hit in hits if not any(hit is other for other in repeated)]
    wanted = {i for hit in kept for i in range(hit.chunk.start_index, hit.chunk.end_index)}
    held = [i for p in passages for i in range(p.start_index, p.end_index)]
    assert sorted(held) == sorted(wanted)


def test_budget_skips_what_does_not_fit_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    hits = [result(0, 18), result(39, 180, score=0.9, index=5), result(4, 8, score=0.8, id="small")]
    with caplog.at_level("INFO"):
        passages, left_out = build_context(hits, ContextSettings(max_tokens=5), WordCounter())
    assert [p.document_id for p in passages] == ["with", "small"]
    assert left_out == [hits[1]]
    assert "1 of 3 results do not fit" in caplog.text


def test_what_says_the_same_comes_once() -> None:
    hits = [result(0, 18), result(0, 18, id="copy", score=0.9), result(4, 8, id="other", score=0.8)]
    passages, left_out = build_context(hits, NO_LIMIT)
    assert [p.document_id for p in passages] == ["with", "other"]
    assert left_out == [hits[1]]


def test_a_budget_that_holds_nothing_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="the smallest has 3 tokens, and max_tokens is 2"):
        build_context([result(0, 18)], ContextSettings(max_tokens=2), WordCounter())


def test_a_budget_needs_a_counter() -> None:
    with pytest.raises(ConfigurationError, match="counter"):
        build_context([result(0, 18)], ContextSettings(max_tokens=2))


def test_edges_put_the_weakest_in_the_middle() -> None:
    hits = [result(i, i + 3, score=1 - i / 10, id=f"d{i}") for i in range(5)]
    passages, _ = build_context(hits, ContextSettings(max_tokens=None, order="edges"))
    assert [p.document_id for p in passages] == ["d0", "d2", "d4", "d3", "d1"]


@pytest.mark.parametrize("settings", [{"max_tokens": 0}, {"order": "random"}])
def test_bad_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        ContextSettings(**settings)


def test_cleaned_chunks_are_placed_as_wholes_and_never_joined() -> None:
    first, second, third = paragraphs()
    cleaned = replace(second, chunk=second.chunk._replace(text=" ".join(second.text.split()) + "!"))
    passages, _ = build_context([first, cleaned, third], ContextSettings(max_tokens=None))
    assert len(passages) == 3
    passage = next(passage for passage in passages if passage.results == (cleaned,))
    place = (second.chunk.start_index, second.chunk.end_index)
    assert passage.cleaned
    assert passage.place(3, 9) == place == (passage.start_index, passage.end_index)
    exact = next(passage for passage in passages if passage.results == (first,))
    assert DOCUMENT[slice(*exact.place(4, 8))] == exact.text[4:8]
