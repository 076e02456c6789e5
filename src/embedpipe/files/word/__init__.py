"""Word documents as Markdown.

The XML is walked directly: libraries for Word (mammoth, python-docx) drop what this keeps, such as the numbers of
headings, text boxes, equations, check boxes and comments.
"""

from __future__ import annotations

from embedpipe.errors import InputError
from embedpipe.files._blocks import left_out, markdown
from embedpipe.files._office import Archive
from embedpipe.files.parsed import Parsed, ReadOptions
from embedpipe.files.word._document import read
from embedpipe.files.word._numbering import W

__all__ = ["parse"]


def parse(data: bytes, name: str, options: ReadOptions) -> Parsed:
    """Return a document's text as Markdown, with its title, author, subject, keywords and dates.

    The final text counts: insertions are there, deletions are not. Headers stand first and footers last, each once.
    Footnotes, comments and text boxes follow the paragraph that they belong to. Endnotes follow the text.

    Raises:
        InputError: If the file is encrypted, broken, no Word document, or larger unpacked than can be read.
        RecursionError: If its elements are nested too deep.
    """
    archive = Archive(data, name, suffix="docx")
    main = archive.main_part("word/document.xml")
    root = archive.xml(main)
    body = None if root is None else root.find(f"{W}body")
    if body is None:
        raise InputError(f"{name} is a ZIP archive, but no Word document. Check its suffix.")
    blocks, counts = read(archive, main, body)
    return Parsed(markdown(blocks), archive.core_metadata(), left_out=left_out(counts))
