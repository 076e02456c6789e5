"""Read the text of PDFs, page by page."""

from __future__ import annotations

import logging
import re
import unicodedata
from itertools import islice
from typing import Any

from embedpipe._forking import Lock
from embedpipe._optional import require
from embedpipe.errors import InputError
from embedpipe.files.parsed import Parsed, ReadOptions
from embedpipe.files.pdf._forms import Forms, signatures
from embedpipe.files.pdf._hyphens import join_divided_words
from embedpipe.files.pdf._lowered import lowered_ends, lowered_numbers
from embedpipe.files.pdf._metadata import describe, mark_headings, outline, page_labels
from embedpipe.files.pdf._ocr import engine, recognized
from embedpipe.files.pdf._page import PageText, edited, line_ends, raised_numbers
from embedpipe.text import PAGE_BREAK
from embedpipe.types import Location

_ONE_AT_A_TIME = Lock()
"""PDFium may be used by one thread at a time."""

_SOFT_HYPHEN = "\xad"
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]")
_LIGATURE = re.compile("[\ufb00-\ufb4f]")
_UNKNOWN = re.compile("[\ue000-\uf8ff\ufffd\U000f0000-\U0010fffd]")
"""Private characters, which mean something in one font only, and the sign for no character."""
_SYMBOLS = str.maketrans({"\uf0b7": "•", "\uf0a7": "▪", "\uf0d8": "➢", "\uf0fc": "✓", "\uf0a8": "☐", "\uf0fe": "☒"})
"""Bullets and ticks of the fonts Symbol and Wingdings."""
_DRAWN, _LOOKED_AT = 30, 1000
"""How many lines and curves a page has that shows more than a frame or a rule, and how many objects are looked at."""


def parse(data: bytes, name: str, options: ReadOptions) -> Parsed:
    """Return the pages' text with a form feed between them, and what the file says of itself.

    The values of form fields stand beside their labels. Annotations stand behind the text of their page.

    Raises:
        InputError: If the file is encrypted, broken, no PDF, or has only images.
    """
    pdfium = require("pypdfium2", extra="files")
    if options.ocr:
        engine()
    if b"%PDF-" not in data[:1024]:
        raise InputError(f"{name} is no PDF. Check its suffix.")
    logging.getLogger("pypdfium2").setLevel(logging.ERROR)  # it warns of what those who write PDFs should mend
    with _ONE_AT_A_TIME:
        try:
            document = pdfium.PdfDocument(data)
            forms = Forms(document, pdfium.raw)
            try:
                return _Reader(document, forms, pdfium, name, ocr=options.ocr).read(data)
            finally:
                forms.close()
                document.close()
        except pdfium.PdfiumError as error:
            raise InputError(_refusal(name, str(error))) from error


def _refusal(name: str, reason: str) -> str:
    if "password" in reason.lower():
        return f"{name} is encrypted. Save it without its password (qpdf --decrypt --password=... does)."
    return f"{name} is a broken PDF ({reason}). Save it anew, or repair it (qpdf, mutool clean)."


