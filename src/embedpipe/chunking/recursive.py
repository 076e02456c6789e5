"""Cut at the best separator that keeps a chunk within its size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from embedpipe._checks import MOST_COUNT, Bounds, check_fields
from embedpipe.chunking._fast_split import FastSplit
from embedpipe.chunking._joints import Joints
from embedpipe.chunking._markdown_outline import Outline, may_divide
from embedpipe.chunking._measure import Size, Unit, check_size, check_unit, measure_of, table_headers
from embedpipe.chunking._recursive_split import RecursiveSplit
from embedpipe.chunking._spans import check_text, make_chunks
from embedpipe.chunking.separators import Separator, as_separators, separators_for
from embedpipe.text import Tokenizer
from embedpipe.types import Chunk


@dataclass(frozen=True, kw_only=True)
class RecursiveChunker:
    """Cuts at the best separator that keeps a chunk within its size: between paragraphs, lines, sentences or words.

    With the same separators, no overlap and sizes in characters, the chunks are the texts that LangChain's
    RecursiveCharacterTextSplitter gives.

    With `language="markdown"`, a heading stays with the beginning of its text, and a chunk that begins inside a table
    has the table's header row as its `header`.

    Args:
        chunk_size: The size of a chunk at most, in `unit`. "model" for the embedding model's limit.
        chunk_overlap: How much of a chunk's end the next one repeats at most, in `unit`.
        language: "prose", "markdown", "html", "python", "javascript", "java", "go", "rust", "cpp" or "sql".
        separators: Used in place of the language's: strings, or `Separator(..., regex=True)` for regular expressions.
            LangChain's own lists for languages are read as LangChain reads them.
        unit: "characters" or "tokens".
        tokenizer: A tiktoken encoding, an OpenAI model, a local model's name or folder, or a `TokenCounter`.
    """

    chunk_size: Size = 1000
    chunk_overlap: int = 0
    language: str = "prose"
    separators: Sequence[str | Separator] | None = None
    unit: Unit = "characters"
    tokenizer: Tokenizer = "cl100k_base"

    def __post_init__(self) -> None:
        check_fields(self, {"chunk_overlap": Bounds(0, MOST_COUNT)})
        check_size(self.chunk_size, self.chunk_overlap)
        check_unit(self.unit, self.tokenizer)
        separators_for(self.language)
        if self.separators is not None:
            object.__setattr__(self, "separators", as_separators(self.separators))

    def chunk(self, text: str) -> list[Chunk]:
        """Return chunks of at most `chunk_size` characters or tokens, in order, without the space around each.

        The next chunk begins up to `chunk_overlap` before the end of the last, at a separator if one is near. A
        grapheme cluster of more than `chunk_size` is a chunk by itself.

        Raises:
            InputError: If the text is not a str.
        """
        check_text(text)
        size, overlap = self.chunk_size, self.chunk_overlap
        separators = separators_for(self.language) if self.separators is None else as_separators(self.separators)
        plain = not any(separator.regex for separator in separators)
        markdown = separators == separators_for("markdown")
        if self.unit == "characters" and not overlap and size != "model" and plain:
            chunks = make_chunks(text, FastSplit(text, separators, size).run())
            if not markdown or not may_divide(text, chunks):
                return chunks
        outline = Outline(text) if markdown else None
        headers = (
            table_headers(outline.tables, size=size, unit=self.unit, tokenizer=self.tokenizer) if outline else None
        )
        measure = measure_of(
            text, unit=self.unit, tokenizer=self.tokenizer, size=size, overlap=overlap, headers=headers
        )
        joints = Joints(outline.joints(), measure) if outline else None
        chunks = make_chunks(text, RecursiveSplit(text, separators, measure, overlap=overlap > 0, joints=joints).run())
        if headers is None:
            return chunks
        return [chunk._replace(header=headers.header(chunk.start_index)) for chunk in chunks]
