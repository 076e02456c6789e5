"""Measure the size and the loss of each way of compression, on your own vectors."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from embedpipe._optional import require
from embedpipe.compression._arrays import checked, normalized
from embedpipe.compression.compressor import EmbeddingCompressor, truncate
from embedpipe.compression.quantization import BinaryQuantizer, Int8Quantizer
from embedpipe.errors import InputError
from embedpipe.evaluation.measures import measure
from embedpipe.types import Vectors

_RESCORED = 4
_COLUMNS = ("way", "bytes a vector", "of float32", "recall", "nDCG", "ms a query")


@dataclass(frozen=True, slots=True)
class Compressed:
    """Vectors as one way keeps them: their bytes, and a function from a query (d,) to the scores (n,) of all."""

    nbytes: int
    scores: Callable[[Vectors], Vectors]


Way: TypeAlias = Callable[[Vectors], Compressed]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The figures of one way.

    `recall` is the share of the k nearest by the full vectors that are among its own k nearest. `ndcg` is None without
    judgements. `milliseconds` is the median of one query over all vectors in numpy.
    """

    name: str
    bytes_per_vector: float
    recall: float
    ndcg: float | None
    milliseconds: float


@dataclass(frozen=True)
class CompressionReport:
    """The figures of all ways, the full vectors first. It shows as a table in a notebook, and as Markdown elsewhere."""

    ways: Sequence[Measured]
    k: int

    def plot(self) -> Any:
        """Return a matplotlib figure: recall over the bytes of a vector."""
        pyplot = require("matplotlib.pyplot", extra="notebook")
        figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
        for way in self.ways:
            axes.plot(way.bytes_per_vector, way.recall, "o")
            axes.annotate(way.name, (way.bytes_per_vector, way.recall), xytext=(6, 4), textcoords="offset points")
        axes.set(xscale="log", xlabel="bytes a vector", ylabel=f"recall@{self.k} of the full vectors")
        axes.margins(x=0.25, y=0.1)
        axes.grid(visible=True, alpha=0.3)
        pyplot.close(figure)  # else a notebook shows it twice
        return figure

    def markdown(self) -> str:
        """Return the figures as a Markdown table."""
        lines = [_COLUMNS, ["---"] * len(_COLUMNS), *self._cells()]
        return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)

    def _cells(self) -> list[list[str]]:
        full = self.ways[0].bytes_per_vector
        return [
            [
                way.name,
                f"{way.bytes_per_vector:,.0f}",
                f"{way.bytes_per_vector / full:.3f}",
                f"{way.recall:.4f}",
                "" if way.ndcg is None else f"{way.ndcg:.4f}",
                f"{way.milliseconds:.2f}",
            ]
            for way in self.ways
        ]

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in _COLUMNS)
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>" for cells in self._cells())
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def __repr__(self) -> str:
        return self.markdown()


def compare(
    vectors: npt.ArrayLike,
    queries: npt.ArrayLike,
    *,
    ways: Mapping[str, Way] | None = None,
    relevant: Sequence[Mapping[int, int]] | None = None,
    k: int = 10,
) -> CompressionReport:
    """Compare ways of compression with the full vectors, by cosine.

    Args:
        vectors: (n, d) numbers.
        queries: (m, d) numbers.
        ways: By name, a function from the full vectors to `Compressed`. By default `usual_ways(d, k)`.
        relevant: For each query {position of a relevant vector: its grade}, for nDCG.
        k: How many nearest vectors are compared.

    Raises:
        InputError: If the arrays do not fit together, or if there are fewer than `k` vectors.
    """
    every = normalized(checked(vectors))
    asked = normalized(checked(queries, every.shape[1]))
    if not 1 <= k <= len(every) or not len(asked):
        raise InputError(
            f"There are {len(asked)} queries and k={k}. Pass at least one query, and k from 1 to {len(every)}."
        )
    if relevant is not None and len(relevant) != len(asked):
        raise InputError(f"`relevant` has {len(relevant)} mappings for {len(asked)} queries. Pass one for each query.")
    chosen = {"float32": full} | dict(usual_ways(every.shape[1], k) if ways is None else ways)
    nearest = [set(_best(every @ query, k)) for query in asked]
    measured = [_measured(name, way(every), asked, nearest, relevant, k) for name, way in chosen.items()]
    return CompressionReport(measured, k)


