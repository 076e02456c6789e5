"""Fewer dimensions and fewer bits, and what they cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from embedpipe.compression import BinaryQuantizer, EmbeddingCompressor, Int8Quantizer, compare, truncate
from embedpipe.errors import ConfigurationError, InputError
from embedpipe.types import Vectors

RNG = np.random.default_rng(0)


def low_rank(n: int, dimensions: int = 32, rank: int = 6) -> Vectors:
    """Vectors that lie in a few directions, but for a little noise."""
    basis = np.random.default_rng(7).standard_normal((rank, dimensions))
    vectors = RNG.standard_normal((n, rank)) @ basis + 0.01 * RNG.standard_normal((n, dimensions))
    return vectors.astype(np.float32)


class TestCompressor:
    def test_components_keep_the_variance_and_the_order_of_neighbors(self) -> None:
        vectors = low_rank(500)
        compressor = EmbeddingCompressor(8).fit(vectors)
        compressed = compressor.compress(vectors)
        assert compressed.shape == (500, 8)
        assert compressed.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(compressed, axis=1), 1, rtol=1e-5)
        assert compressor.variance_kept > 0.99
        assert EmbeddingCompressor(2).fit(vectors).variance_kept < 0.8

    def test_it_agrees_with_the_singular_values_of_the_sample(self) -> None:
        vectors = low_rank(200)
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        centred = unit - unit.mean(axis=0)
        _, singular, components = np.linalg.svd(centred, full_matrices=False)
        compressor = EmbeddingCompressor(4).fit(vectors)
        assert compressor.variance_kept == pytest.approx((singular[:4] ** 2).sum() / (singular**2).sum(), rel=1e-5)
        expected = centred @ components[:4].T
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
        np.testing.assert_allclose(np.abs(compressor.compress(vectors)), np.abs(expected), atol=1e-3)

    def test_batches_give_what_the_whole_sample_gives(self) -> None:
        vectors = low_rank(300)
        whole, batched = EmbeddingCompressor(5).fit(vectors), EmbeddingCompressor(5)
        for start in range(0, 300, 70):
            batched.partial_fit(vectors[start : start + 70])
        assert batched.variance_kept == pytest.approx(whole.variance_kept)
        np.testing.assert_allclose(batched.compress(vectors), whole.compress(vectors), atol=1e-4)
        assert batched.fit(vectors).fingerprint == whole.fingerprint

    def test_it_is_saved_and_loaded_exactly(self, tmp_path: Path) -> None:
        vectors = low_rank(100)
        compressor = EmbeddingCompressor(5).fit(vectors)
        compressor.save(tmp_path / "compressor.npz")
        loaded = EmbeddingCompressor.load(tmp_path / "compressor.npz")
        assert (loaded.fingerprint, loaded.variance_kept) == (compressor.fingerprint, compressor.variance_kept)
        np.testing.assert_array_equal(loaded.compress(vectors), compressor.compress(vectors))
        with pytest.raises(InputError, match="no sample to add to"):
            loaded.partial_fit(vectors)
        assert loaded.fit(vectors[:50]).fingerprint != compressor.fingerprint

    def test_what_is_no_saved_compressor_is_refused_and_never_unpickled(self, tmp_path: Path) -> None:
        for name, content in (("text", b"hello"), ("empty", b"")):
            (tmp_path / name).write_bytes(content)
        np.savez(tmp_path / "objects.npz", format=1, mean=np.array([{}], dtype=object), components=1, variance_kept=1)
        np.savez(tmp_path / "other.npz", format=9, mean=np.ones(3), components=np.ones((2, 3)), variance_kept=1)
        np.savez(tmp_path / "apart.npz", format=1, mean=np.ones(3), components=np.ones((2, 4)), variance_kept=1)
        for path in sorted(tmp_path.iterdir()):
            with pytest.raises(InputError, match=r"no saved compressor|format 9"):
                EmbeddingCompressor.load(path)
        with pytest.raises(InputError, match="no saved compressor"):
            EmbeddingCompressor.load(tmp_path / "missing")

    @pytest.mark.parametrize(
        ("vectors", "message"),
        [
            (low_rank(3), "sample of at least 5"),
            (np.ones((50, 4), dtype=np.float32), "have 4 dimensions, fewer than the 5"),
            (np.ones((50, 32), dtype=np.float32), "all equal"),
            (np.full((50, 32), np.nan, dtype=np.float32), "NaN or infinity"),
            (np.ones(32, dtype=np.float32), "have the shape"),
            ("text", "array of numbers"),
        ],
    )
    def test_a_sample_that_gives_no_components_is_refused(self, vectors: Any, message: str) -> None:
        with pytest.raises(InputError, match=message):
            _ = EmbeddingCompressor(5).fit(vectors).fingerprint

    def test_what_it_was_not_fitted_for_is_refused(self) -> None:
        with pytest.raises(InputError, match="sample of at least"):
            EmbeddingCompressor(4).compress(low_rank(3))
        with pytest.raises(InputError, match=r"\(n, 32\) array"):
            EmbeddingCompressor(4).fit(low_rank(50)).compress(np.ones((2, 8)))
        with pytest.raises(ConfigurationError, match=r"dimensions=.* is out of range\. Pass a whole number"):
            EmbeddingCompressor(0)


def test_truncation_keeps_the_first_dimensions_at_length_one() -> None:
    vectors = low_rank(10)
    cut = truncate(vectors, 8)
    np.testing.assert_allclose(cut, vectors[:, :8] / np.linalg.norm(vectors[:, :8], axis=1, keepdims=True), rtol=1e-5)
    assert truncate(np.zeros((1, 4)), 2).tolist() == [[0, 0]]
    for dimensions in (0, 33):
        with pytest.raises(InputError, match="from 1 to 32"):
            truncate(vectors, dimensions)


FINITE = st.floats(-1e6, 1e6, width=32)


@given(arrays(np.float32, st.tuples(st.integers(1, 20), st.integers(1, 9)), elements=FINITE))
def test_a_byte_is_within_half_a_step(vectors: Vectors) -> None:
    quantizer = Int8Quantizer.fit(vectors)
    codes = quantizer.quantize(vectors)
    assert codes.dtype == np.int8
    error = np.abs(quantizer.dequantize(codes) - vectors)
    assert (error <= quantizer.step * 0.51 + np.abs(vectors) * 1e-5 + 1e-6).all()


def test_many_vectors_are_quantized_as_one_by_one() -> None:
    vectors = RNG.standard_normal((17_000, 300)).astype(np.float32)
    quantizer = Int8Quantizer.fit(vectors[:5000])
    codes = quantizer.quantize(vectors)
    for row in (0, 8_499, 8_500, 16_999):
        np.testing.assert_array_equal(codes[row], quantizer.quantize(vectors[row : row + 1])[0])
        np.testing.assert_array_equal(quantizer.dequantize(codes)[row], quantizer.dequantize(codes[row : row + 1])[0])
    quantizer.quantize(np.full((2, 300), 3e38))  # finite, though its square is not
    for bad in (np.nan, np.inf):
        vectors[-1, -1] = bad
        with pytest.raises(InputError, match="NaN or infinity"):
            quantizer.quantize(vectors)


def test_what_lies_outside_the_ranges_is_cut_to_them() -> None:
    quantizer = Int8Quantizer.fit([[-1.0, 0.0], [1.0, 10.0]])
    assert quantizer.quantize([[-9.0, 99.0]]).tolist() == [[-128, 127]]
    np.testing.assert_allclose(quantizer.dequantize(quantizer.quantize([[-9.0, 99.0]])), [[-1, 10]], atol=1e-5)


@given(arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 40)), elements=FINITE))
def test_a_bit_is_the_sign(vectors: Vectors) -> None:
    quantizer = BinaryQuantizer(vectors.shape[1])
    bits = quantizer.quantize(vectors)
    assert bits.shape == (len(vectors), -(-vectors.shape[1] // 8))
    restored = quantizer.dequantize(bits)
    np.testing.assert_array_equal(restored > 0, vectors > 0)
    expected = restored @ restored[0]
    np.testing.assert_allclose(quantizer.similarities(bits, bits[:1]), expected, atol=1e-5)


def test_codes_of_another_kind_are_refused() -> None:
    with pytest.raises(InputError, match="The sample is empty"):
        Int8Quantizer.fit(np.empty((0, 4)))
    with pytest.raises(InputError, match=r"Pass .*int8"):
        Int8Quantizer.fit(np.ones((2, 4))).dequantize(np.ones((2, 4), dtype=np.uint8))
    with pytest.raises(InputError, match=r"Pass .*uint8"):
        BinaryQuantizer(16).dequantize(np.ones((2, 4), dtype=np.uint8))


def test_ways_are_compared_with_the_full_vectors() -> None:
    vectors, queries = low_rank(400), low_rank(20)
    report = compare(vectors, queries, relevant=[{0: 1}] * 20, k=5)
    by_name = {way.name: way for way in report.ways}
    assert report.ways[0].name == "float32"
    assert (by_name["float32"].recall, by_name["float32"].bytes_per_vector) == (1, 128)
    assert by_name["float16"].recall > 0.95
    assert by_name["int8"].bytes_per_vector == 32
    assert by_name["binary"].bytes_per_vector == 4
    assert by_name["binary"].recall < by_name["binary, 20 rescored"].recall < by_name["PCA to 16"].recall
    assert all(way.ndcg is not None and 0 <= way.ndcg <= 1 for way in report.ways)
    assert report.markdown().count("\n") == 1 + len(report.ways)
    assert "binary, 20 rescored" in report._repr_html_()
    assert len(report.plot().axes) == 1


def test_what_cannot_be_compared_is_refused() -> None:
    vectors = low_rank(10)
    with pytest.raises(InputError, match="k from 1 to 10"):
        compare(vectors, vectors, k=11)
    with pytest.raises(InputError, match=r"\(n, 32\) array"):
        compare(vectors, np.ones((1, 4)))
    with pytest.raises(InputError, match="mappings for 10 queries"):
        compare(vectors, vectors, relevant=[{}])
