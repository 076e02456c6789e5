"""EPUB books as Markdown, chapter by chapter in reading order."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from embedpipe.errors import InputError
from embedpipe.files._office import Archive
from embedpipe.files.html import decoded, markdown
from embedpipe.files.parsed import Parsed, ReadOptions
from embedpipe.types import Location

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_PAGES = (".xhtml", ".html", ".htm", ".xml")
_ABOUT = {
    "title": "title",
    "creator": "author",
    "language": "language",
    "publisher": "publisher",
    "date": "date",
    "description": "description",
}


def parse(data: bytes, name: str, options: ReadOptions) -> Parsed:
    """Return a book's text in reading order. Each chunk gets its `chapter`, as the table of contents names it.

    Raises:
        InputError: If the book is encrypted, broken, or unpacks to more than can be read.
    """
    archive = Archive(data, name, suffix="epub")
    path, package = _package(archive)
    pages, contents = _pages(package, path)
    encrypted = _encrypted(archive)
    if any(page in encrypted for page in pages):
        raise InputError(f"{name} is encrypted (DRM). Use a copy without copy protection.")
    chapters = _chapters(archive, contents)
    metadata, text, chapter = _metadata(package), "", ""
    parts: list[str] = []
    locations: list[Location] = []
    left_out: dict[str, None] = {}
    start = 0
    for page in pages:
        if page not in archive:
            left_out[f"{page}, which is not in the file"] = None
            continue
        found = markdown(decoded(archive.read(page), f"{name}: {page}", options.encoding).text)
        left_out.update(dict.fromkeys(found.left_out))
        text = found.text.rstrip("\n")
        if not text:
            continue
        begun = _begun(text, chapters.get(page, []), chapter)
        locations += (Location(start + offset, {"chapter": title}) for offset, title in begun)
        chapter = begun[-1][1] if begun else ""
        parts.append(text)
        start += len(text) + 2
    return Parsed("\n\n".join(parts) + "\n", metadata, locations, list(left_out))


def _package(archive: Archive) -> tuple[str, Any]:
    """Return the path and the root element of the file that lists the book's parts."""
    container = archive.xml(_CONTAINER)
    for rootfile in () if container is None else container.iter("{*}rootfile"):
        path = unquote(rootfile.get("full-path", ""))
        package = archive.xml(path)
        if package is not None:
            return path, package
    raise InputError(f"{archive.name} is a ZIP archive, but no EPUB book. Check its suffix.")


def _pages(package: Any, path: str) -> tuple[list[str], list[str]]:
    """Return the paths of the pages in reading order, and of the tables of contents, the newer kind first."""
    by_id: dict[str, str] = {}
    contents: list[str] = []
    for item in package.iter("{*}item"):
        target = _resolved(item.get("href", ""), path)
        kind = item.get("media-type", "")
        if "nav" in item.get("properties", "").split():
            contents.insert(0, target)
        elif kind == "application/x-dtbncx+xml":
            contents.append(target)
        if "html" in kind or target.lower().endswith(_PAGES):
            by_id[item.get("id", "")] = target
    order = [by_id.get(item.get("idref", "")) for item in package.iter("{*}itemref")]
    return list(dict.fromkeys(page for page in order if page)), contents


def _resolved(reference: str, base: str) -> str:
    path = unquote(reference.partition("#")[0])
    return posixpath.normpath(posixpath.join(posixpath.dirname(base), path)) if path else base


def _encrypted(archive: Archive) -> set[str]:
    """Return the paths of encrypted parts. Those of most books are fonts, which are not read."""
    root = archive.xml(_ENCRYPTION)
    return set() if root is None else {unquote(found.get("URI", "")) for found in root.iter("{*}CipherReference")}


def _chapters(archive: Archive, contents: list[str]) -> Mapping[str, list[str]]:
    """Return the titles of the chapters that begin in each page, by the page's path."""
    for path in contents:
        found: dict[str, list[str]] = {}
        root = archive.xml(path) if path in archive else None
        for element in () if root is None else root.iter("{*}navPoint", "{*}nav"):
            if element.tag.endswith("navPoint"):
                target, label = element.find("{*}content"), element.find("{*}navLabel")
                _add(found, "" if target is None else target.get("src", ""), label, path)
            elif "toc" in element.get("{http://www.idpf.org/2007/ops}type", "toc"):
                for link in element.iter("{*}a"):
                    _add(found, link.get("href", ""), link, path)
        if found:
            return found
    return {}


def _add(found: dict[str, list[str]], target: str, label: Any, base: str) -> None:
    title = "" if label is None else " ".join("".join(label.itertext()).split())
    if target and title:
        found.setdefault(_resolved(target, base), []).append(title)


def _begun(text: str, titles: list[str], before: str) -> list[tuple[int, str]]:
    """Return where chapters begin in a page, with their titles.

    The first begins with the page. Others begin at their heading. A page without a title in the table of contents is
    named by its first heading, else it goes on with the chapter before.
    """
    headings: dict[str, int] = {}
    first, start = "", 0
    for line in text.split("\n"):
        if line.startswith("#"):
            heading = line.lstrip("#").strip().replace("*", "")
            headings.setdefault(heading.casefold(), start)
            first = first or heading
        start += len(line) + 1
    begun = [(0, titles[0] if titles else first or before)]
    for title in titles[1:]:
        offset = headings.get(title.casefold(), -1)
        if offset > begun[-1][0]:
            begun.append((offset, title))
    return [(offset, title) for offset, title in begun if title]


def _metadata(package: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for element in package.iter("{http://purl.org/dc/elements/1.1/}*"):
        key = _ABOUT.get(element.tag.rpartition("}")[2])
        text = " ".join("".join(element.itertext()).split())
        if key and text:
            found[key] = f"{found[key]}, {text}" if key == "author" and key in found else found.get(key, text)
    if "description" in found:
        found["description"] = " ".join(markdown(found["description"]).text.split())
    return found
