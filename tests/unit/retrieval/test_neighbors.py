"""Results with their neighboring chunks."""

from __future__ import annotations

from typing import Any

import pytest

from embedpipe.errors import ConfigurationError
from embedpipe.retrieval.context import ContextSettings, build_context
from embedpipe.retrieval.neighbors import with_neighbors
from embedpipe.types import Chunk
from searching import DOCUMENT, paragraphs, result


def test_each_neighbor_comes_once_with_the_score_of_its_best_result() -> None:
    first, second, third = paragraphs(scores=(0.3, 0.9, 0.6))
    extended = with_neighbors(
        [first, third], {first.id: [second.chunk, third.chunk], third.id: [first.chunk, second.chunk]}
    )
    assert extended[:2] == [first, third]
    [neighbor] = extended[2:]
    assert neighbor.chunk == second.chunk
    assert neighbor.score == 0.6
    assert neighbor.surrounds
    assert not first.surrounds


def test_a_hit_and_its_neighbors_become_one_passage_under_the_hit_s_metadata() -> None:
    before, hit, after = paragraphs()
    neighbors = [before.chunk._replace(metadata={"title": "before"}), after.chunk]
    [passage], left_out = build_context(with_neighbors([hit], {hit.id: neighbors}), ContextSettings(max_tokens=None))
    assert passage.text == DOCUMENT.rstrip()
    assert passage.metadata == hit.metadata
    assert passage.score == hit.score
    assert not left_out


def test_hits_have_their_place_in_the_budget_before_what_stands_around_them() -> None:
    first, second, third = paragraphs()

    class Ones:
        def count_many(self, texts: Any) -> list[int]:
            return [1] * len(texts)

    results = with_neighbors([first, third], {first.id: [second.chunk]})
    _, left_out = build_context(results, ContextSettings(max_tokens=2), Ones())
    assert [found.id for found in left_out] == [second.id]


def test_a_result_without_neighbors_stays_alone() -> None:
    alone = result(0, 5)
    assert with_neighbors([alone], {}) == [alone]
    assert with_neighbors([], {"x": [Chunk.whole("text", id="y")]}) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": -1}, "window=-1 is out of range"),
        ({"window": True}, "window=True is out of range"),
        ({"parent": "page"}, "parent=.page. is not known"),
        ({"window": 1, "parent": "document"}, "not both"),
    ],
)
def test_neighbors_that_mean_nothing_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ContextSettings(**settings)