class _Reader:
    """Reads one document, and collects what its text leaves out."""

    def __init__(self, document: Any, forms: Forms, pdfium: Any, name: str, *, ocr: bool) -> None:
        self._document, self._forms, self._name, self._ocr = document, forms, name, ocr
        self._pdfium, self._raw = pdfium, pdfium.raw
        self._without_text: list[int] = []
        self._by_ocr: list[int] = []
        self._lost: list[int] = []
        self._broken: list[int] = []
        self._unknown = self._unread_signatures = 0

    def read(self, data: bytes) -> Parsed:
        document, raw = self._document, self._raw
        count, headings = len(document), outline(document)
        texts = [mark_headings(self._page(number), headings.get(number, [])) for number in range(1, count + 1)]
        signed, self._unread_signatures = signatures(document, raw, data)
        if signed:
            texts[-1] = "\n".join([texts[-1], *signed])
        if len(self._broken) == count:
            raise InputError(_refusal(self._name, "none of its pages can be loaded"))
        text = join_divided_words(f"\n{PAGE_BREAK}".join(texts)).replace(_SOFT_HYPHEN, "-")
        if self._without_text and not text.strip():
            how = "OCR found nothing." if self._ocr else "Read it with --ocr (ocr=True), or run ocrmypdf over it first."
            raise InputError(f"{self._name} holds only images, no text ({count} pages). {how}")
        metadata = {"pages": count, **describe(document)}
        if self._without_text:
            metadata["pages_without_text"] = self._without_text
        if self._by_ocr:
            metadata["pages_by_ocr"] = self._by_ocr
        return Parsed(text, metadata, self._locations(text), self._left_out())

    def _page(self, number: int) -> str:
        """Return the text of a page, with its form's values and its annotations."""
        try:
            page = PageText(self._document, self._raw, number - 1)
        except self._pdfium.PdfiumError:
            self._broken.append(number)
            return ""
        inside, behind = self._forms.edits(page)
        edits = [*raised_numbers(page), *lowered_numbers(page), *lowered_ends(page), *line_ends(page), *inside]
        text = self._cleaned(edited(page.text, edits))
        if not text.strip() and self._shows_something(page.page):
            text = self._cleaned(recognized(page.page)) if self._ocr else ""
            (self._by_ocr if text.strip() else self._without_text).append(number)
        elif text.strip() and self._has_lost_text(page.page, len(text)):
            self._lost.append(number)
        page.close()
        return "\n".join([text.rstrip("\n"), "", *map(self._cleaned, behind)]) if behind else text

    def _cleaned(self, text: str) -> str:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        text = _LIGATURE.sub(_letters, _UNPRINTABLE.sub("", text.translate(_SYMBOLS)))
        text, unknown = _UNKNOWN.subn("", text)
        self._unknown += unknown
        return text

    def _shows_something(self, page: Any) -> bool:
        """Return whether a page shows an image, or so many lines that they may be letters."""
        kinds = [part.type for part in islice(page.get_objects(), _LOOKED_AT)]
        drawn = sum(kind in (self._raw.FPDF_PAGEOBJ_PATH, self._raw.FPDF_PAGEOBJ_TEXT) for kind in kinds)
        return self._raw.FPDF_PAGEOBJ_IMAGE in kinds or drawn >= _DRAWN

    def _has_lost_text(self, page: Any, characters: int) -> bool:
        """Return whether most pieces of text have no character, as those of Chinese fonts that are not in the file."""
        count: int = self._raw.FPDFPage_CountObjects(page)
        if count <= 2 * characters:  # each piece has a character at least. Some are drawn twice to look bold.
            return False
        kinds = [self._raw.FPDFPageObj_GetType(self._raw.FPDFPage_GetObject(page, place)) for place in range(count)]
        return kinds.count(self._raw.FPDF_PAGEOBJ_TEXT) > 2 * characters

    def _locations(self, text: str) -> list[Location]:
        labels = page_labels(self._document)
        starts = [0, *(found.end() for found in re.finditer(PAGE_BREAK, text))] if labels else []
        return [
            Location(start, {"page_label": label} if label else {}) for start, label in zip(starts, labels, strict=True)
        ]

    def _left_out(self) -> list[str]:
        left_out, xfa = [], (self._raw.FORMTYPE_XFA_FULL, self._raw.FORMTYPE_XFA_FOREGROUND)
        if self._without_text:
            verb = "have" if len(self._without_text) > 1 else "has"
            left_out.append(f"{_pages(self._without_text)} {verb} no text layer")
        if self._lost:
            left_out.append(f"{_pages(self._lost)}: text in fonts that cannot be read")
        if self._broken:
            left_out.append(f"{_pages(self._broken)}, which cannot be loaded")
        if self._unknown:
            left_out.append(f"{self._unknown} characters without a meaning outside their font")
        if self._document.get_formtype() in xfa and not self._forms.fields:
            left_out.append("an XFA form (print it to a PDF in Adobe Acrobat)")
        left_out += self._forms.left_out
        if self._unread_signatures:
            left_out.append(f"signatures: {self._unread_signatures} more")
        attached = self._document.count_attachments()
        if attached:
            left_out.append(f"{attached} attached file{'s' * (attached > 1)}")
        return left_out


def _letters(ligature: re.Match[str]) -> str:
    return unicodedata.normalize("NFKC", ligature[0])


def _pages(numbers: list[int]) -> str:
    """Return "page 3", "pages 3 and 4" or "pages 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 12 more"."""
    if len(numbers) == 1:
        return f"page {numbers[0]}"
    shown, last = (
        (numbers[:-1], str(numbers[-1])) if len(numbers) <= 10 else (numbers[:10], f"{len(numbers) - 10} more")
    )
    return f"pages {', '.join(map(str, shown))} and {last}"
