"""Files as documents: text, Markdown, source code, PDF, Word and HTML.

`read_document(path)` needs nothing for text; the other formats need the extra `files`.
"""

from embedpipe.files.documents import document_of, found_files, known_suffixes, read_document
from embedpipe.text import page_at

__all__ = ["document_of", "found_files", "known_suffixes", "page_at", "read_document"]
