from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedpipe.errors import InputError
from embedpipe.retrieval.diversity import diversified
from embedpipe.types import Chunk, SearchResult


def results(seed: int, count: int) -> list[SearchResult]:
    """Random vectors of any length, ordered by their cosine to a random query."""
    rng = np.random.default_rng(seed)
    query = rng.normal(size=4)
    vectors = rng.normal(size=(count, 4)) * rng.uniform(0.1, 9, size=(count, 1))
    cosines = vectors @ query / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query)
    made = [
        SearchResult(
            chunk=Chunk.whole("text", id=str(i)),
            score=float(cosines[i]),
            similarity=float(cosines[i]),
            vector=vectors[i].astype(np.float32),
        )
        for i in range(count)
    ]
    return sorted(made, key=lambda result: -result.score)


def cosine(one: SearchResult, other: SearchResult) -> float:
    assert one.vector is not None
    assert other.vector is not None
    return float(one.vector @ other.vector / np.linalg.norm(one.vector) / np.linalg.norm(other.vector))


@given(seed=st.integers(0, 10**6), count=st.integers(1, 12), k=st.integers(1, 14), weight=st.floats(0, 1))
def test_each_choice_is_the_best_of_what_is_left(seed: int, count: int, k: int, weight: float) -> None:
    given_results = results(seed, count)
    chosen = diversified(given_results, k=k, lambda_mult=weight)
    assert len({result.id for result in chosen}) == len(chosen) == min(k, count)
    for place, choice in enumerate(chosen[1:], start=1):

        def value(result: SearchResult, before: list[SearchResult] = chosen[:place]) -> float:
            return weight * result.score - (1 - weight) * max(cosine(result, other) for other in before)

        rest = [result for result in given_results if result not in chosen[:place]]
        assert value(choice) >= max(value(result) for result in rest) - 1e-5


def test_at_one_the_order_stays_and_at_zero_the_unlike_come_first() -> None:
    given_results = results(1, 8)
    assert diversified(given_results, k=8, lambda_mult=1) == given_results
    pair = diversified(given_results, k=2, lambda_mult=0)
    assert cosine(*pair) == min(cosine(pair[0], other) for other in given_results)


def test_a_null_vector_is_no_trouble() -> None:
    null = SearchResult(chunk=Chunk.whole("x", id="0"), score=0, similarity=0, vector=np.zeros(4, np.float32))
    assert len(diversified([null, *results(2, 3)], k=4)) == 4
    assert diversified([], k=3) == []


def test_what_cannot_be_diversified_is_refused() -> None:
    bare = SearchResult(chunk=Chunk.whole("x", id="0"), score=1)
    with pytest.raises(InputError, match="with_vectors=True"):
        diversified([bare], k=1)
    with pytest.raises(InputError, match="lambda_mult"):
        diversified(results(1, 2), k=1, lambda_mult=1.1)
    with pytest.raises(InputError, match="k=0 is out of range"):
        diversified(results(1, 2), k=0)
