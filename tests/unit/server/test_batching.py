from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import monotonic

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe.embedding import EmbeddingGenerator, EmbeddingResponse
from embedpipe.errors import EmbeddingError, InvalidVectorsError, ProviderError, RateLimitError
from embedpipe.server import ServerSettings
from embedpipe.server.web import batched_model
from embedpipe.server.web.batched_model import BatchedModel
from embedpipe.server.web.batching import Batcher
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Kind, Vectors

MODEL = FakeEmbeddingModel(4, query_prompt="question: ")


class Recorded:
    """Runs batches of the fake model, which take a turn of the event loop, and remembers them."""

    def __init__(self) -> None:
        self.batches: list[tuple[list[str], Kind]] = []

    async def __call__(self, texts: Sequence[str], kind: Kind) -> Vectors:
        self.batches.append((list(texts), kind))
        await asyncio.sleep(0)
        if "bad" in texts:
            raise EmbeddingError("a bad text")
        return MODEL.embed(texts, kind)


def batcher(run: Recorded, *, texts: int = 16, characters: int = 10_000, together: bool = True) -> Batcher:
    return Batcher(run=run, batch_texts=texts, batch_characters=characters, together=together)


requests = st.lists(
    st.tuples(
        st.lists(st.text("ab", min_size=1, max_size=6), min_size=1, max_size=30), st.sampled_from(["document", "query"])
    ),
    min_size=1,
    max_size=12,
)


@given(requests=requests, texts=st.integers(1, 20), characters=st.integers(1, 60), together=st.booleans())
@settings(max_examples=150, deadline=None)
def test_everyone_gets_the_vectors_of_their_own_texts_in_order(
    requests: list[tuple[list[str], Kind]], texts: int, characters: int, together: bool
) -> None:
    run = Recorded()

    async def ask() -> list[Vectors]:
        shared = batcher(run, texts=texts, characters=characters, together=together)
        answers = await asyncio.gather(*(shared.embed(*request) for request in requests))
        assert shared.waiting == 0
        return answers

    for (given_texts, kind), vectors in zip(requests, asyncio.run(ask()), strict=True):
        np.testing.assert_array_equal(vectors, MODEL.embed(given_texts, kind))
    for batch, _ in run.batches:
        assert 1 <= len(batch) <= texts
        assert sum(map(len, batch[:-1])) < characters  # only its last text may go over the bound
    assert sum(len(batch) for batch, _ in run.batches) == sum(len(given_texts) for given_texts, _ in requests)


async def test_what_comes_while_the_model_is_at_work_shares_its_next_batch() -> None:
    run = Recorded()
    shared = batcher(run)
    await asyncio.gather(*(shared.embed([str(number)], "document") for number in range(9)))
    assert [len(batch) for batch, _ in run.batches] == [1, 8]


async def test_without_batching_each_request_goes_alone() -> None:
    run = Recorded()
    alone = batcher(run, together=False)
    await asyncio.gather(*(alone.embed([str(number), "x"], "document") for number in range(5)))
    assert [len(batch) for batch, _ in run.batches] == [2] * 5


async def test_a_small_request_does_not_wait_for_all_of_a_large_one() -> None:
    run = Recorded()
    shared = batcher(run)
    large = asyncio.create_task(shared.embed([f"large {number}" for number in range(400)], "document"))
    await asyncio.sleep(0)
    await shared.embed(["small"], "document")
    assert not large.done()
    assert len(run.batches) <= 3
    np.testing.assert_array_equal(await large, MODEL.embed([f"large {number}" for number in range(400)], "document"))


async def test_queries_and_documents_are_never_in_one_batch() -> None:
    run = Recorded()
    shared = batcher(run)
    kinds: list[Kind] = ["document", "query"] * 6
    await asyncio.gather(*(shared.embed([f"{number}"], kind) for number, kind in enumerate(kinds)))
    for batch, kind in run.batches:
        assert {kinds[int(text)] for text in batch} == {kind}


