"""Windows of tokens."""

from __future__ import annotations

from dataclasses import dataclass

from embedpipe._checks import MOST_COUNT, Bounds, check_fields
from embedpipe.chunking._measure import Size, check_size, measure_of
from embedpipe.chunking._recursive_split import RecursiveSplit
from embedpipe.chunking._spans import check_text, make_chunks
from embedpipe.text import Tokenizer, token_counter
from embedpipe.types import Chunk


@dataclass(frozen=True, kw_only=True)
class TokenChunker:
    """Cuts into windows of `chunk_size` tokens, wherever a window is full, but not inside a grapheme cluster.

    `tokenizer` is a tiktoken encoding, an OpenAI model, or a local model's name or folder.
    """

    chunk_size: Size = 256
    chunk_overlap: int = 0
    tokenizer: Tokenizer = "cl100k_base"

    def __post_init__(self) -> None:
        check_fields(self, {"chunk_overlap": Bounds(0, MOST_COUNT)})
        check_size(self.chunk_size, self.chunk_overlap)
        token_counter(self.tokenizer)

    def chunk(self, text: str) -> list[Chunk]:
        """Return chunks of at most `chunk_size` tokens, each encoded by itself, in order, without space around them.

        A grapheme cluster of more tokens is a chunk by itself. Text that spells a special token is plain text.

        Raises:
            InputError: If the text is not a str.
        """
        check_text(text)
        size, overlap = self.chunk_size, self.chunk_overlap
        measure = measure_of(text, unit="tokens", tokenizer=self.tokenizer, size=size, overlap=overlap)
        return make_chunks(text, RecursiveSplit(text, (), measure, overlap=overlap > 0).run())
