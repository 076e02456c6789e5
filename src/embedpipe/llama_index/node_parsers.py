"""LlamaIndex node parsers over the chunkers, with the chunkers' exact offsets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from functools import lru_cache
from typing import Any, ClassVar, Self

from llama_index.core.bridge.pydantic import Field, field_serializer
from llama_index.core.node_parser.interface import MetadataAwareTextSplitter
from llama_index.core.node_parser.node_utils import build_nodes_from_splits, default_id_func
from llama_index.core.schema import BaseNode, Document, MetadataMode, TextNode
from llama_index.core.utils import get_tqdm_iterable

from embedpipe.chunking import (
    MarkdownChunker,
    ParagraphChunker,
    RecursiveChunker,
    SemanticChunker,
    SentenceChunker,
    Separator,
    TokenChunker,
)
from embedpipe.embedding import EmbeddingGenerator
from embedpipe.errors import ConfigurationError
from embedpipe.llama_index._options import check_fields
from embedpipe.text import token_counter
from embedpipe.types import TABLE_HEADER, Chunk, Chunker

_TOKENIZER = "cl100k_base"


class ChunkerNodeParser(MetadataAwareTextSplitter):
    """The base of the parsers. Each has its chunker's settings as fields, so that they are serialised.

    A node that goes on with a table's rows has the table's header row in its metadata (`table_header`). LlamaIndex
    embeds it with the text and shows it to the LLM, as all metadata.
    """

    chunker_class: ClassVar[type[Any]]

    def __init__(self, **settings: Any) -> None:
        check_fields(type(self), settings)
        super().__init__(**settings)
        self._chunker()  # raises for settings that cannot work

    @classmethod
    def class_name(cls) -> str:
        return f"EmbedPipe{cls.__name__}"

    @classmethod
    def from_dict(cls, data: dict[str, Any], **kwargs: Any) -> Self:
        """Create the parser from the output of `to_dict`.

        Args:
            data: The output of `to_dict`.
            **kwargs: Fields to replace. If the parser had an id function of your own, pass it as `id_func=`.

        Raises:
            ConfigurationError: If the parser had an id function and none is passed.
        """
        state = {**data, **kwargs}
        written = state.get("id_func")
        if isinstance(written, dict):
            if written.get("id_func_name") != default_id_func.__name__:
                raise ConfigurationError(
                    f"The id function {written!r} is not serialised. Pass the function: id_func=..."
                )
            del state["id_func"]
        return super().from_dict(state)

    def split_text(self, text: str) -> list[str]:
        """Split a text.

        Args:
            text: The text.

        Returns:
            The texts of the chunks, in order.
        """
        return [chunk.text for chunk in self._chunker().chunk(text)]

    def split_text_metadata_aware(self, text: str, metadata_str: str) -> list[str]:
        """Split a text so that each chunk and the metadata together fit the chunk size.

        Args:
            text: The text.
            metadata_str: The metadata as text.

        Returns:
            The texts of the chunks, in order.

        Raises:
            ConfigurationError: If the metadata leave no room for text.
        """
        return [chunk.text for chunk in self._chunker(metadata_str).chunk(text)]

    def _chunker(self, metadata: str = "") -> Chunker:
        """Return the chunker. Its size is reduced by that of the metadata. Raise if no room is left."""
        names = [field.name for field in fields(self.chunker_class)]
        chunker: Chunker = self.chunker_class(**{name: self._setting(name) for name in names})
        size = getattr(chunker, "chunk_size", None)
        if not metadata or not isinstance(size, int):
            return chunker
        in_tokens = getattr(chunker, "unit", "tokens") == "tokens"
        taken = token_counter(self._setting("tokenizer")).count(metadata) if in_tokens else len(metadata)
        if taken + getattr(chunker, "chunk_overlap", 0) >= size:
            raise ConfigurationError(
                f"The metadata take {taken} of chunk_size={size} and leave no room for text. Raise chunk_size, exclude "
                "metadata keys from the embedded and shown texts, or set include_metadata=False."
            )
        return replace(chunker, chunk_size=size - taken)  # type: ignore[type-var]

    def _setting(self, name: str) -> Any:
        return getattr(self, name)

    def _parse_nodes(self, nodes: Sequence[BaseNode], show_progress: bool = False, **kwargs: Any) -> list[BaseNode]:
        parsed: list[BaseNode] = []
        for node in get_tqdm_iterable(nodes, show_progress, "Parsing nodes"):
            metadata = self._get_metadata_str(node) if self.include_metadata else ""
            chunks = self._chunker(metadata).chunk(node.get_content(metadata_mode=MetadataMode.NONE))
            parsed.extend(self._nodes(node, chunks))
        return parsed

    def _nodes(self, source: BaseNode, chunks: Sequence[Chunk]) -> list[TextNode]:
        nodes = build_nodes_from_splits([chunk.text for chunk in chunks], source, id_func=self.id_func)
        # The source may be a part of a document that is split again. Offsets and SOURCE both refer to the document.
        shift = source.start_char_idx or 0 if isinstance(source, TextNode) and source.source_node is not None else 0
        for node, chunk in zip(nodes, chunks, strict=True):
            node.start_char_idx = chunk.start_index + shift
            node.end_char_idx = chunk.end_index + shift
            node.metadata = dict(chunk.metadata)
            if chunk.header is not None:
                node.metadata[TABLE_HEADER] = chunk.header
        return nodes

    def _postprocess_parsed_nodes(self, nodes: list[BaseNode], parent_doc_map: dict[str, Document]) -> list[BaseNode]:
        """Keep our offsets. The base class searches for them, and finds wrong ones where text repeats."""
        offsets = [(node.start_char_idx, node.end_char_idx) for node in nodes if isinstance(node, TextNode)]
        done = super()._postprocess_parsed_nodes(nodes, parent_doc_map)
        for node, (start, end) in zip((n for n in done if isinstance(n, TextNode)), offsets, strict=True):
            node.start_char_idx, node.end_char_idx = start, end
        return done


class RecursiveNodeParser(ChunkerNodeParser):
    """Parses with a `RecursiveChunker`. Takes its settings."""

    chunker_class: ClassVar[type[Any]] = RecursiveChunker
    chunk_size: int | str = RecursiveChunker.chunk_size
    chunk_overlap: int = RecursiveChunker.chunk_overlap
    language: str = RecursiveChunker.language
    separators: tuple[str | Separator, ...] | None = None
    unit: str = RecursiveChunker.unit
    tokenizer: str = _TOKENIZER


class TokenNodeParser(ChunkerNodeParser):
    """Parses with a `TokenChunker`. Takes its settings."""

    chunker_class: ClassVar[type[Any]] = TokenChunker
    chunk_size: int | str = TokenChunker.chunk_size
    chunk_overlap: int = TokenChunker.chunk_overlap
    tokenizer: str = _TOKENIZER


class SentenceNodeParser(ChunkerNodeParser):
    """Parses with a `SentenceChunker`. Takes its settings."""

    chunker_class: ClassVar[type[Any]] = SentenceChunker
    max_sentences: int | None = SentenceChunker.max_sentences
    chunk_size: int | str | None = SentenceChunker.chunk_size
    overlap_sentences: int = SentenceChunker.overlap_sentences
    unit: str = SentenceChunker.unit
    tokenizer: str = _TOKENIZER


class ParagraphNodeParser(ChunkerNodeParser):
    """Parses with a `ParagraphChunker`. Takes its settings."""

    chunker_class: ClassVar[type[Any]] = ParagraphChunker
    chunk_size: int | str = ParagraphChunker.chunk_size
    max_paragraphs: int | None = ParagraphChunker.max_paragraphs
    overlap_paragraphs: int = ParagraphChunker.overlap_paragraphs
    unit: str = ParagraphChunker.unit
    tokenizer: str = _TOKENIZER


class MarkdownNodeParser(ChunkerNodeParser):
    """Parses with a `MarkdownChunker`. Takes its settings. The metadata have the path of headings."""

    chunker_class: ClassVar[type[Any]] = MarkdownChunker
    chunk_size: int | str = MarkdownChunker.chunk_size
    unit: str = MarkdownChunker.unit
    tokenizer: str = _TOKENIZER


@lru_cache(maxsize=8)
def _generator(name: str) -> EmbeddingGenerator:
    return EmbeddingGenerator(name)


class SemanticNodeParser(ChunkerNodeParser):
    """Parses with a `SemanticChunker`. Takes its settings. `model` is an `EmbeddingGenerator` or a model's name.

    A generator is serialised as its model's name. If it has settings of its own, pass it again.
    """

    chunker_class: ClassVar[type[Any]] = SemanticChunker
    model: Any = Field(default="all-MiniLM-L6-v2")
    chunk_size: int | str = SemanticChunker.chunk_size
    method: str = SemanticChunker.method
    piece_size: int | None = SemanticChunker.piece_size
    percentile: float = SemanticChunker.percentile
    buffer: int = SemanticChunker.buffer
    unit: str = SemanticChunker.unit
    tokenizer: str = _TOKENIZER

    @field_serializer("model")
    def _model_name(self, model: Any) -> str:
        return model if isinstance(model, str) else str(model.spec.name)

    def _setting(self, name: str) -> Any:
        value = super()._setting(name)
        return _generator(value) if name == "model" and isinstance(value, str) else value