def usual_ways(dimensions: int, k: int) -> dict[str, Way]:
    """Return half and a quarter of the dimensions, and fewer bits for each, for searches of the k nearest."""
    half, quarter = max(dimensions // 2, 1), max(dimensions // 4, 1)
    return {
        "float16": float16,
        "int8": int8,
        f"PCA to {half}": partial(components, dimensions=half),
        f"PCA to {quarter}": partial(components, dimensions=quarter),
        f"first {half}": partial(first, dimensions=half),
        "binary": binary,
        f"binary, {_RESCORED * k} rescored": partial(rescored_binary, candidates=_RESCORED * k),
    }


def full(vectors: Vectors) -> Compressed:
    """Keep the vectors as they are."""
    return Compressed(vectors.nbytes, vectors.__matmul__)


def float16(vectors: Vectors) -> Compressed:
    """Keep two bytes for each number, like `precision="float16"` and an index of the kind "half"."""
    kept = vectors.astype(np.float16)
    return Compressed(kept.nbytes, lambda query: kept.astype(np.float32) @ query)


def int8(vectors: Vectors) -> Compressed:
    """Keep one byte for each number."""
    quantizer = Int8Quantizer.fit(vectors)
    codes = quantizer.quantize(vectors)
    return Compressed(codes.nbytes, lambda query: quantizer.dequantize(codes) @ query)


def components(vectors: Vectors, *, dimensions: int) -> Compressed:
    """Keep principal components."""
    compressor = EmbeddingCompressor(dimensions).fit(vectors)
    kept = compressor.compress(vectors)
    return Compressed(kept.nbytes, lambda query: kept @ compressor.compress(query[None])[0])


def first(vectors: Vectors, *, dimensions: int) -> Compressed:
    """Keep the first dimensions."""
    kept = truncate(vectors, dimensions)
    return Compressed(kept.nbytes, lambda query: kept @ truncate(query[None], dimensions)[0])


def binary(vectors: Vectors) -> Compressed:
    """Keep one bit for each number."""
    quantizer = BinaryQuantizer(vectors.shape[1])
    bits = quantizer.quantize(vectors)
    return Compressed(bits.nbytes, lambda query: quantizer.similarities(bits, quantizer.quantize(query[None])))


def rescored_binary(vectors: Vectors, *, candidates: int) -> Compressed:
    """Find candidates by one bit for each number, and rank them by the full vectors, like a "binary" index."""
    bits = binary(vectors)

    def scores(query: Vectors) -> Vectors:
        near = _best(bits.scores(query), min(candidates, len(vectors)))
        found = np.full(len(vectors), -np.inf, dtype=np.float32)
        found[near] = vectors[near] @ query
        return found

    return Compressed(bits.nbytes, scores)


def _measured(
    name: str,
    kept: Compressed,
    queries: Vectors,
    nearest: Sequence[set[int]],
    relevant: Sequence[Mapping[int, int]] | None,
    k: int,
) -> Measured:
    found, seconds = [], []
    for query in queries:
        started = time.perf_counter()
        found.append(_best(kept.scores(query), k))
        seconds.append(time.perf_counter() - started)
    hits = sum(len(wanted.intersection(best)) for wanted, best in zip(nearest, found, strict=True))
    return Measured(
        name=name,
        bytes_per_vector=kept.nbytes / len(kept.scores(queries[0])),
        recall=hits / (k * len(queries)),
        ndcg=None if relevant is None else _ndcg(found, relevant, k),
        milliseconds=statistics.median(seconds) * 1e3,
    )


def _best(scores: Vectors, k: int) -> list[int]:
    """Return the positions of the k highest, highest first, ties by position."""
    cut = np.argpartition(-scores, k - 1)[:k]
    order = np.lexsort((cut, -scores[cut]))
    best: list[int] = cut[order].tolist()
    return best


def _ndcg(found: Sequence[Sequence[int]], relevant: Sequence[Mapping[int, int]], k: int) -> float:
    judged = {str(i): {str(row): grade for row, grade in grades.items()} for i, grades in enumerate(relevant)}
    rankings = {str(i): [str(row) for row in rows] for i, rows in enumerate(found)}
    values = measure(judged, rankings, [f"nDCG@{k}"])[f"nDCG@{k}"]
    return statistics.fmean(values.values())
