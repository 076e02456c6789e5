"""Word documents as Markdown."""

from __future__ import annotations

import io
import logging
import zipfile
from typing import Any

from embedpipe._optional import require
from embedpipe.errors import InputError
from embedpipe.files.html import markdown, parsed
from embedpipe.files.parsed import Parsed

logger = logging.getLogger(__name__)

OLE = b"\xd0\xcf\x11\xe0"
"""What encrypted Office files and those of before 2007 begin with."""

MAX_XML_BYTES = 32 * 2**20
"""What a document's XML may come to when it is unpacked: twenty times as much memory is needed to read it."""

_STYLES = "p[style-name='Title'] => h1:fresh\np[style-name='Subtitle'] => p:fresh"


def parse(data: bytes, name: str) -> Parsed:
    """The document's text as Markdown with its footnotes, and its title; tracked changes as accepted.

    Headers, footers, comments and images are left out. Raises `InputError` for a file that is encrypted, broken, no
    Word document, or larger unpacked than can be read.
    """
    if data.startswith(OLE):
        raise InputError(
            f"{name} is encrypted, or of Word before 2007: open it in Word or LibreOffice, and save it as .docx "
            "without a password."
        )
    mammoth = require("mammoth", extra="files")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check(archive, name)
            title = _title(archive, name)
        found = mammoth.convert_to_html(io.BytesIO(data), style_map=_STYLES, convert_image=_without(mammoth))
    except InputError:
        raise
    except Exception as error:  # whatever a parser stumbles over in a broken file
        raise InputError(f"{name} is broken, or no Word document ({error}): save it anew as .docx.") from error
    for message in found.messages:
        logger.debug("%s: %s", name, message.message)
    return Parsed(markdown(found.value, name).text, {"title": title} if title else {})


def _check(archive: zipfile.ZipFile, name: str) -> None:
    """Raises `InputError` where the archive is no Word document, or unpacks to more than can be read.

    No part unpacks to more than its declared size, which the standard library sees to.
    """
    parts = {info.filename: info.file_size for info in archive.infolist()}
    if "word/document.xml" not in parts:
        raise InputError(f"{name} is a ZIP archive, but no Word document: check its suffix.")
    size = sum(length for part, length in parts.items() if part.endswith((".xml", ".rels")))
    if size > MAX_XML_BYTES:
        raise InputError(
            f"{name} unpacks to {size / 2**20:.0f} MB of XML, and at most {MAX_XML_BYTES >> 20} MB are read: cut it "
            "into several files."
        )


def _title(archive: zipfile.ZipFile, name: str) -> str:
    if "docProps/core.xml" not in archive.namelist():
        return ""
    title = parsed(archive.read("docProps/core.xml"), name).find("dc:title")
    return " ".join(title.get_text().split()) if title else ""


def _without(mammoth: Any) -> Any:
    """Leaves an image's data out; what it is described by stays."""
    return mammoth.images.img_element(lambda image: {})
