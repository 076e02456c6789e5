"""The text of PDFs, page by page."""

from __future__ import annotations

import logging
import re
from typing import Any

from embedpipe._forking import Lock
from embedpipe._optional import require
from embedpipe.errors import InputError
from embedpipe.files.parsed import Parsed, ReadOptions
from embedpipe.text import PAGE_BREAK

logger = logging.getLogger(__name__)

_ONE_AT_A_TIME = Lock()
"""PDFium may be used by one thread at a time."""

_DIVIDED = re.compile("[\x02\ufffe]\n?")
"""PDFium's characters for the hyphen of a word that goes on in the next line."""
_NO_TITLE = ("", "anonymous", "untitled", "unspecified")
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]")


def parse(data: bytes, name: str, options: ReadOptions) -> Parsed:
    """Return the pages' text with a form feed between them, the number of pages, and the title.

    Raises:
        InputError: If the file is encrypted, broken, no PDF, or has only images.
    """
    pdfium = require("pypdfium2", extra="files")
    if b"%PDF-" not in data[:1024]:
        raise InputError(f"{name} is no PDF. Check its suffix.")
    with _ONE_AT_A_TIME:
        try:
            document = pdfium.PdfDocument(data)
            try:
                return _read(document, pdfium.raw, name)
            finally:
                document.close()
        except pdfium.PdfiumError as error:
            raise InputError(_refusal(name, str(error))) from error


def _refusal(name: str, reason: str) -> str:
    if "password" in reason.lower():
        return f"{name} is encrypted. Save it without its password (qpdf --decrypt --password=... does)."
    return f"{name} is a broken PDF ({reason}). Save it anew, or repair it (qpdf, mutool clean)."


def _read(document: Any, raw: Any, name: str) -> Parsed:
    pages, scanned = [], []
    for number, page in enumerate(document, 1):
        text = _text(page)
        if not text.strip() and any(part.type == raw.FPDF_PAGEOBJ_IMAGE for part in page.get_objects()):
            scanned.append(number)
        pages.append(text)
        page.close()
    if scanned and not any(text.strip() for text in pages):
        raise InputError(
            f"{name} holds only images, no text ({len(pages)} pages). Run OCR over it first (ocrmypdf does)."
        )
    if scanned:
        logger.warning("%s: no text on pages with images: %s. Run OCR to read them.", name, _numbers(scanned))
    title = " ".join(document.get_metadata_value("Title").split())
    named = {} if title.strip("()").lower() in _NO_TITLE else {"title": title}
    return Parsed(f"\n{PAGE_BREAK}".join(pages), {"pages": len(pages), **named})


def _text(page: Any) -> str:
    found = page.get_textpage()
    text = found.get_text_range().replace("\r\n", "\n").replace("\r", "\n")
    found.close()
    return _UNPRINTABLE.sub("", _DIVIDED.sub("", text))


def _numbers(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:10]))
    return f"{shown} and {len(numbers) - 10} more" if len(numbers) > 10 else shown
