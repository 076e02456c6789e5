"""HTML as Markdown: how a page is parsed, and how its elements are written."""

from embedpipe.files.html._page import decoded, formula, markdown, parse
from embedpipe.files.html._writer import MarkdownWriter

__all__ = ["MarkdownWriter", "decoded", "formula", "markdown", "parse"]
