"""Which parser reads which file. A further format is a module with `parse(data, name)` and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from embedpipe.files import docx, html, pdf
from embedpipe.files.parsed import Parsed

PARSERS: Mapping[str, Callable[[bytes, str], Parsed]] = {
    ".pdf": pdf.parse,
    ".docx": docx.parse,
    ".html": html.parse,
    ".htm": html.parse,
    ".xhtml": html.parse,
}