async def test_what_fails_for_one_request_costs_no_other() -> None:
    run = Recorded()
    shared = batcher(run)
    answers = await asyncio.gather(
        *(shared.embed(texts, "document") for texts in (["first"], ["good"], ["bad"], ["fine"])), return_exceptions=True
    )
    assert [type(answer).__name__ for answer in answers] == ["ndarray", "ndarray", "EmbeddingError", "ndarray"]
    np.testing.assert_array_equal(answers[3], MODEL.embed(["fine"], "document"))


async def test_who_is_cancelled_leaves_the_queue() -> None:
    run = Recorded()
    shared = batcher(run)
    first = asyncio.create_task(shared.embed(["first"], "document"))
    gone = asyncio.create_task(shared.embed(["gone"], "document"))
    stays = asyncio.create_task(shared.embed(["stays"], "document"))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(first, gone, stays, return_exceptions=True)
    assert gone.cancelled()
    assert not any("gone" in batch for batch, _ in run.batches)
    assert shared.waiting == 0


async def test_where_the_provider_is_busy_nobody_is_sent_again_apart() -> None:
    calls: list[int] = []

    async def busy(texts: Sequence[str], kind: Kind) -> Vectors:
        calls.append(len(texts))
        await asyncio.sleep(0)
        raise RateLimitError("slow down", retry_after=1.0)

    shared = Batcher(run=busy, batch_texts=16, batch_characters=1000)
    answers = await asyncio.gather(*(shared.embed([str(n)], "document") for n in range(5)), return_exceptions=True)
    assert all(isinstance(answer, RateLimitError) for answer in answers)
    assert calls == [1, 4]


class Broken(FakeEmbeddingModel):
    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        if texts == ["shape"]:
            return np.ones((2, 3), dtype=np.float32)
        raise RuntimeError("out of memory")


@pytest.mark.parametrize(("text", "error"), [("shape", InvalidVectorsError), ("any", EmbeddingError)])
async def test_a_model_that_fails_is_an_error_of_ours(text: str, error: type[Exception]) -> None:
    model = BatchedModel(Broken(4), ServerSettings())
    with pytest.raises(error):
        await model.afetch([text], "document")
    await model.aclose()


class Provider(FakeEmbeddingModel):
    """A provider's model that is down for as long as it is told to be."""

    down = False

    def fetch(self, texts: Sequence[str], kind: Kind) -> EmbeddingResponse:
        if self.down:
            raise ProviderError("out of order", status=503)
        return EmbeddingResponse(vectors=self.embed(texts, kind))

    async def afetch(self, texts: Sequence[str], kind: Kind) -> EmbeddingResponse:
        return self.fetch(texts, kind)


async def test_a_provider_that_failed_is_tried_again_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is sent no requests while it is not ready would stay so for ever."""
    provider = Provider(4)
    model = BatchedModel(provider, ServerSettings())
    provider.down = True
    with pytest.raises(ProviderError):
        await model.afetch(["text"], "document")
    assert await model.fault() == "out of order"
    failed = monotonic()
    monkeypatch.setattr(batched_model, "monotonic", lambda: failed + batched_model.FAULT_S)
    assert await model.fault() is None
    with pytest.raises(ProviderError):
        await model.afetch(["text"], "document")
    assert await model.fault() == "out of order"
    provider.down = False
    await model.afetch(["text"], "document")
    assert await model.fault() is None
    await model.aclose()


async def test_texts_of_all_lengths_get_their_own_vectors(minilm: EmbeddingGenerator) -> None:
    texts = [" ".join(["word"] * length) for length in (1, 200, 3, 90, 2, 45, 150, 8)]
    model = BatchedModel(minilm.model, ServerSettings())
    vectors = (await model.afetch(texts, "document")).vectors
    await model.aclose()
    np.testing.assert_allclose(vectors, minilm.generate_batch(texts).vectors, atol=1e-5)
