"""HTML as Markdown: headings, lists, tables and code keep their form; scripts, navigation and addresses go."""

from __future__ import annotations

import re
import warnings
from typing import Any

from embedpipe._optional import require
from embedpipe.errors import InputError
from embedpipe.files.parsed import Parsed

MAX_BYTES = 32 * 2**20

_NOT_TEXT = ("head", "script", "style", "noscript", "template", "nav", "svg", "iframe", "object", "select", "button")
_REMARKS = ("Comment", "Declaration", "Doctype", "ProcessingInstruction", "XMLProcessingInstruction")
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
    """The page's text as Markdown, and its title.

    Raises `InputError` for a file over 32 MB and one whose elements are nested too deep.
    """
    if len(data) > MAX_BYTES:
        raise InputError(f"{name} is over {MAX_BYTES >> 20} MB of HTML: cut it into several files.")
    return markdown(data, name)


def markdown(source: bytes | str, name: str) -> Parsed:
    """As `parse`, whatever the length. The encoding is the one that the page declares."""
    converter = require("markdownify", extra="files").MarkdownConverter(**_SETTINGS)
    page = parsed(source, name)
    title = " ".join(page.title.get_text().split()) if page.title else ""
    for element in page.find_all(_NOT_TEXT):
        element.decompose()
    for remark in page.find_all(string=lambda text: type(text).__name__ in _REMARKS):
        remark.extract()
    for image in page.find_all("img"):
        image.replace_with(image.get("alt") or "")
    try:
        text: str = converter.convert_soup(page)
    except RecursionError as error:
        raise InputError(
            f"{name} nests its elements too deep to be read (several hundred within each other): simplify it, or save "
            "its text as .txt."
        ) from error
    return Parsed(_BLANK_LINES.sub("\n\n", text).strip() + "\n", {"title": title} if title else {})


def parsed(source: bytes | str, name: str) -> Any:
    """The tree of BeautifulSoup, by the parser of the standard library. Raises `InputError` for what that refuses."""
    library = require("bs4", extra="files")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what looks like XML or a file's name is read all the same
        try:
            return library.BeautifulSoup(source, "html.parser")
        except library.ParserRejectedMarkup:
            pass
        try:  # with broken declarations as remarks, which browsers take them for
            return library.BeautifulSoup(_without_sections(source), "html.parser")
        except library.ParserRejectedMarkup as error:
            raise InputError(f"{name} is broken HTML ({error}): save it anew from a browser.") from error


def _without_sections(source: bytes | str) -> bytes | str:
    return source.replace("<![", "<! [") if isinstance(source, str) else source.replace(b"<![", b"<! [")
