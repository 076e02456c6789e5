"""Chunkers: they cut a text into spans, each with its exact offsets.

To add a chunker, write a module with a dataclass that has `chunk(text)`, name it in `_registry`, and export it here.
Another package adds one by an entry point in the group `embedpipe.chunkers`.
"""

from embedpipe.chunking._measure import Size
from embedpipe.chunking._model_limit import for_model
from embedpipe.chunking._registry import CHUNKERS, make_chunker
from embedpipe.chunking.markdown import MarkdownChunker
from embedpipe.chunking.paragraph import ParagraphChunker
from embedpipe.chunking.recursive import RecursiveChunker
from embedpipe.chunking.semantic import SemanticChunker
from embedpipe.chunking.sentence import SentenceChunker
from embedpipe.chunking.separators import SEPARATORS, Separator
from embedpipe.chunking.token import TokenChunker

__all__ = [
    "CHUNKERS",
    "SEPARATORS",
    "MarkdownChunker",
    "ParagraphChunker",
    "RecursiveChunker",
    "SemanticChunker",
    "SentenceChunker",
    "Separator",
    "Size",
    "TokenChunker",
    "for_model",
    "make_chunker",
]
