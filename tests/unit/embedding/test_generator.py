"""The engine on a model without weights: order, duplicates, limits, errors."""

from __future__ import annotations

import asyncio
import logging
import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedpipe.embedding import EmbeddingGenerator, Limits
from embedpipe.errors import EmbeddingError, InputError, InvalidVectorsError, TokenLimitError
from embedpipe.testing import FakeEmbeddingModel
from embedpipe.types import Kind, ModelSpec, Vectors

VISIBLE = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(lambda text: text.strip())


class Recording:
    """A model that keeps what it was asked for."""

    def __init__(self, model: FakeEmbeddingModel, *, limits: Limits | None = None) -> None:
        self.model = model
        self.limits = limits or Limits(concurrency=1)
        self.counter = model.counter
        self.special_tokens = 0
        self.batches: list[list[str]] = []

    @property
    def spec(self) -> ModelSpec:
        return self.model.spec

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        self.batches.append(list(texts))
        return self.model.embed(texts, kind)


@given(st.lists(VISIBLE, max_size=30), st.integers(1, 7))
def test_vectors_come_in_order_and_duplicates_are_embedded_once(texts: list[str], batch_items: int) -> None:
    model = Recording(FakeEmbeddingModel(8), limits=Limits(batch_items=batch_items, concurrency=3))
    batch = EmbeddingGenerator(model).generate_batch(texts)
    assert batch.vectors.shape == (len(texts), 8)
    assert batch.vectors.dtype == np.float32
    assert batch.vectors.flags.c_contiguous
    assert [result.text for result in batch] == texts
    for result in batch:
        np.testing.assert_array_equal(result.embedding, model.model.embed([result.text], "document")[0])
    sent = [text for part in model.batches for text in part]
    assert sorted(sent) == sorted(set(texts))
    assert all(len(part) <= batch_items for part in model.batches)


async def test_sync_and_async_agree() -> None:
    generator = EmbeddingGenerator(FakeEmbeddingModel(8), limits=Limits(batch_items=2, concurrency=4))
    texts = [f"text {n % 7}" for n in range(20)]
    one = await asyncio.to_thread(generator.generate_batch, texts)
    other = await generator.agenerate_batch(texts)
    np.testing.assert_array_equal(one.vectors, other.vectors)
    np.testing.assert_array_equal(one.token_counts, other.token_counts)
    single = await generator.agenerate("text 3", kind="query")
    np.testing.assert_array_equal(single.embedding, one.vectors[3])


def test_batches_keep_to_the_token_budget() -> None:
    model = Recording(FakeEmbeddingModel(4), limits=Limits(batch_tokens=10, concurrency=1))
    texts = ["a" * size for size in (3, 6, 9, 12, 15, 18, 45)]
    EmbeddingGenerator(model).generate_batch(texts)
    counts = [[model.counter.count(text) for text in part] for part in model.batches]
    assert all(sum(part) <= 10 or len(part) == 1 for part in counts)
    assert sorted(count for part in counts for count in part) == [1, 2, 3, 4, 5, 6, 15]


def test_local_batches_hold_texts_of_like_length() -> None:
    model = Recording(FakeEmbeddingModel(4), limits=Limits(batch_items=2, concurrency=1))
    EmbeddingGenerator(model).generate_batch(["a", "b" * 90, "c" * 3, "d" * 99])
    assert model.batches == [["d" * 99, "b" * 90], ["c" * 3, "a"]]


@pytest.mark.parametrize(
    ("bad", "expected"),
    [("", "empty"), (" \n\t", "white space"), (None, "NoneType"), (7, "int"), ("a\ud800b", "surrogate")],
)
def test_bad_texts_are_refused_before_anything_is_sent(bad: object, expected: str) -> None:
    model = Recording(FakeEmbeddingModel(4))
    with pytest.raises(InputError, match=f"position 1.*{expected}"):
        EmbeddingGenerator(model).generate_batch(["fine", bad])  # type: ignore[list-item]
    assert model.batches == []


def test_a_single_text_is_no_batch() -> None:
    with pytest.raises(InputError, match="single text"):
        EmbeddingGenerator(FakeEmbeddingModel(4)).generate_batch("text")


@pytest.mark.parametrize("kind", ["foo", None, "Document"])
async def test_a_kind_that_is_none_is_refused(kind: Any) -> None:
    engine: Any = EmbeddingGenerator(FakeEmbeddingModel(8))
    for name, texts in (("generate", "text"), ("generate_batch", ["text"]), ("attempt", ["text"])):
        with pytest.raises(InputError, match="Pass 'document' or 'query'"):
            getattr(engine, name)(texts, kind=kind)
        with pytest.raises(InputError, match="Pass 'document' or 'query'"):
            await getattr(engine, f"a{name}")(texts, kind=kind)


