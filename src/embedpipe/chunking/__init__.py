"""Chunkers: text in, spans of it out, each with its exact offsets."""

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
