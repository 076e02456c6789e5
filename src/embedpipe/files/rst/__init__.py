"""reStructuredText as Markdown."""

from embedpipe.files.rst._document import parse

__all__ = ["parse"]
