"""Word documents as Markdown."""

from __future__ import annotations

import io
import logging
import zipfile
from typing import Any
from xml.etree import ElementTree as ET

from embedpipe._optional import require
from embedpipe.errors import InputError
from embedpipe.files.html import markdown
from embedpipe.files.parsed import Parsed, ReadOptions

logger = logging.getLogger(__name__)

OLE = b"\xd0\xcf\x11\xe0"
"""The first bytes of encrypted Office files and of those before 2007."""

MAX_XML_BYTES = 32 * 2**20
"""How large a document's XML may be when it is unpacked. Reading takes twenty times as much memory."""

_TITLE = "{http://purl.org/dc/elements/1.1/}title"
_STYLES = "p[style-name='Title'] => h1:fresh\np[style-name='Subtitle'] => p:fresh"


def parse(data: bytes, name: str, options: ReadOptions) -> Parsed:
    """Return the document's text as Markdown with its footnotes, and its title. Tracked changes count as accepted.

    Headers, footers, comments and images are left out.

    Raises:
        InputError: If the file is encrypted, broken, no Word document, or larger unpacked than can be read.
    """
    if data.startswith(OLE):
        raise InputError(
            f"{name} is encrypted, or of Word before 2007. Open it in Word or LibreOffice, and save it as .docx "
            "without a password."
        )
    mammoth = require("mammoth", extra="files")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = _xml_parts(archive, name)
        title = _title(parts)
        found = mammoth.convert_to_html(_archived(parts), style_map=_STYLES, convert_image=_without(mammoth))
    except (InputError, MemoryError):
        raise
    except Exception as error:  # anything that a parser meets in a broken file
        raise InputError(f"{name} is broken, or no Word document ({error}). Save it anew as .docx.") from error
    for message in found.messages:
        logger.debug("%s: %s", name, message.message)
    return Parsed(markdown(found.value).text, {"title": title} if title else {})


def _xml_parts(archive: zipfile.ZipFile, name: str) -> dict[str, bytes]:
    """Return the document's parts of XML, unpacked. Nothing else is read, under whatever name it lies there.

    No part unpacks to more than its declared size, which the standard library sees to.

    Raises:
        InputError: If the archive is no Word document, or unpacks to more than can be read.
    """
    found = [info for info in archive.infolist() if info.filename.lower().endswith((".xml", ".rels"))]
    if not any(info.filename.startswith("word/") for info in found):
        raise InputError(f"{name} is a ZIP archive, but no Word document. Check its suffix.")
    size = sum(info.file_size for info in found)
    if size > MAX_XML_BYTES:
        raise InputError(
            f"{name} unpacks to {size / 2**20:.0f} MB of XML, and at most {MAX_XML_BYTES >> 20} MB are read. Cut it "
            "into several files."
        )
    return {info.filename: archive.read(info) for info in found}


def _archived(parts: dict[str, bytes]) -> io.BytesIO:
    """Return an archive of these parts alone: the library reads any part that a document refers to."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    file.seek(0)
    return file


def _title(parts: dict[str, bytes]) -> str:
    if "docProps/core.xml" not in parts:
        return ""
    return " ".join(ET.fromstring(parts["docProps/core.xml"]).findtext(_TITLE, "").split())  # noqa: S314


def _without(mammoth: Any) -> Any:
    """Leave an image's data out. Its description stays."""
    return mammoth.images.img_element(lambda image: {})
