"""XML: articles and books, feeds, and data."""

from embedpipe.files.xml._document import parse

__all__ = ["parse"]
