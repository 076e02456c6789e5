"""Files as documents: text, Markdown, source code, PDF, Word and HTML.

`read_document(path)` needs nothing for text. The other formats need the extra `files`.

To add a format, write a module with `parse(data, name, options)` and name it in `_formats`. Another package adds one by
an entry point "suffix = package.module:parse" in the group `embedpipe.file_formats`. All parsers run in a process of
their own.
"""

from embedpipe.files._formats import known_suffixes
from embedpipe.files.folders import FoundFiles, PassedOver, found_files
from embedpipe.files.parsed import Parsed, Parser, ReadOptions
from embedpipe.files.reader import document_of, documents_of, read_document, read_documents
from embedpipe.text import page_at
from embedpipe.types import Location

__all__ = [
    "FoundFiles",
    "Location",
    "Parsed",
    "Parser",
    "PassedOver",
    "ReadOptions",
    "document_of",
    "documents_of",
    "found_files",
    "known_suffixes",
    "page_at",
    "read_document",
    "read_documents",
]
