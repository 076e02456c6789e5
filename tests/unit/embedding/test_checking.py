"""`check_model`: what it finds of a good model, and of models with one fault each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from embedpipe.embedding import EmbeddingGenerator
from embedpipe.embedding.checking import check_model
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Kind, Vectors

GOOD = FakeEmbeddingModel(16, max_tokens=100, query_prompt="query: ")


class Faulty(FakeEmbeddingModel):
    """A fake model whose vectors are changed on their way."""

    def __init__(self, change: Callable[[Vectors, Kind], Vectors]) -> None:
        super().__init__(16, query_prompt="query: ")
        self._change = change

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        return self._change(super().embed(texts, kind), kind)


class Deaf(FakeEmbeddingModel):
    """A model that says that it puts a prompt before questions, and does not."""

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        return super().embed(texts, "document")


def wrong(model: FakeEmbeddingModel) -> list[str]:
    return [finding.check for finding in check_model(EmbeddingGenerator(model)) if finding.is_good is False]


def test_a_good_model_passes_every_check() -> None:
    findings = list(check_model(EmbeddingGenerator(GOOD)))
    checks = ["dimensions", "length", "order", "prompts", "longest text", "speed", "price"]
    assert [each.check for each in findings] == checks
    assert not [each for each in findings if each.is_good is False]


@pytest.mark.parametrize(
    ("model", "fault"),
    [
        (Faulty(lambda vectors, _: vectors[::-1].copy()), "order"),
        (Faulty(lambda vectors, _: vectors * 3), "length"),
        (Deaf(16, query_prompt="query: "), "prompts"),
    ],
)
def test_a_fault_is_found(model: FakeEmbeddingModel, fault: str) -> None:
    assert wrong(model) == [fault]


def test_a_model_without_prompts_may_embed_both_alike() -> None:
    model = FakeEmbeddingModel(16)
    model.spec = replace(model.spec, name="plain")
    assert wrong(model) == []
