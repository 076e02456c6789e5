"""HTML as Markdown: headings, lists, tables and code keep their form; scripts, navigation and addresses go.

The time grows as the size of a page, whatever it holds. That decides what is done with which library: lxml parses and
removes elements, and what markdownify does by looking at all siblings of an element is overridden here.
"""

from __future__ import annotations

import re
import warnings
from functools import cache
from typing import Any

from embedpipe._optional import require
from embedpipe.errors import InputError
from embedpipe.files.parsed import Parsed

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


def parse(data: bytes, name: str) -> Parsed:
    """Return the page's text as Markdown, and its title.

    Raises:
        InputError: If the file is over 32 MB.
        RecursionError: If its elements are nested too deep.
    """
    if len(data) > MAX_BYTES:
        raise InputError(f"{name} is over {MAX_BYTES >> 20} MB of HTML: cut it into several files.")
    return markdown(data)


def markdown(source: bytes | str) -> Parsed:
    """Do as `parse`, whatever the length. The encoding is the one that the page declares."""
    soup = require("bs4", extra="files").BeautifulSoup
    page = _page(source)
    title = " ".join((page.findtext(".//title") or "").split())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what looks like XML or a file's name is read all the same
        text: str = _converter_class()(**_SETTINGS).convert_soup(soup(_simplified(page), "lxml"))
    return Parsed(_BLANK_LINES.sub("\n\n", text).strip() + "\n", {"title": title} if title else {})


def _page(source: bytes | str) -> Any:
    """Return the page's tree of lxml: the standard library's parser takes quadratic time for what is not closed."""
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
    """Return the page's HTML without what is no text, and without what the converter fails on or is slow for."""
    etree = require("lxml.etree", extra="files")
    etree.strip_elements(page, *_NOT_TEXT, etree.Comment, etree.ProcessingInstruction, with_tail=False)
    for element in page.iter(etree.Element):
        if element.tag == "img":  # which has its description in its place
            element.tag, element.text = "span", element.get("alt")
        elif _UNKNOWN_HEADING.fullmatch(element.tag):
            element.tag = "div"
        for attribute in list(element.attrib):  # a superscript 2 is a digit to the converter, and no number
            if attribute not in _NUMBERS or not _NUMBER.fullmatch(element.get(attribute)):
                del element.attrib[attribute]
    html: str = etree.tostring(page, encoding="unicode", method="html")
    return _LONG_BLANK.sub(lambda blank: blank[0][:40], html)  # the converter's patterns are quadratic in these


@cache
def _converter_class() -> Any:
    """Return the converter, with what takes quadratic time in markdownify done in linear time."""
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
