"""Files of real writers: PDFs by ReportLab, Word documents by python-docx."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import docx
from PIL import Image
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

SCAN = ImageReader(Image.new("RGB", (40, 40), "grey"))


def pdf(pages: Sequence[str | None], *, title: str | None = None, encrypt: StandardEncryption | None = None) -> bytes:
    """A page for each text, its lines as they are; for None one that holds only an image."""
    file = io.BytesIO()
    canvas = Canvas(file, encrypt=encrypt)
    if title is not None:
        canvas.setTitle(title)
    for page in pages:
        if page is None:
            canvas.drawImage(SCAN, 100, 100)
        for place, line in enumerate((page or "").split("\n")):
            canvas.drawString(72, 720 - 15 * place, line)
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def word(write: Callable[[Any], None], *, title: str = "") -> bytes:
    """A Word document that `write` filled."""
    document = docx.Document()
    document.core_properties.title = title
    write(document)
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def with_part(archive: bytes, name: str, content: str | bytes) -> bytes:
    """The archive with other content in one of its parts."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for part in dict.fromkeys([*old.namelist(), name]):
            new.writestr(part, content if part == name else old.read(part))
    return file.getvalue()


def part(archive: bytes, name: str) -> str:
    """A part of the archive."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return opened.read(name).decode()
