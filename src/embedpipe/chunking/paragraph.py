"""Chunks of whole paragraphs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from embedpipe._checks import MOST_COUNT, Bounds, check_fields
from embedpipe.chunking._measure import Size, Unit, check_unit, measure_or_none
from embedpipe.chunking._spans import Span, check_setting, check_text, make_chunks
from embedpipe.chunking._units import cut_units, join_units
from embedpipe.chunking.separators import separators_for
from embedpipe.text import Tokenizer
from embedpipe.types import Chunk

_BLANK_LINES = re.compile(r"(?:\r?\n|\r|\u2029)(?:[^\S\n\r\u2029]*+(?:\r?\n|\r|\u2029))++|\u2029")


def paragraph_spans(text: str) -> Iterator[Span]:
    """Yield (start, end) of each paragraph in order. Blank lines divide them."""
    start = 0
    for match in _BLANK_LINES.finditer(text):
        if match.start() > start:
            yield start, match.start()
        start = match.end()
    if start < len(text):
        yield start, len(text)


@dataclass(frozen=True, kw_only=True)
class ParagraphChunker:
    """Joins neighboring paragraphs while they fit `chunk_size`, up to `max_paragraphs` of them.

    Each chunk begins with the last `overlap_paragraphs` of the one before, as far as there is room.
    """

    chunk_size: Size = 1000
    max_paragraphs: int | None = None
    overlap_paragraphs: int = 0
    unit: Unit = "characters"
    tokenizer: Tokenizer = "cl100k_base"

    def __post_init__(self) -> None:
        check_fields(self, {"overlap_paragraphs": Bounds(0, MOST_COUNT)})
        if self.max_paragraphs is not None:
            check_setting("max_paragraphs", self.max_paragraphs, least=self.overlap_paragraphs + 1)
        check_unit(self.unit, self.tokenizer)

    def chunk(self, text: str) -> list[Chunk]:
        """Return chunks of whole paragraphs, in order. A paragraph over `chunk_size` is cut like prose.

        Raises:
            InputError: If the text is not a str.
        """
        check_text(text)
        measure = measure_or_none(text, unit=self.unit, tokenizer=self.tokenizer, size=self.chunk_size)
        paragraphs = cut_units(text, paragraph_spans(text), measure, separators_for("prose"))
        return make_chunks(
            text, join_units(paragraphs, measure, most=self.max_paragraphs, overlap=self.overlap_paragraphs)
        )
