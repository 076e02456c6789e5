"""Chunkers: text in, spans of it out, each with its exact offsets."""

from embedpipe.chunking.recursive import RecursiveChunker
from embedpipe.chunking.separators import Separator
from embedpipe.chunking.tokens import TokenChunker

__all__ = ["RecursiveChunker", "Separator", "TokenChunker"]
