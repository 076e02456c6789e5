"""Pairs of vectors that are nearly the same."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest

from embedpipe.errors import InputError
from embedpipe.retrieval import duplicates
from embedpipe.retrieval.duplicates import near_duplicates

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("cells", [1, 700, 16_000_000])
def test_every_pair_over_the_threshold_is_found_once_most_similar_first(cells: int) -> None:
    vectors = RNG.standard_normal((60, 8)).astype(np.float32) * RNG.uniform(0.1, 9, (60, 1)).astype(np.float32)
    ids = [f"chunk {i}" for i in range(60)]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    wanted = {(ids[i], ids[j]) for i in range(60) for j in range(i + 1, 60) if unit[i] @ unit[j] >= 0.5}
    with patch.object(duplicates, "_CELLS", cells):
        found = near_duplicates(ids, vectors, threshold=0.5)
    assert {(pair.first, pair.second) for pair in found} == wanted
    assert len(found) == len(wanted) > 0
    assert [pair.similarity for pair in found] == sorted((pair.similarity for pair in found), reverse=True)


def test_the_same_vector_at_another_length_is_a_duplicate() -> None:
    [pair] = near_duplicates(["a", "b", "c"], np.array([[1, 2], [3, 6], [2, -1]], dtype=np.float32))
    assert (pair.first, pair.second) == ("a", "b")
    assert pair.similarity == pytest.approx(1)


def test_nothing_has_no_duplicates() -> None:
    assert near_duplicates([], np.empty((0, 4), dtype=np.float32)) == []


@pytest.mark.parametrize("threshold", [0, -0.5, 1.5])
def test_a_threshold_that_is_no_similarity_is_refused(threshold: float) -> None:
    with pytest.raises(InputError, match=r"threshold=.* is out of range"):
        near_duplicates(["a"], np.ones((1, 2), dtype=np.float32), threshold=threshold)


def test_an_id_for_each_vector_is_expected() -> None:
    with pytest.raises(InputError, match="1 ids and 2 vectors"):
        near_duplicates(["a"], np.ones((2, 2), dtype=np.float32))