def test_no_texts_give_no_vectors() -> None:
    batch = EmbeddingGenerator(FakeEmbeddingModel(4)).generate_batch([])
    assert batch.vectors.shape == (0, 4)
    assert list(batch) == []


def test_an_attempt_keeps_what_succeeded() -> None:
    attempt = EmbeddingGenerator(FakeEmbeddingModel(4)).attempt(["good", "", "fine", "good"])
    assert list(attempt.positions) == [0, 2, 3]
    assert list(attempt.errors) == [1]
    assert list(attempt.batch.texts) == ["good", "fine", "good"]
    np.testing.assert_array_equal(attempt.batch.vectors[0], attempt.batch.vectors[2])


def test_cleaning_is_off_unless_asked_for() -> None:
    model = Recording(FakeEmbeddingModel(4))
    EmbeddingGenerator(model).generate(" e\u0301 \x07 ")
    EmbeddingGenerator(model, clean_text=True).generate(" e\u0301 \x07 ")
    assert model.batches == [[" e\u0301 \x07 "], ["\u00e9"]]


class Broken(FakeEmbeddingModel):
    """Spoils the vectors of texts that say so."""

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        vectors = super().embed(texts, kind)
        for text, vector in zip(texts, vectors, strict=True):
            if text == "crash":
                raise RuntimeError("out of memory")
            if text in ("nan", "zero", "inf"):
                vector[:] = {"nan": np.nan, "zero": 0.0, "inf": np.inf}[text]
        return vectors[:, :-1] if "short" in texts else vectors


@pytest.mark.parametrize("bad", ["nan", "zero", "inf"])
def test_bad_vectors_are_pinned_on_their_text_and_the_others_get_through(bad: str) -> None:
    texts = ["a", "b", bad, "c", "d"]
    generator = EmbeddingGenerator(Broken(4))
    with pytest.raises(InvalidVectorsError) as caught:
        generator.generate_batch(texts)
    assert caught.value.inputs == (2,)
    attempt = generator.attempt(texts)
    assert list(attempt.positions) == [0, 1, 3, 4]
    np.testing.assert_array_equal(attempt.batch.vectors, FakeEmbeddingModel(4).embed(["a", "b", "c", "d"], "document"))


@pytest.mark.parametrize(("bad", "expected"), [("short", "shape"), ("crash", "out of memory")])
def test_a_failing_backend_costs_the_text_that_it_fails_at(bad: str, expected: str) -> None:
    with pytest.raises(EmbeddingError, match=expected) as caught:
        EmbeddingGenerator(Broken(4)).generate_batch(["a", bad])
    assert caught.value.inputs == (1,)


@pytest.mark.parametrize("size", [2, 300, 2048])
def test_a_bad_text_costs_no_other_where_it_comes_first(size: int) -> None:
    """Then all its halves fail before the first of the others succeeds."""
    limits = Limits(batch_items=size, concurrency=1)
    attempt = EmbeddingGenerator(Broken(4), limits=limits).attempt(["crash", *(f"{n:x}" for n in range(size - 1))])
    assert list(attempt.errors) == [0]
    assert len(attempt.positions) == size - 1


class Stumbling(FakeEmbeddingModel):
    """Fails at every request with a text that says so, and after so many requests at every one."""

    def __init__(self, *, requests: int = 10_000) -> None:
        super().__init__(8, max_tokens=50)
        self.left = requests
        self.batches: list[Sequence[str]] = []

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        self.batches.append(texts)
        self.left -= 1
        if self.left < 0 or any(text.startswith("crash") for text in texts):
            raise RuntimeError("out of memory")
        return super().embed(texts, kind)


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_many_bad_texts_in_a_row_cost_no_other(mode: str, concurrency: int) -> None:
    """Texts that have succeeded, and pieces of one, are sent again to tell bad texts from a model that is down."""
    texts = [LONG, *(f"text {n}" for n in range(30)), *(f"crash {n}" for n in range(70)), LONG + "more"]
    model = Stumbling()
    engine = EmbeddingGenerator(model, limits=Limits(batch_items=4, concurrency=concurrency))
    attempt = engine.attempt(texts) if mode == "sync" else asyncio.run(engine.aattempt(texts))
    assert [texts[place] for place in attempt.errors] == [text for text in texts if text.startswith("crash")]
    good = [text for text in texts if not text.startswith("crash")]
    whole = EmbeddingGenerator(FakeEmbeddingModel(8, max_tokens=50)).generate_batch(good)
    np.testing.assert_allclose(attempt.batch.vectors, whole.vectors, atol=1e-6)
    sent = [text for part in model.batches for text in part]
    assert len(sent) > len(set(sent))


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_model_that_dies_is_not_asked_for_each_text(mode: str, concurrency: int) -> None:
    texts = [f"text {n}" for n in range(2000)]
    model = Stumbling(requests=5)
    engine = EmbeddingGenerator(model, limits=Limits(batch_items=32, concurrency=concurrency))
    attempt = engine.attempt(texts) if mode == "sync" else asyncio.run(engine.aattempt(texts))
    assert len(attempt.positions) == 5 * 32
    assert len(attempt.errors) == 2000 - 5 * 32
    assert len(model.batches) < 40
    assert all("out of memory" in str(error) for error in attempt.errors.values())


