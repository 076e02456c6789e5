"""Chunkers: they cut a text into spans, each with its exact offsets. One file for each chunker."""

from embedpipe.chunking._model_limit import for_model
from embedpipe.chunking.markdown import MarkdownChunker
from embedpipe.chunking.paragraph import ParagraphChunker
from embedpipe.chunking.recursive import RecursiveChunker
from embedpipe.chunking.semantic import SemanticChunker
from embedpipe.chunking.sentence import SentenceChunker
from embedpipe.chunking.separators import SEPARATORS, Separator
from embedpipe.chunking.token import TokenChunker

__all__ = [
    "SEPARATORS",
    "MarkdownChunker",
    "ParagraphChunker",
    "RecursiveChunker",
    "SemanticChunker",
    "SentenceChunker",
    "Separator",
    "TokenChunker",
    "for_model",
]
