"""Chunks of Markdown that know their headings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from embedpipe._checks import check_fields
from embedpipe.chunking._joints import Joints
from embedpipe.chunking._markdown_outline import Outline
from embedpipe.chunking._measure import Size, Unit, check_unit, measure_of, table_headers
from embedpipe.chunking._recursive_split import RecursiveSplit
from embedpipe.chunking._spans import Span, check_text, make_chunks
from embedpipe.chunking._units import join_units
from embedpipe.chunking.separators import separators_for
from embedpipe.text import Tokenizer
from embedpipe.types import Chunk


@dataclass(frozen=True, kw_only=True)
class MarkdownChunker:
    """Cuts at every heading and, within a section, between blocks.

    A heading stays with the beginning of its text. Fenced code and tables stay whole if they fit `chunk_size` together
    with a heading before them. A chunk that begins inside a table has the table's header row as its `header`, which
    counts towards `chunk_size`. A chunk's metadata holds `heading` (the nearest above
    it) and `heading_path` (that and its parents, outermost first). Chunks before the first heading have neither.
    """

    chunk_size: Size = 1000
    unit: Unit = "characters"
    tokenizer: Tokenizer = "cl100k_base"

    def __post_init__(self) -> None:
        check_fields(self)
        check_unit(self.unit, self.tokenizer)

    def chunk(self, text: str) -> list[Chunk]:
        """Return chunks in order, each within `chunk_size` and, but for headings without text, within one section.

        Raises:
            InputError: If the text is not a str.
        """
        check_text(text)
        outline = Outline(text)
        headers = table_headers(outline.tables, size=self.chunk_size, unit=self.unit, tokenizer=self.tokenizer)
        measure = measure_of(
            text, unit=self.unit, tokenizer=self.tokenizer, size=self.chunk_size, overlap=0, headers=headers
        )
        separators = separators_for("markdown")
        chunks: list[Chunk] = []
        for section in outline.sections:
            pieces: list[Span] = []
            for passage in section.passages:
                if measure.reach(passage.start, passage.end) >= passage.end:
                    pieces.append((passage.start, passage.end))
                    continue
                joints = Joints(passage.joints, measure)
                split = RecursiveSplit(text, separators, measure, overlap=False, joints=joints)
                pieces.extend(split.run(passage.start, passage.end))
            for chunk in make_chunks(text, join_units(pieces, measure)):
                header = headers.header(chunk.start_index) if headers else None
                chunks.append(chunk._replace(chunk_index=len(chunks), metadata=_headings(section.path), header=header))
        return chunks


def _headings(path: list[str]) -> dict[str, Any]:
    return {"heading": path[-1], "heading_path": list(path)} if path else {}
