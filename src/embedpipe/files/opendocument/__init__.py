"""OpenDocument files as Markdown: texts (.odt) and presentations (.odp)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from embedpipe.errors import InputError
from embedpipe.files._blocks import Block, flat, left_out, markdown
from embedpipe.files._office import Archive, properties, xml
from embedpipe.files.opendocument._styles import OFFICE, STYLE, Styles
from embedpipe.files.opendocument._text import DRAW, Text
from embedpipe.files.parsed import Parsed, ReadOptions
from embedpipe.types import Location

__all__ = ["parse"]

_MARGINS = ("header", "header-left", "header-first"), ("footer", "footer-left", "footer-first")


def parse(data: bytes, name: str, options: ReadOptions) -> Parsed:
    """Return a file's text as Markdown, with its title, author, subject, keywords and dates.

    Each slide of a presentation begins at a location with its number as "slide". The final text counts: insertions
    are there, deletions are not. Headers stand first and footers last, each once. Footnotes and comments follow the
    paragraph that they belong to.

    Raises:
        InputError: If the file is encrypted, broken, of another format, or larger unpacked than can be read.
        RecursionError: If its elements are nested too deep.
    """
    roots, archive = _opened(data, name)
    body = next((found for root in roots if (found := root.find(f"{OFFICE}body")) is not None and len(found)), None)
    if body is None:
        raise InputError(f"{name} is no OpenDocument file with a text. Check its suffix.")
    styles = Styles(roots)
    text = Text(archive, styles)
    parts = _parts(text, body[0])
    if body[0].tag == f"{OFFICE}text":
        headers, footers = ([Block(line) for line in _margin(text, roots, names)] for names in _MARGINS)
        parts = iter([({}, [block for _, blocks in [({}, headers), *parts, ({}, footers)] for block in blocks])])
    metadata: dict[str, Any] = {}
    for root in roots:
        found = root.find(f"{OFFICE}meta")
        metadata.update({} if found is None else properties(found))
    texts: list[str] = []
    locations: list[Location] = []
    start = 0
    for known, blocks in parts:
        written = markdown(blocks)
        if written:
            locations += [Location(start, known)] if known else []
            texts.append(written)
            start += len(written) + 1
    return Parsed("\n".join(texts), metadata, locations, left_out(text.left_out))


def _opened(data: bytes, name: str) -> tuple[list[Any], Archive | None]:
    """Return the roots of a file's parts: its content, styles and metadata. A file of one part has no archive."""
    if data.lstrip()[:1] == b"<":
        try:
            return [xml(data)], None
        except SyntaxError as error:
            raise InputError(f"{name} is broken, or no OpenDocument file ({error}). Save it anew as .odt.") from error
    archive = Archive(data, name, suffix="odt")
    if "META-INF/manifest.xml" in archive and b"encryption-data" in archive.read("META-INF/manifest.xml"):
        raise InputError(f"{name} is encrypted. Open it in LibreOffice, and save it without a password.")
    if "content.xml" not in archive:
        raise InputError(f"{name} is a ZIP archive, but no OpenDocument file. Check its suffix.")
    return [archive.xml(part) for part in ("content.xml", "styles.xml", "meta.xml") if part in archive], archive


def _parts(text: Text, content: Any) -> Iterator[tuple[dict[str, Any], list[Block]]]:
    """Yield the metadata and blocks of each slide, or of the whole text."""
    if content.tag == f"{OFFICE}presentation":
        for number, page in enumerate(content.iter(f"{DRAW}page"), 1):
            yield {"slide": number}, text.slide(page) + text.notes()
    else:
        blocks = []
        for element in content:
            blocks += text.blocks([element])
            blocks += text.notes()
        yield {}, blocks + text.endnotes()


def _margin(text: Text, roots: list[Any], names: tuple[str, ...]) -> list[str]:
    """Return the headers or footers of all pages, each once, without those that hold only a page's number."""
    found: dict[str, None] = {}
    for page in (page for root in roots for page in root.iter(f"{STYLE}master-page")):
        for name in names:
            margin = page.find(STYLE + name)
            if margin is not None and margin.get(f"{STYLE}display") != "false":
                found.update(dict.fromkeys(flat([block]) for block in text.blocks(margin)))
    return [line for line in found if any(map(str.isalpha, line))]
