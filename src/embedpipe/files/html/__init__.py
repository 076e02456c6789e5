"""HTML as Markdown: how a page is parsed, and how its elements are written."""

from embedpipe.files.html._page import markdown, parse

__all__ = ["markdown", "parse"]