def test_normalisation_where_asked() -> None:
    class Long(FakeEmbeddingModel):
        def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
            return super().embed(texts, kind) * np.float32(3)

    plain, asked = EmbeddingGenerator(Long(8)), EmbeddingGenerator(Long(8), normalize=True)
    assert np.linalg.norm(plain.generate("a").embedding) == pytest.approx(3, abs=1e-5)
    assert np.linalg.norm(asked.generate("a").embedding) == pytest.approx(1, abs=1e-5)


LONG = "The quick brown fox jumps over the lazy dog. " * 12


def test_a_long_text_becomes_the_weighted_mean_of_its_pieces(caplog: pytest.LogCaptureFixture) -> None:
    model = Recording(FakeEmbeddingModel(8, max_tokens=50))
    generator = EmbeddingGenerator(model)
    with caplog.at_level(logging.INFO, logger="embedpipe"):
        batch = generator.generate_batch(["short", LONG, "other"])
        generator.generate(LONG + "more")
    pieces = [text for part in model.batches[:1] for text in part if text in LONG]
    assert len(pieces) > 2
    assert all(model.counter.count(piece) <= 50 for piece in pieces)
    assert sum(map(len, pieces)) == len(LONG)
    weights = [model.counter.count(piece) for piece in pieces]
    mean = np.average(model.model.embed(pieces, "document"), axis=0, weights=weights)
    np.testing.assert_allclose(batch.vectors[1], mean / np.linalg.norm(mean), atol=1e-6)
    np.testing.assert_array_equal(batch.vectors[0], model.model.embed(["short"], "document")[0])
    assert batch.token_counts[1] == model.counter.count(LONG)
    assert len([record for record in caplog.records if "pieces" in record.message]) == 1


def test_truncation_is_logged_and_takes_the_beginning(caplog: pytest.LogCaptureFixture) -> None:
    model = Recording(FakeEmbeddingModel(8, max_tokens=50))
    with caplog.at_level(logging.WARNING, logger="embedpipe"):
        EmbeddingGenerator(model, on_too_long="truncate").generate(LONG)
    [[sent]] = model.batches
    assert LONG.startswith(sent)
    assert 0 < model.counter.count(sent) <= 50
    assert "beginning" in caplog.text


def test_too_long_is_an_error_where_asked_for() -> None:
    model = Recording(FakeEmbeddingModel(8, max_tokens=50))
    with pytest.raises(TokenLimitError) as caught:
        EmbeddingGenerator(model, on_too_long="error").generate_batch(["short", LONG, LONG + "!"])
    assert caught.value.inputs == (1, 2)
    assert caught.value.token_counts == (180, 181)
    assert caught.value.max_tokens == 50
    assert model.batches == []


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=400).filter(lambda text: text.strip()))
def test_any_text_can_be_split(text: str) -> None:
    model = Recording(FakeEmbeddingModel(4, max_tokens=5))
    EmbeddingGenerator(model).generate(text)
    sent = [piece for part in model.batches for piece in part]
    assert all(model.counter.count(piece) <= 5 for piece in sent)
    assert "".join("".join(sorted(sent)).split()) or not text.strip()
    assert sorted("".join("".join(sent).split())) == sorted("".join(text.split()))


def test_a_generator_travels() -> None:
    generator = EmbeddingGenerator(FakeEmbeddingModel(8), limits=Limits(batch_items=3), on_too_long="error")
    other = pickle.loads(pickle.dumps(generator))  # noqa: S301 - made here
    np.testing.assert_array_equal(other.generate("a").embedding, generator.generate("a").embedding)
    assert other.limits == generator.limits
