"""Chunks about one thing each, found by their embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from embedpipe._checks import MOST_COUNT, Bounds, check_fields
from embedpipe.chunking._dynamic import best_runs
from embedpipe.chunking._measure import Measure, Size, Unit, check_unit, measure_of
from embedpipe.chunking._spans import Span, check_text, make_chunks
from embedpipe.chunking._units import cut_units, join_units
from embedpipe.chunking.separators import separators_for
from embedpipe.errors import ConfigurationError, InputError
from embedpipe.text import Tokenizer, sentence_spans, without_surrogates
from embedpipe.types import Chunk, EmbeddingModel, Vectors

Method: TypeAlias = Literal["dynamic", "percentile"]


class _Batch(Protocol):
    @property
    def vectors(self) -> Vectors: ...


class BatchEmbedder(Protocol):
    """An `EmbeddingGenerator`, or an object with the same `generate_batch`."""

    def generate_batch(self, texts: list[str], /) -> _Batch: ...


@dataclass(frozen=True, kw_only=True)
class SemanticChunker:
    """Cuts where the meaning changes, by the vectors of `model`.

    The method "dynamic" cuts the text into sentences and joins short ones into pieces. Of all ways to join neighbors
    within `chunk_size`, it takes the one with the highest sum of similarities within chunks, each less the mean
    similarity of the text (Smith and Troynikov, "Evaluating Chunking Strategies for Retrieval", 2024:
    ClusterSemanticChunker). The method "percentile" cuts between two sentences whose distance is in the highest
    percents of the text (Kamradt, "5 Levels of Text Splitting", 2023), then cuts on to `chunk_size`.

    Args:
        model: An `EmbeddingGenerator` or a backend.
        chunk_size: The size of a chunk at most, in `unit`.
        method: "dynamic" or "percentile".
        piece_size: For "dynamic": up to which size sentences are joined first. None for a fifth of `chunk_size`.
        percentile: For "percentile": cut where the distance is above that of this many percent of the places.
        buffer: For "percentile": how many neighbors on each side a sentence is embedded with.
        unit: "characters" or "tokens".
        tokenizer: The tokenizer whose tokens count, as of `RecursiveChunker`.
    """

    model: EmbeddingModel | BatchEmbedder
    chunk_size: Size = 1000
    method: Method = "dynamic"
    piece_size: int | None = None
    percentile: float = 95.0
    buffer: int = 1
    unit: Unit = "characters"
    tokenizer: Tokenizer = "cl100k_base"

    def __post_init__(self) -> None:
        check_fields(self, {"percentile": Bounds(0, 100), "buffer": Bounds(0, MOST_COUNT)})
        check_unit(self.unit, self.tokenizer)
        if not hasattr(self.model, "generate_batch") and not isinstance(self.model, EmbeddingModel):
            raise ConfigurationError(
                f"model is a {type(self.model).__name__}. Pass an EmbeddingGenerator or an EmbeddingModel, for a name "
                "EmbeddingGenerator('all-MiniLM-L6-v2')."
            )

    def chunk(self, text: str) -> list[Chunk]:
        """Return chunks of at most `chunk_size`, in order.

        Raises:
            InputError: If the text is not a str.
            EmbedPipeError: Any error that the model raises for texts that it cannot embed.
        """
        check_text(text)
        measure = measure_of(text, unit=self.unit, tokenizer=self.tokenizer, size=self.chunk_size, overlap=0)
        spans = self._dynamic(text, measure) if self.method == "dynamic" else self._by_percentile(text, measure)
        return make_chunks(text, spans)

    def _dynamic(self, text: str, measure: Measure) -> list[Span]:
        piece_size = self.piece_size or max(int(self.chunk_size) // 5, 1)
        small = measure_of(text, unit=self.unit, tokenizer=self.tokenizer, size=piece_size, overlap=0)
        pieces = join_units(cut_units(text, sentence_spans(text), small, separators_for("prose")), small)
        # A grapheme cluster may be longer than the limit, and a piece longer than a chunk if the user says so.
        pieces = cut_units(text, pieces, measure, separators_for("prose"))
        if len(pieces) < 2:
            return pieces
        return [(pieces[a][0], pieces[b][1]) for a, b in best_runs(self._embed(text, pieces), _lowest(pieces, measure))]

    def _by_percentile(self, text: str, measure: Measure) -> list[Span]:
        sentences = sentence_spans(text)
        if len(sentences) < 2:
            return cut_units(text, sentences, measure, separators_for("prose"))
        last = len(sentences) - 1
        around = [
            (sentences[max(i - self.buffer, 0)][0], sentences[min(i + self.buffer, last)][1]) for i in range(last + 1)
        ]
        vectors = self._embed(text, around)
        distances = 1.0 - np.einsum("ij,ij->i", vectors[:-1], vectors[1:])
        cuts = np.flatnonzero(distances > np.percentile(distances, self.percentile)) + 1
        spans: list[Span] = []
        for group in np.split(np.arange(last + 1), cuts):
            members = [sentences[i] for i in group]
            spans.extend(join_units(cut_units(text, members, measure, separators_for("prose")), measure))
        return spans

    def _embed(self, text: str, spans: list[Span]) -> npt.NDArray[np.float32]:
        """Return the vectors of the spans, (n, d) float32, unit rows."""
        texts = [without_surrogates(text[start:end]) for start, end in spans]
        if isinstance(self.model, EmbeddingModel):
            vectors = self.model.embed(texts, "document")
        else:
            vectors = self.model.generate_batch(texts).vectors
        if len(vectors) != len(texts):
            raise InputError(f"The model gave {len(vectors)} vectors for {len(texts)} texts.")
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.where(norms == 0, 1, norms), dtype=np.float32)


def _lowest(pieces: list[Span], measure: Measure) -> list[int]:
    """Return for each piece the first piece with which it fits into one chunk."""
    lowest: list[int] = []
    first = 0
    for number, (_, end) in enumerate(pieces):
        while first < number and measure.reach(pieces[first][0], end) < end:
            first += 1
        lowest.append(first)
    return lowest
