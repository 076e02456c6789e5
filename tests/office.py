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
    canvas = Canvas(file, encrypt=encrypt, invariant=1)  # with the dates of reportlab's own
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


def pdf_of_streams(streams: list[bytes], *, filters: str) -> bytes:
    """Return a PDF with a page for each stream of instructions, which is packed by the filters."""
    font = b"<</Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>"
    numbers = range(3, 3 + 2 * len(streams), 2)
    kids = b" ".join(b"%d 0 R" % number for number in numbers)
    objects = [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, len(streams))]
    for number, stream in zip(numbers, streams, strict=True):
        page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Resources%s/Contents %d 0 R>>"
        objects.append(page % (font, number + 1))
        head = b"<</Length %d/Filter[%s]>>stream\n" % (len(stream), filters.encode())
        objects.append(head + stream + b"\nendstream")
    return pdf_of_objects(objects)


def pdf_of_objects(objects: Sequence[bytes]) -> bytes:
    """Return a PDF of these objects. The first one is its catalog."""
    data, places = bytearray(b"%PDF-1.4\n"), []
    for number, content in enumerate(objects, 1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    end = b"xref\n0 %d\n0000000000 65535 f \n%strailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF"
    return bytes(data) + end % (size, table, size, len(data))
