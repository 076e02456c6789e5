"""Every cache behind the protocol; the file cache under damage, several processes and SIGKILL."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from langchain_core.stores import InMemoryByteStore

from embedpipe.embedding import ByteStoreCache, EmbeddingGenerator, FileCache, Limits, RedisCache, VectorCache
from embedpipe.embedding.cache import KeyMaker, Precision, decode, encode, rounded
from embedpipe.errors import ConfigurationError
from embedpipe.testing import EmbeddingServer, FakeEmbeddingModel
from embedpipe.types import Kind, Vectors

REDIS = shutil.which("redis-server")


class Counting(FakeEmbeddingModel):
    """Counts the texts that it embedded."""

    def __init__(self, dimensions: int = 16, **settings: Any) -> None:
        super().__init__(dimensions, **settings)
        self.embedded: list[str] = []

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        self.embedded.extend(texts)
        return super().embed(texts, kind)


needs_redis = pytest.mark.skipif(REDIS is None, reason="no redis-server on this machine: apt-get install redis-server")


@pytest.fixture(params=["file", "byte store", pytest.param("redis", marks=needs_redis)])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VectorCache]:
    if request.param == "file":
        yield FileCache(tmp_path / "cache")
    elif request.param == "byte store":
        yield ByteStoreCache(InMemoryByteStore())
    else:
        yield RedisCache(request.getfixturevalue("redis_url"), prefix=f"{tmp_path}:")


TEXTS = [f"text {number}" for number in range(50)]


def test_a_second_call_embeds_nothing(cache: VectorCache) -> None:
    model = Counting()
    first = EmbeddingGenerator(model, cache=cache).generate_batch(TEXTS)
    second = EmbeddingGenerator(model, cache=cache).generate_batch([*TEXTS[10:], "new", "new"])
    assert model.embedded == [*TEXTS, "new"] or sorted(model.embedded) == sorted([*TEXTS, "new"])
    assert not first.cached.any()
    assert second.cached.tolist() == [True] * 40 + [False] * 2
    np.testing.assert_array_equal(second.vectors[:40], first.vectors[10:])
    np.testing.assert_array_equal(second.token_counts[:40], first.token_counts[10:])


def test_texts_are_forgotten_one_by_one(cache: VectorCache) -> None:
    model = Counting()
    generator = EmbeddingGenerator(model, cache=cache)
    generator.generate_batch(TEXTS)
    generator.generate(TEXTS[0], kind="query")
    assert generator.forget([*TEXTS[:10], "never embedded"]) == 11
    assert generator.forget(TEXTS[:10]) == generator.forget([]) == 0
    model.embedded.clear()
    generator.generate_batch(TEXTS)
    assert sorted(model.embedded) == sorted(TEXTS[:10])


def test_kinds_and_models_never_meet(cache: VectorCache) -> None:
    for model in (
        Counting(),
        Counting(query_prompt="query: "),
        Counting(name="another"),
        Counting(8),
    ):
        for kind in ("document", "query"):
            generator = EmbeddingGenerator(model, cache=cache)
            vector = generator.generate("text", kind=kind).embedding
            np.testing.assert_array_equal(vector, model.embed(["text"], kind)[0])
        assert len(model.embedded) == 4
    revised = Counting()
    revised.spec = replace(revised.spec, revision="2")
    assert not EmbeddingGenerator(revised, cache=cache).generate("text").cached


def test_a_long_text_is_kept_under_how_it_was_cut(cache: VectorCache) -> None:
    model = Counting(max_tokens=5)
    long = "word " * 30
    split = EmbeddingGenerator(model, cache=cache).generate(long)
    cut = EmbeddingGenerator(model, cache=cache, on_too_long="truncate").generate(long)
    assert not cut.cached
    assert not np.array_equal(split.embedding, cut.embedding)
    again = EmbeddingGenerator(model, cache=cache, on_too_long="truncate").generate(long)
    assert again.cached
    np.testing.assert_array_equal(again.embedding, cut.embedding)
    assert EmbeddingGenerator(model, cache=cache, on_too_long="error").generate("short").embedding.any()


def test_hits_are_not_counted_nor_limited(tmp_path: Path) -> None:
    class Deaf(Counting):
        """Cannot count once it is told to be deaf."""

        deaf = False

        @property
        def counter(self) -> Any:
            assert not self.deaf, "a hit was counted"
            return super().counter

    model = Deaf()
    generator = EmbeddingGenerator(model, cache=tmp_path, limits=Limits(requests_per_minute=1, concurrency=1))
    generator.generate("text")
    Deaf.deaf = True
    for _ in range(20):
        assert generator.generate("text").cached


def test_damage_is_a_miss_and_is_said(cache: VectorCache, caplog: pytest.LogCaptureFixture) -> None:
    model = Counting()
    generator = EmbeddingGenerator(model, cache=cache)
    expected = generator.generate_batch(TEXTS)
    keys = KeyMaker(generator.spec, "document").keys(TEXTS[:4])
    values = cache.get_many(keys)
    assert all(values)
    whole = [value or b"" for value in values]
    swapped = [whole[0][:-1] + bytes([whole[0][-1] ^ 1]), whole[1][:10], b"", whole[2]]
    cache.put_many(list(zip(keys, swapped, strict=True)))
    model.embedded.clear()
    with caplog.at_level(logging.WARNING, logger="embedpipe"):
        batch = generator.generate_batch(TEXTS)
    assert sorted(model.embedded) == TEXTS[:4]
    np.testing.assert_array_equal(batch.vectors, expected.vectors)
    assert "4 entries" in caplog.text
    assert EmbeddingGenerator(model, cache=cache).generate_batch(TEXTS).cached.all()


def test_a_cache_that_fails_costs_no_vector(caplog: pytest.LogCaptureFixture) -> None:
    class Failing:
        def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
            raise ConnectionError("gone")

        def put_many(self, entries: Sequence[tuple[bytes, bytes]]) -> None:
            raise ConnectionError("gone")

    batch = EmbeddingGenerator(Counting(), cache=Failing()).generate_batch(TEXTS)
    np.testing.assert_array_equal(batch.vectors, FakeEmbeddingModel(16).embed(TEXTS, "document"))
    assert "cannot be read" in caplog.text
    assert "cannot be written" in caplog.text


def test_half_precision_on_request(tmp_path: Path) -> None:
    cache = FileCache(tmp_path, precision="float16")
    generator = EmbeddingGenerator(Counting(384), cache=cache)
    first, second = generator.generate_batch(TEXTS), generator.generate_batch(TEXTS)
    assert second.cached.all()
    assert second.vectors.dtype == np.float32
    np.testing.assert_allclose(second.vectors, first.vectors, atol=1e-3)
    values = [value for value in cache.get_many(KeyMaker(generator.spec, "document").keys(TEXTS)) if value]
    assert max(map(len, values)) < 384 * 2 + 32


@pytest.fixture(params=["file", "byte store", pytest.param("redis", marks=needs_redis)])
def caches(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Precision], VectorCache]:
    """Opens one and the same cache for any precision."""
    if request.param == "file":
        return lambda precision: FileCache(tmp_path / "cache", precision=precision)
    if request.param == "byte store":
        kept = InMemoryByteStore()
        return lambda precision: ByteStoreCache(kept, precision=precision)
    url = request.getfixturevalue("redis_url")
    return lambda precision: RedisCache(url, prefix=f"{tmp_path}:", precision=precision)


def test_bytes_on_request(caches: Callable[[Precision], VectorCache]) -> None:
    model = Counting(384)
    exact = model.embed(TEXTS, "document")
    generator = EmbeddingGenerator(model, cache=caches("int8"))
    first, second = generator.generate_batch([*TEXTS, TEXTS[0]]), generator.generate_batch([*TEXTS, TEXTS[0]])
    assert second.cached.all()
    np.testing.assert_array_equal(second.vectors, first.vectors)
    assert not np.array_equal(first.vectors[:-1], exact)
    assert (first.vectors[:-1] * exact).sum(axis=1).min() > 0.9999
    np.testing.assert_allclose(np.linalg.norm(first.vectors, axis=1), 1, rtol=1e-6)
    values = caches("int8").get_many(KeyMaker(generator.spec, "document", "int8").keys(TEXTS))
    assert max(len(value or b"") for value in values) < 384 + 32


def test_bytes_and_whole_vectors_never_mix(caches: Callable[[Precision], VectorCache]) -> None:
    model = Counting(32)
    precisions: tuple[Precision, ...] = ("float32", "int8")
    for precision in precisions:
        assert not EmbeddingGenerator(model, cache=caches(precision)).generate_batch(TEXTS).cached.any()
    found: dict[Precision, bool] = {"float32": True, "float16": True, "int8": False}
    for precision, exact in found.items():
        batch = EmbeddingGenerator(model, cache=caches(precision)).generate_batch(TEXTS)
        assert batch.cached.all()
        assert np.array_equal(batch.vectors, FakeEmbeddingModel(32).embed(TEXTS, "document")) is exact


@given(arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 20)), elements=st.floats(-1e6, 1e6, width=32)))
def test_a_byte_is_within_half_of_its_scale(vectors: Vectors) -> None:
    scales = np.abs(vectors).max(axis=1, keepdims=True) / 127
    error = np.abs(rounded(vectors, "int8") - vectors)
    assert (error <= scales * 0.51 + 1e-37).all()


def test_a_precision_that_there_is_not_is_refused(tmp_path: Path) -> None:
    wrong: Any = "int4"
    with pytest.raises(ConfigurationError, match="'float32', 'float16' or 'int8'"):
        FileCache(tmp_path, precision=wrong)


def test_entries_round_trip() -> None:
    vectors = FakeEmbeddingModel(5).embed(["a", "b", "c"], "document")
    keys = [bytes([n]) * 32 for n in range(3)]
    entries = encode(
        keys, vectors, tokens=[1, 2, 3], treatments=["whole", "split", "truncate"], model="ä model", precision="float32"
    )
    found, damaged = decode(keys, [value for _, value in entries], dimensions=5, long_texts="split")
    assert damaged == 0
    assert [list(group.places) for group in found] == [[0], [1]]
    np.testing.assert_array_equal(np.concatenate([group.vectors for group in found]), vectors[:2])


def test_statistics_and_clearing_by_model(tmp_path: Path) -> None:
    cache = FileCache(tmp_path)
    one, other = Counting(name="one"), Counting(name="other")
    for model in (one, other, Counting(8, name="one")):
        EmbeddingGenerator(model, cache=cache).generate_batch(TEXTS)
    assert cache.stats().entries == 150
    assert (cache.stats().hits, cache.stats().misses) == (0, 150)
    assert cache.clear(other.spec) == 50
    assert cache.clear(model="one") == 100
    assert cache.stats().entries == 0
    EmbeddingGenerator(one, cache=cache).generate_batch(TEXTS)
    assert cache.clear() == 50


def test_a_bound_on_size_drops_the_oldest(tmp_path: Path) -> None:
    cache = FileCache(tmp_path, max_bytes=1 << 20)
    model = Counting(384)
    generator = EmbeddingGenerator(model, cache=cache)
    for start in range(0, 2000, 100):
        generator.generate_batch([f"text {n}" for n in range(start, start + 100)])
    assert cache.stats().bytes <= 1 << 20
    assert generator.generate_batch([f"text {n}" for n in range(1900, 2000)]).cached.all()
    assert not generator.generate("text 0").cached
    with pytest.raises(ConfigurationError, match="max_bytes"):
        FileCache(tmp_path, max_bytes=1)


@pytest.mark.parametrize("damage", ["cut short", "no database"])
def test_a_damaged_file_is_set_aside(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    first = FileCache(tmp_path)
    EmbeddingGenerator(Counting(384), cache=first).generate_batch(TEXTS)
    first.close()
    del first
    file = tmp_path / "data.mdb"
    if damage == "cut short":
        os.truncate(file, file.stat().st_size // 2)
    else:
        file.write_bytes(b"no database" * 1000)
    batch = EmbeddingGenerator(Counting(384), cache=FileCache(tmp_path)).generate_batch(TEXTS)
    assert not batch.cached.any()
    assert "damaged" in caplog.text
    assert list(tmp_path.glob("data.mdb.damaged-*"))


def _fill(folder: Path, start: int) -> None:
    EmbeddingGenerator(FakeEmbeddingModel(16), cache=folder).generate_batch(
        [f"text {n}" for n in range(start, start + 300)]
    )


def test_several_processes_share_a_folder(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_fill, args=(tmp_path, start)) for start in (0, 150, 300)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    texts = [f"text {n}" for n in range(600)]
    batch = EmbeddingGenerator(FakeEmbeddingModel(16), cache=tmp_path).generate_batch(texts)
    assert batch.cached.all()
    np.testing.assert_array_equal(batch.vectors, FakeEmbeddingModel(16).embed(texts, "document"))


WORKER = """
import sys
from embedpipe.embedding import EmbeddingGenerator, Limits
generator = EmbeddingGenerator(
    "text-embedding-3-small", base_url=sys.argv[1], api_key="any", cache=sys.argv[2],
    limits=Limits(batch_items=100, concurrency=4),
)
generator.generate_batch([f"text {n}" for n in range(5000)])
print("done")
"""


def test_a_rerun_after_sigkill_pays_only_for_what_is_missing(tmp_path: Path) -> None:
    model = FakeEmbeddingModel(1536)
    with EmbeddingServer(model, latency_s=0.05) as server:
        command = [sys.executable, "-c", WORKER, server.url, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
            while len(server.requests) < 20:
                time.sleep(0.01)
            worker.send_signal(signal.SIGKILL)
        sent = len(server.requests)
        kept = FileCache(tmp_path).stats().entries
        assert 0 < kept < 5000
        server.requests.clear()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["done"]
        paid_again = [text for request in server.requests for text in request.texts]
        assert len(paid_again) == 5000 - kept
        assert len(set(paid_again)) == len(paid_again)
        assert sent * 100 - kept <= 8 * 100  # what was under way when the process died
    texts = [f"text {n}" for n in range(5000)]
    generator = EmbeddingGenerator("text-embedding-3-small", base_url="http://127.0.0.1:9", cache=tmp_path)
    np.testing.assert_array_equal(generator.generate_batch(texts).vectors, model.embed(texts, "document"))


def test_a_cache_that_is_none() -> None:
    with pytest.raises(ConfigurationError, match="cannot be of type int"):
        EmbeddingGenerator(Counting(), cache=7)  # type: ignore[arg-type]
