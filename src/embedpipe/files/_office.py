"""Archives of XML parts: what Office and OpenDocument files are. Nothing unpacks to more than is read."""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
from collections.abc import Mapping
from typing import Any, NamedTuple

from embedpipe._optional import require
from embedpipe.errors import InputError
from embedpipe.files._not_read import OLE

MAX_XML_BYTES = 32 * 2**20
"""How large the parts that are read may be when they are unpacked. Their trees take about ten times as much memory."""

_STRICT = re.compile(rb"http://purl\.oclc\.org/ooxml/([A-Za-z]+)/([A-Za-z]+)")
_KINDS = {
    "docx": "Word document",
    "pptx": "PowerPoint presentation",
    "odt": "OpenDocument file",
    "xlsx": "spreadsheet",
    "epub": "EPUB book",
}
_OTHERWISE = {"xlsx": " or .csv"}


_STREAMS = {
    "docx": ("WordDocument", "Word"),
    "pptx": ("PowerPoint Document", "PowerPoint"),
    "xlsx": ("Workbook", "Excel"),
}


def refusal(data: bytes, name: str, *, suffix: str) -> str:
    """Say why an OLE file is not read: its password, or its age. Both kinds name their streams in UTF-16.

    Args:
        data: The file's content.
        name: Its name.
        suffix: The suffix of today's format, such as "docx".
    """
    stream, program = _STREAMS.get(suffix, ("", "Office"))
    old = f"of {program} before 2007"
    if "EncryptedPackage".encode("utf-16-le") in data:
        why, remedy = "encrypted", " without a password"
    elif stream and stream.encode("utf-16-le") in data:
        why, remedy = old, ""
    else:
        why, remedy = f"encrypted, or {old}", " without a password"
    return f"{name} is {why}. Open it in {program} or LibreOffice, and save it as .{suffix}{remedy}."


class Relation(NamedTuple):
    """What a part refers to. `kind` is the last word of its type, such as "footnotes"."""

    kind: str
    path: str


class Archive:
    """An Office file. Parts are named by their path, such as "word/document.xml".

    Args:
        data: The file's content.
        name: Its name for messages.
        suffix: The suffix of its format, without the dot.
        max_bytes: How much all parts that are read may unpack to.

    Raises:
        InputError: If the file is encrypted, broken, or no archive.
    """

    def __init__(self, data: bytes, name: str, *, suffix: str, max_bytes: int = MAX_XML_BYTES) -> None:
        self.name, self.suffix, self.kind = name, suffix, _KINDS[suffix]
        self._max_bytes = max_bytes
        if data.startswith(OLE):
            raise InputError(refusal(data, name, suffix=suffix))
        self._size = 0
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(data))
        except Exception as error:
            raise self._broken(error) from error

    def _broken(self, error: Exception | str) -> InputError:
        return InputError(
            f"{self.name} is broken, or no {self.kind} ({error}). Save it anew as .{self.suffix}"
            f"{_OTHERWISE.get(self.suffix, '')}."
        )

    def __contains__(self, path: str) -> bool:
        return path in self._archive.NameToInfo

    def paths(self) -> list[str]:
        """Return the paths of all parts."""
        return self._archive.namelist()

    def read(self, path: str) -> bytes:
        """Return a part. The standard library sees to it that no part unpacks to more than its declared size.

        Raises:
            InputError: If all parts that were read unpack to more than `max_bytes`, or if it is broken.
        """
        self._size += self._archive.getinfo(path).file_size
        if self._size > self._max_bytes:
            raise InputError(
                f"{self.name} unpacks to {self._size / 2**20:.0f} MB of XML, and at most {self._max_bytes >> 20} MB "
                "are read. Cut it into several files."
            )
        try:
            return self._archive.read(path)
        except MemoryError:
            raise
        except Exception as error:
            raise self._broken(error) from error

    def xml(self, path: str) -> Any:
        """Return the root element of a part, or None if there is no such part."""
        if path not in self:
            return None
        data = self.read(path)
        if b"purl.oclc.org/ooxml" in data:  # the strict variant: the same elements in other namespaces
            data = _STRICT.sub(rb"http://schemas.openxmlformats.org/\1/2006/\2", data)
        try:
            return xml(data)
        except SyntaxError as error:
            raise self._broken(error) from error

    def relations(self, path: str) -> Mapping[str, Relation]:
        """Return what a part refers to within the archive, by id. The path "" stands for the archive."""
        folder, base = posixpath.split(path)
        root = self.xml(posixpath.join(folder, "_rels", f"{base}.rels"))
        found: dict[str, Relation] = {}
        for relation in () if root is None else root:
            target, kind = relation.get("Target", ""), relation.get("Type", "")
            if relation.get("TargetMode") != "External":
                target = posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
                found[relation.get("Id", "")] = Relation(kind.rpartition("/")[2], target)
        return found

    def main_part(self, default: str) -> str:
        """Return the path of the part that everything else hangs on."""
        found = (relation.path for relation in self.relations("").values() if relation.kind == "officeDocument")
        return next(found, default)

    def core_metadata(self) -> dict[str, Any]:
        """Return the title, author, subject, keywords and dates of an Office file, as far as it has them."""
        root = self.xml("docProps/core.xml")
        return {} if root is None else properties(root)


_PROPERTIES = {
    "title": "title",
    "creator": "author",
    "initial-creator": "author",
    "subject": "subject",
    "keywords": "keywords",
    "keyword": "keywords",
    "created": "created",
    "creation-date": "created",
    "modified": "modified",
    "date": "modified",
}


def properties(root: Any) -> dict[str, Any]:
    """Return the metadata in the children of an element, as far as they hold any."""
    found: dict[str, Any] = {}
    for element in root:
        key = _PROPERTIES.get(element.tag.rpartition("}")[2])
        text = " ".join("".join(element.itertext()).split())
        if element.tag.endswith("}creator") and "author" in found:  # of OpenDocument: who saved it last
            continue
        if key and text:
            found[key] = f"{found[key]}, {text}" if key in found and key == "keywords" else text
    return found


def xml(data: bytes) -> Any:
    """Parse XML. Nothing is fetched, and the parser refuses entities that grow, and elements nested over 256 deep.

    Raises:
        SyntaxError: If it is no XML.
        RecursionError: If it is nested too deep.
    """
    etree = require("lxml.etree", extra="files")
    parser = etree.XMLParser(
        resolve_entities="internal", no_network=True, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        return etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        if "depth" in str(error):
            raise RecursionError(str(error)) from error
        raise
