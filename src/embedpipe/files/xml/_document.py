"""XML as Markdown: articles and books in their order, feeds by entry, data as lines "name: value"."""

from __future__ import annotations

import re
from html.entities import html5
from typing import Any

from embedpipe.errors import InputError
from embedpipe.files import _office
from embedpipe.files._decoding import decode
from embedpipe.files.html import markdown
from embedpipe.files.parsed import Parsed, ReadOptions
from embedpipe.files.xml._data import lines
from embedpipe.files.xml._prose import is_prose, prose
from embedpipe.types import Location

MAX_BYTES = 32 * 2**20
MAX_ATTRIBUTES = 1000
"""How many attributes an element may have. lxml looks through all of them for each value."""

_DECLARATION = re.compile(r"<\?xml[^>]*\?>")
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]{1,30};)")
_CROWDED = f"boolean(/descendant-or-self::*[count(@*) > {MAX_ATTRIBUTES}])"
_OF_XML = frozenset(("amp;", "lt;", "gt;", "quot;", "apos;"))
_XHTML = "{http://www.w3.org/1999/xhtml}html"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_CONTENTS = ("encoded", "content", "description", "summary")
_DATES = ("pubDate", "published", "updated", "date")


def parse(data: bytes, name: str, options: ReadOptions) -> Parsed:
    """Return the text of an XML file.

    Articles and books become Markdown: DocBook, JATS, TEI, DITA and others in which words stand between elements. An
    RSS or Atom feed has a heading for each entry, and its chunks get the entry's title, date and link. Other XML is
    data, a line "name: value" for each element and attribute.

    Entities are not fetched. Those that the file itself defines count, up to the parser's limit.

    Raises:
        InputError: If the file is broken, over 32 MB, or has an element with over 1,000 attributes.
        RecursionError: If its elements are nested over 256 deep.
    """
    if len(data) > MAX_BYTES:
        raise InputError(f"{name} is over {MAX_BYTES >> 20} MB of XML. Cut it into several files.")
    source = decode(data, name, options.encoding)
    text = source.text.lstrip()
    declared = _DECLARATION.match(text)
    text = text[declared.end() :].lstrip() if declared else text
    try:
        root = _office.xml(_ENTITY.sub(_character, text).encode("utf-8", "replace"))
    except SyntaxError as error:
        raise InputError(
            f"{name} is broken XML ({error}). Repair it (xmllint --recover does), or save its text as .txt."
        ) from error
    if root.xpath(_CROWDED):
        raise InputError(
            f"{name} has an element with more than {MAX_ATTRIBUTES} attributes. Write elements within it instead."
        )
    found = _read(root, text)
    return Parsed(
        found.text, {**source.metadata, **found.metadata}, found.locations, [*source.left_out, *found.left_out]
    )


def _character(reference: re.Match[str]) -> str:
    """Return the character of an entity of HTML: files use &nbsp; without the definition that XML asks for."""
    known = None if reference[1] in _OF_XML else html5.get(reference[1])
    return reference[0] if known is None else known


def _read(root: Any, text: str) -> Parsed:
    kind = local_name(root)
    if root.tag == _XHTML or kind in ("html", "svg"):
        return markdown(text)
    if kind in ("rss", "RDF", "feed") and any(True for _ in root.iter("{*}item", "{*}entry")):
        return _feed(root)
    language = root.get(_LANGUAGE) or root.get("lang")
    metadata = {"language": language} if language else {}
    if is_prose(root):
        found = prose(root)
        return Parsed(found.text, {**found.metadata, **metadata}, left_out=found.left_out)
    return Parsed(lines(root), metadata)


def local_name(element: Any) -> str:
    """Return an element's name without its namespace. It is empty for what is no element, such as an entity."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _feed(root: Any) -> Parsed:
    channel = next(root.iter("{*}channel"), root)
    about = {key: _words(channel, key) for key in ("title", "description", "subtitle", "language")}
    parts = [f"# {about['title']}"] if about["title"] else []
    parts += filter(None, (about["description"], about["subtitle"]))
    locations: list[Location] = []
    start = sum(len(part) + 2 for part in parts)
    for entry in root.iter("{*}item", "{*}entry"):
        title = _words(entry, "title")
        date = next(filter(None, (_words(entry, key) for key in _DATES)), "")
        author = _words(entry, "creator") or _words(entry, "author")
        content = max((_content(entry, key) for key in _CONTENTS), key=len)
        blocks = [f"## {title}" if title else "", ", ".join(filter(None, (author, date))), content]
        text = "\n\n".join(filter(None, blocks))
        known = {"entry": title, "date": date, "link": _link(entry)}
        locations.append(Location(start, {key: value for key, value in known.items() if value}))
        parts.append(text)
        start += len(text) + 2
    metadata = {key: about[key] for key in ("title", "language") if about[key]}
    return Parsed("\n\n".join(parts) + "\n", metadata, locations)


def _words(element: Any, name: str) -> str:
    """Return the text of a child, in one line."""
    child = element.find(f"{{*}}{name}")
    return "" if child is None else " ".join(markdown(" ".join(child.itertext())).text.split())


def _content(entry: Any, name: str) -> str:
    """Return a child's HTML as Markdown."""
    child = entry.find(f"{{*}}{name}")
    if child is None:
        return ""
    if child.get("type") == "xhtml":
        return prose(child).text.strip()
    return markdown("".join(child.itertext())).text.strip()


def _link(entry: Any) -> str:
    for link in entry.iterfind("{*}link"):
        if link.get("rel", "alternate") == "alternate":
            return (link.get("href") or link.text or "").strip()
    return ""
