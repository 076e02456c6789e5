"""Chunks of whole sentences."""

from __future__ import annotations

from dataclasses import dataclass

from embedpipe._checks import MOST_COUNT, Bounds, check_fields
from embedpipe.chunking._measure import Size, Unit, check_unit, measure_or_none
from embedpipe.chunking._spans import check_setting, check_text, make_chunks
from embedpipe.chunking._units import cut_units, join_units
from embedpipe.chunking.separators import separators_for
from embedpipe.text import Tokenizer, sentence_spans
from embedpipe.types import Chunk


@dataclass(frozen=True, kw_only=True)
class SentenceChunker:
    """Joins neighboring sentences, up to `max_sentences`, `chunk_size` or both. With neither, up to a size of 1000.

    Each chunk begins with the last `overlap_sentences` of the one before, as far as there is room.
    """

    max_sentences: int | None = None
    chunk_size: Size | None = None
    overlap_sentences: int = 0
    unit: Unit = "characters"
    tokenizer: Tokenizer = "cl100k_base"

    def __post_init__(self) -> None:
        check_fields(self, {"overlap_sentences": Bounds(0, MOST_COUNT)})
        if self.max_sentences is None and self.chunk_size is None:
            object.__setattr__(self, "chunk_size", 1000)
        if self.max_sentences is not None:
            check_setting("max_sentences", self.max_sentences, least=self.overlap_sentences + 1)
        check_unit(self.unit, self.tokenizer)

    def chunk(self, text: str) -> list[Chunk]:
        """Return chunks of whole sentences, in order. A sentence over `chunk_size` is cut like prose.

        Raises:
            InputError: If the text is not a str.
        """
        check_text(text)
        measure = measure_or_none(text, unit=self.unit, tokenizer=self.tokenizer, size=self.chunk_size)
        sentences = cut_units(text, sentence_spans(text), measure, separators_for("prose"))
        return make_chunks(
            text, join_units(sentences, measure, most=self.max_sentences, overlap=self.overlap_sentences)
        )
