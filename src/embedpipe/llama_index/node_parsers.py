"""The chunkers as LlamaIndex node parsers, with the offsets that the chunkers give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from llama_index.core.node_parser.interface import MetadataAwareTextSplitter
from llama_index.core.node_parser.node_utils import build_nodes_from_splits, default_id_func
from llama_index.core.schema import BaseNode, Document, MetadataMode, TextNode
from llama_index.core.utils import get_tqdm_iterable

from embedpipe.chunking import RecursiveChunker, Separator
from embedpipe.errors import ConfigurationError
from embedpipe.types import Chunk, Chunker


class _ChunkerNodeParser(MetadataAwareTextSplitter):
    """What the parsers share; each has its chunker's settings as fields, so that all of them are serialised."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._chunker()  # refuses settings that cannot work

    @classmethod
    def from_dict(cls, data: dict[str, Any], **kwargs: Any) -> Self:
        """The parser that `to_dict` wrote. An id function of one's own must be given again, as `id_func=`."""
        state = {**data, **kwargs}
        written = state.get("id_func")
        if isinstance(written, dict):
            if written.get("id_func_name") != default_id_func.__name__:
                raise ConfigurationError(f"Expected the function itself for {written!r}. Pass it: id_func=...")
            del state["id_func"]
        return super().from_dict(state)

    def _chunker(self, reserved: str = "") -> Chunker:
        raise ConfigurationError(f"Expected {type(self).__name__} to name its chunker. Use one of the named parsers.")

    def split_text(self, text: str) -> list[str]:
        """The texts of the chunks, in order."""
        return [chunk.text for chunk in self._chunker().chunk(text)]

    def split_text_metadata_aware(self, text: str, metadata_str: str) -> list[str]:
        """The texts of the chunks, each with room for the metadata within the chunk size."""
        return [chunk.text for chunk in self._chunker(metadata_str).chunk(text)]

    def _parse_nodes(self, nodes: Sequence[BaseNode], show_progress: bool = False, **kwargs: Any) -> list[BaseNode]:
        parsed: list[BaseNode] = []
        for node in get_tqdm_iterable(nodes, show_progress, "Parsing nodes"):
            reserved = self._get_metadata_str(node) if self.include_metadata else ""
            chunks = self._chunker(reserved).chunk(node.get_content(metadata_mode=MetadataMode.NONE))
            parsed.extend(self._nodes(node, chunks))
        return parsed

    def _nodes(self, source: BaseNode, chunks: Sequence[Chunk]) -> list[TextNode]:
        nodes = build_nodes_from_splits([chunk.text for chunk in chunks], source, id_func=self.id_func)
        # A part of a document is cut again: offsets and SOURCE both lead to the document.
        shift = source.start_char_idx or 0 if isinstance(source, TextNode) and source.source_node is not None else 0
        for node, chunk in zip(nodes, chunks, strict=True):
            node.start_char_idx = chunk.start_index + shift
            node.end_char_idx = chunk.end_index + shift
            node.metadata = dict(chunk.metadata)
        return nodes

    def _postprocess_parsed_nodes(self, nodes: list[BaseNode], parent_doc_map: dict[str, Document]) -> list[BaseNode]:
        """What the base class does, except that it looks for offsets, and finds others where text repeats."""
        offsets = [(node.start_char_idx, node.end_char_idx) for node in nodes if isinstance(node, TextNode)]
        done = super()._postprocess_parsed_nodes(nodes, parent_doc_map)
        for node, (start, end) in zip((n for n in done if isinstance(n, TextNode)), offsets, strict=True):
            node.start_char_idx, node.end_char_idx = start, end
        return done


class RecursiveNodeParser(_ChunkerNodeParser):
    """Parses with a `RecursiveChunker`, whose settings it takes."""

    chunk_size: int = RecursiveChunker.chunk_size
    chunk_overlap: int = RecursiveChunker.chunk_overlap
    language: str = RecursiveChunker.language
    separators: tuple[str | Separator, ...] | None = None

    @classmethod
    def class_name(cls) -> str:
        return "EmbedPipeRecursiveNodeParser"

    def _chunker(self, reserved: str = "") -> Chunker:
        return RecursiveChunker(
            chunk_size=self.chunk_size - len(reserved),
            chunk_overlap=self.chunk_overlap,
            language=self.language,
            separators=self.separators,
        )
