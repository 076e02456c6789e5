"""Find the parser of a file format by the file's suffix."""

from __future__ import annotations

from typing import cast

from embedpipe._checks import shown
from embedpipe._plugins import Registry
from embedpipe.errors import ConfigurationError
from embedpipe.files.docling import SUFFIXES as DOCLING_SUFFIXES
from embedpipe.files.docling import parse as by_docling
from embedpipe.files.parsed import Parser

_OWN = {
    "pdf": "embedpipe.files.pdf:parse",
    "docx": "embedpipe.files.word:parse",
    "docm": "embedpipe.files.word:parse",
    "pptx": "embedpipe.files.pptx:parse",
    "pptm": "embedpipe.files.pptx:parse",
    "ppsx": "embedpipe.files.pptx:parse",
    "rtf": "embedpipe.files.rtf:parse",
    "odt": "embedpipe.files.opendocument:parse",
    "fodt": "embedpipe.files.opendocument:parse",
    "odp": "embedpipe.files.opendocument:parse",
    "html": "embedpipe.files.html:parse",
    "htm": "embedpipe.files.html:parse",
    "xhtml": "embedpipe.files.html:parse",
    "epub": "embedpipe.files.epub:parse",
    "xml": "embedpipe.files.xml:parse",
    "rss": "embedpipe.files.xml:parse",
    "atom": "embedpipe.files.xml:parse",
    "md": "embedpipe.files.markdown:parse",
    "markdown": "embedpipe.files.markdown:parse",
    "csv": "embedpipe.files.delimited:parse",
    "tsv": "embedpipe.files.delimited:parse",
    "xlsx": "embedpipe.files.spreadsheet:parse",
    "xlsm": "embedpipe.files.spreadsheet:parse",
    "xlsb": "embedpipe.files.spreadsheet:parse",
    "xls": "embedpipe.files.spreadsheet:parse",
    "ods": "embedpipe.files.spreadsheet:parse",
    "rst": "embedpipe.files.rst:parse",
    "ipynb": "embedpipe.files.notebook:parse",
    "eml": "embedpipe.files.mail:parse",
    "mbox": "embedpipe.files.mail:parse_mailbox",
    "json": "embedpipe.files.json_records:parse",
    "jsonl": "embedpipe.files.json_records:parse_lines",
    "ndjson": "embedpipe.files.json_records:parse_lines",
}
"""The parser of each format, by its suffix without the dot. Plain text needs no parser and is not here."""

FORMATS = Registry("embedpipe.file_formats", _OWN)

_TEXT_SUFFIXES = """
.txt .adoc .tex .log .org .yaml .yml .toml .ini .cfg
.py .pyi .js .mjs .ts .tsx .jsx .java .kt .go .rs .c .h .cc .cpp .hpp .cs .rb .php .swift .scala .sh .sql .r .lua
""".split()  # noqa: SIM905 - read as a list of words


def check_reader(reader: str | None) -> None:
    """Raise `ConfigurationError` for a reader that there is not."""
    if reader not in (None, "docling"):
        raise ConfigurationError(f"There is no reader {shown(reader)}. Pass 'docling', or None for embedpipe's own.")


def is_by_docling(suffix: str, reader: str | None) -> bool:
    """Return whether docling reads files with this suffix."""
    return reader == "docling" and suffix in DOCLING_SUFFIXES


def has_parser(suffix: str, reader: str | None = None) -> bool:
    """Return whether files with this suffix (".pdf") are parsed. Others are read as text."""
    return is_by_docling(suffix, reader) or is_own(suffix) or (suffix not in _TEXT_SUFFIXES and suffix[1:] in FORMATS)


def is_own(suffix: str) -> bool:
    """Return whether files with this suffix are parsed by a parser of embedpipe's own."""
    return suffix[1:] in _OWN


def parser_of(suffix: str, reader: str | None = None) -> Parser:
    """Import the parser of a suffix (".pdf"), and return it. Call it in the parsing process only.

    Raises:
        ConfigurationError: If there is none, or its package cannot be imported.
    """
    return by_docling if is_by_docling(suffix, reader) else cast("Parser", FORMATS.load(suffix[1:]))


def known_suffixes(reader: str | None = None) -> list[str]:
    """Return the suffixes of the files that are taken below a folder, each with its dot."""
    more = sorted(DOCLING_SUFFIXES) if reader == "docling" else []
    return list(dict.fromkeys([*_TEXT_SUFFIXES, *parsed_suffixes(), *more]))


def parsed_suffixes() -> list[str]:
    """Return the suffixes of the files that are parsed."""
    return [f".{name}" for name in FORMATS.names()]
