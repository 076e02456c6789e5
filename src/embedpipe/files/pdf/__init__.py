"""PDF files: text page by page, values of forms, notes, and what a page lacks."""

from embedpipe.files.pdf._document import parse

__all__ = ["parse"]
