from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from embedpipe.embedding import LocalModel
from embedpipe.embedding.local.length_batches import length_batches


@given(
    lengths=st.lists(st.integers(1, 3000), max_size=80),
    overhead=st.integers(0, 200),
    most=st.one_of(st.none(), st.integers(1, 32)),
)
@example(lengths=[3000, 3000, 10], overhead=16, most=None)
def test_every_text_is_in_one_pass_whose_padding_costs_less_than_another(
    lengths: list[int], overhead: int, most: int | None
) -> None:
    groups = length_batches(lengths, overhead=overhead, most=most)
    assert sorted(place for group in groups for place in group) == list(range(len(lengths)))
    assert [lengths[place] for group in groups for place in group] == sorted(lengths, reverse=True)
    for group in groups:
        longest = lengths[group[0]]
        assert sum(longest - lengths[place] for place in group) <= overhead
        assert len(group) == 1 or len(group) * longest <= 2048
        assert most is None or len(group) <= most


def test_texts_of_one_length_share_a_pass() -> None:
    assert length_batches([12] * 64, overhead=16) == [list(range(64))]


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_vectors_come_in_the_order_of_texts_of_all_lengths(runtime: str) -> None:
    texts = [" ".join(["word"] * length) for length in (1, 240, 3, 90, 2, 45, 150, 8, 8, 9)]
    model = LocalModel("all-MiniLM-L6-v2", runtime=runtime, batch_size=3)  # type: ignore[arg-type]
    together, alone = model.embed(texts, "document"), [model.embed([text], "document")[0] for text in texts]
    assert abs(together - alone).max() < 1e-5
