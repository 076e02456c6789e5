"""The chunkers as LangChain text splitters, with the offsets that the chunkers give."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from langchain_core.documents import Document
from langchain_text_splitters import TextSplitter

from embedpipe.chunking import (
    MarkdownChunker,
    ParagraphChunker,
    RecursiveChunker,
    SemanticChunker,
    SentenceChunker,
    TokenChunker,
)
from embedpipe.embedding import EmbeddingGenerator
from embedpipe.errors import InputError
from embedpipe.types import Chunker


class ChunkerTextSplitter(TextSplitter):
    """Splits with any chunker: `ChunkerTextSplitter(RecursiveChunker(chunk_size=500))`.

    Each piece is a Document with the source's metadata (a copy), the chunk's own, and its exact `start_index` unless
    declined. A source's id gives the pieces theirs: `id:0`, `id:1` and so on.
    """

    def __init__(self, chunker: Chunker, *, add_start_index: bool = True) -> None:
        super().__init__(add_start_index=add_start_index)
        self.chunker = chunker

    def split_text(self, text: str) -> list[str]:
        """The texts of the chunks, in order."""
        return [chunk.text for chunk in self.chunker.chunk(text)]

    def create_documents(self, texts: list[str], metadatas: list[dict[Any, Any]] | None = None) -> list[Document]:
        """The chunks of all texts, in order. Raises `InputError` unless there is one metadata for each text."""
        if metadatas is not None and len(metadatas) != len(texts):
            raise InputError(f"Expected one metadata for each of {len(texts)} texts, got {len(metadatas)}.")
        sources = zip(texts, metadatas or [{}] * len(texts), strict=True)
        return [piece for text, metadata in sources for piece in self._pieces(text, metadata, None)]

    def split_documents(self, documents: Iterable[Document]) -> list[Document]:
        """The chunks of all documents, in order."""
        return [piece for doc in documents for piece in self._pieces(doc.page_content, doc.metadata, doc.id)]

    def _pieces(self, text: str, metadata: dict[Any, Any], source_id: str | None) -> list[Document]:
        pieces = []
        for chunk in self.chunker.chunk(text):
            own = {**copy.deepcopy(metadata), **chunk.metadata}
            if self._add_start_index:
                own["start_index"] = chunk.start_index
            piece_id = None if source_id is None else f"{source_id}:{chunk.chunk_index}"
            pieces.append(Document(page_content=chunk.text, metadata=own, id=piece_id))
        return pieces


class RecursiveTextSplitter(ChunkerTextSplitter):
    """Splits with a `RecursiveChunker`, whose settings it takes."""

    def __init__(self, *, add_start_index: bool = True, **settings: Any) -> None:
        super().__init__(RecursiveChunker(**settings), add_start_index=add_start_index)


class TokenTextSplitter(ChunkerTextSplitter):
    """Splits with a `TokenChunker`, whose settings it takes."""

    def __init__(self, *, add_start_index: bool = True, **settings: Any) -> None:
        super().__init__(TokenChunker(**settings), add_start_index=add_start_index)


class SentenceTextSplitter(ChunkerTextSplitter):
    """Splits with a `SentenceChunker`, whose settings it takes."""

    def __init__(self, *, add_start_index: bool = True, **settings: Any) -> None:
        super().__init__(SentenceChunker(**settings), add_start_index=add_start_index)


class ParagraphTextSplitter(ChunkerTextSplitter):
    """Splits with a `ParagraphChunker`, whose settings it takes."""

    def __init__(self, *, add_start_index: bool = True, **settings: Any) -> None:
        super().__init__(ParagraphChunker(**settings), add_start_index=add_start_index)


class MarkdownTextSplitter(ChunkerTextSplitter):
    """Splits with a `MarkdownChunker`, whose settings it takes; a piece's metadata holds its heading path."""

    def __init__(self, *, add_start_index: bool = True, **settings: Any) -> None:
        super().__init__(MarkdownChunker(**settings), add_start_index=add_start_index)


class SemanticTextSplitter(ChunkerTextSplitter):
    """Splits with a `SemanticChunker`, whose settings it takes; `model` may be an embedding model's name."""

    def __init__(self, *, model: Any = "all-MiniLM-L6-v2", add_start_index: bool = True, **settings: Any) -> None:
        generator = EmbeddingGenerator(model) if isinstance(model, str) else model
        super().__init__(SemanticChunker(model=generator, **settings), add_start_index=add_start_index)
