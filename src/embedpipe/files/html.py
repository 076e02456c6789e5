"""HTML as Markdown. Headings, lists, tables and code keep their form. Scripts, navigation and addresses are removed.

The time grows linearly with the size of a page, whatever is in it. That is why lxml parses and removes elements, and
why this module overrides the steps in which markdownify looks at all siblings of an element.
"""

from __future__ import annotations

import re
import warnings
from functools import cache
from typing import Any

from embedpipe._optional import require
from embedpipe.errors import InputError
from embedpipe.files.parsed import Parsed, ReadOptions

MAX_BYTES = 32 * 2**20

_NOT_TEXT = ("head", "script", "style", "noscript", "template", "nav", "svg", "iframe", "object", "select", "button")
_NUMBERS = ("colspan", "rowspan", "start")
_NUMBER = re.compile(r"[0-9]{1,6}")
_UNKNOWN_HEADING = re.compile(r"h(?![1-6]$)\d+")
_LONG_BLANK = re.compile(r"[ \t\r\n]{41,}")
_BLANK_LINES = re.compile(r"\n(?:[^\S\n]*\n){2,}")
_SETTINGS = {
    "heading_style": "atx",
    "bullets": "-",
    "strip": ["a"],  # a link's words without its address
    "table_infer_header": True,
    "escape_asterisks": False,
    "escape_underscores": False,
    "escape_misc": False,
}


def parse(data: bytes, name: str, options: ReadOptions) -> Parsed:
    """Return the page's text as Markdown, and its title.

    Raises:
        InputError: If the file is over 32 MB.
        RecursionError: If its elements are nested too deep.
    """
    if len(data) > MAX_BYTES:
        raise InputError(f"{name} is over {MAX_BYTES >> 20} MB of HTML. Cut it into several files.")
    return markdown(data)


def markdown(source: bytes | str) -> Parsed:
    """Do the same as `parse` for any length. The encoding is the one that the page declares."""
    soup = require("bs4", extra="files").BeautifulSoup
    page = _page(source)
    title = " ".join((page.findtext(".//title") or "").split())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # text like XML or a file's name is read all the same
        text: str = _converter_class()(**_SETTINGS).convert_soup(soup(_simplified(page), "lxml"))
    return Parsed(_BLANK_LINES.sub("\n\n", text).strip() + "\n", {"title": title} if title else {})


def _page(source: bytes | str) -> Any:
    """Return the page's tree of lxml: the standard library's parser takes quadratic time for unclosed elements."""
    etree = require("lxml.etree", extra="files")
    if isinstance(source, bytes):
        source = require("bs4.dammit", extra="files").UnicodeDammit(source, is_html=True).unicode_markup or ""
    parser = etree.HTMLParser(encoding="utf-8", huge_tree=True)
    try:
        return etree.fromstring(f"<html>{source}".encode("utf-8", "replace"), parser)
    finally:
        for entry in parser.error_log:  # the parser goes on with what it has, or calls the error unknown
            if entry.type == etree.ErrorTypes.ERR_NO_MEMORY:
                raise MemoryError
            if "depth" in entry.message:
                raise RecursionError


def _simplified(page: Any) -> str:
    """Return the page's HTML without elements that are no text or that the converter cannot do fast."""
    etree = require("lxml.etree", extra="files")
    etree.strip_elements(page, *_NOT_TEXT, etree.Comment, etree.ProcessingInstruction, with_tail=False)
    for element in page.iter(etree.Element):
        if element.tag == "img":  # its description takes its place
            element.tag, element.text = "span", element.get("alt")
        elif _UNKNOWN_HEADING.fullmatch(element.tag):
            element.tag = "div"
        for attribute in list(element.attrib):  # the converter takes a superscript 2 for a digit
            if attribute not in _NUMBERS or not _NUMBER.fullmatch(element.get(attribute)):
                del element.attrib[attribute]
    html: str = etree.tostring(page, encoding="unicode", method="html")
    return _LONG_BLANK.sub(lambda blank: blank[0][:40], html)  # the converter's patterns take quadratic time on them


@cache
def _converter_class() -> Any:
    """Return the converter, with steps that take quadratic time in markdownify replaced by linear ones."""
    library = require("markdownify", extra="files")

    class Converter(library.MarkdownConverter):  # type: ignore[misc, name-defined]  # the extra may be missing
        def convert_soup(self, soup: Any) -> str:
            self._numbers = {
                id(item): int(items.get("start") or 1) + place
                for items in soup.find_all("ol")
                for place, item in enumerate(items.find_all("li", recursive=False))
            }
            self._first_rows = {id(table.find("tr")) for table in soup.find_all("table")}
            text: str = super().convert_soup(soup)
            return text

        def convert_li(self, el: Any, text: str, parent_tags: set[str]) -> str:
            bullet = f"{self._numbers[id(el)]}. " if id(el) in self._numbers else "- "
            lines = text.strip().split("\n")
            indented = [lines[0], *(line and " " * len(bullet) + line for line in lines[1:])]
            return bullet + "\n".join(indented) + "\n" if text.strip() else "\n"

        def convert_tr(self, el: Any, text: str, parent_tags: set[str]) -> str:
            cells = el.find_all(["td", "th"], recursive=False)
            columns = sum(max(1, min(1000, int(cell.get("colspan") or 1))) for cell in cells)
            return f"|{text}\n" + ("|" + " --- |" * columns + "\n" if id(el) in self._first_rows else "")

    return Converter
