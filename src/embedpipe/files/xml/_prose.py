"""Write XML that holds prose as Markdown: DocBook, JATS, TEI, DITA and others, by the names that their elements share.

An element that is not known is a part of a line where words stand beside it, and a paragraph elsewhere.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Any

from embedpipe._optional import require
from embedpipe.files.html import MarkdownWriter, formula
from embedpipe.files.parsed import Parsed

_AS_HTML = {
    "p": "p para simpara ab lg speaker stage verse",
    "ul": "itemizedlist list simplelist ul choices steps-unordered",
    "ol": "orderedlist ol steps procedure",
    "li": "listitem item li list-item member step choice",
    "dl": "variablelist glosslist def-list dl parml",
    "dt": "term dt glossterm pt",
    "dd": "dd def glossdef pd",
    "pre": "programlisting screen literallayout codeblock preformat preformatted synopsis eg pre msgblock code-block",
    "code": "code literal codeph filename command option function varname monospace parameter classname constant "
    "userinput computeroutput type methodname envar prompt tt uicontrol apiname styled-content-code",
    "em": "emphasis italic hi it i em foreign citetitle firstterm replaceable var",
    "strong": "bold b strong",
    "sup": "sup superscript",
    "sub": "sub subscript inf",
    "blockquote": "blockquote disp-quote quote-block epigraph lq",
    "table": "table informaltable array tgroup-table",
    "thead": "thead",
    "tbody": "tbody",
    "tfoot": "tfoot",
    "tr": "row tr strow",
    "td": "entry td stentry cell",
    "th": "th",
    "br": "lb br break sbr",
    "hr": "hr",
    "q": "quote q",
    "s": "strike strikethrough del",
}
_TAGS = {name: tag for tag, names in _AS_HTML.items() for name in names.split()}
_TITLES = frozenset(("title", "head", "article-title", "heading"))
_WITH_CAPTIONS = frozenset(("table", "informaltable", "figure", "fig", "biblioentry"))
_IN_LINES = frozenset(("em", "strong", "code", "sup", "sub"))
_NOTES = frozenset(("footnote", "fn", "note"))
_PROSE = frozenset("article book chapter part section TEI topic concept task reference html div preface".split())  # noqa: SIM905
_SKIPPED = frozenset(("script", "style", "processing-meta"))
_BIBLIOGRAPHIC = frozenset(
    """
    journal-meta article-id article-categories contrib-id pub-date history permissions volume issue elocation-id fpage
    lpage counts custom-meta-group related-article self-uri
    """.split()  # noqa: SIM905
)
"""Numbers and dates at the beginning of an article of JATS."""
_LINES = frozenset(("l", "line", "v"))
_MAX_COLUMNS = 200
_MOST_PARTS = 20
"""The most elements of a line, such as the parts of a name."""
_PREFIX = re.compile(r"<(/?)[A-Za-z_][\w.-]*:")


def is_prose(root: Any) -> bool:
    """Return whether words stand between elements, or the elements are those of paragraphs."""
    if _name(root) in _PROSE:
        return True
    return any(
        _TAGS.get(_name(element)) == "p" or (element.tail and element.tail.strip())
        for element in root.iterdescendants()
    )


def prose(root: Any) -> Parsed:
    """Return the text of an element as Markdown, and its title."""
    front = root.find("{*}front") if _name(root) == "article" else None
    writer = _ProseWriter(_SKIPPED, 0) if front is None else _ProseWriter(_SKIPPED | _BIBLIOGRAPHIC, 1)
    writer.write(root)
    found = {"title": writer.title, "author": "" if front is None else _authors(front)}
    return Parsed(writer.markdown(), {key: value for key, value in found.items() if value}, left_out=writer.left_out())


def _authors(front: Any) -> str:
    """Return the names of an article's authors."""
    names = [
        " ".join(filter(None, (name.findtext("{*}given-names"), name.findtext("{*}surname"))))
        for contributor in front.iterfind(".//{*}contrib[@contrib-type='author']")
        for name in contributor.iterfind("{*}name")
    ]
    return ", ".join(filter(None, names))


class _ProseWriter:
    """Hands XML elements to the writer of HTML, under HTML's names."""

    def __init__(self, skipped: frozenset[str], level: int) -> None:
        self.title = ""
        self._skipped = skipped
        self._writer = MarkdownWriter()
        self._level = level
        self._notes = 0
        self._entities = 0

    def markdown(self) -> str:
        """Return the text."""
        return self._writer.markdown()

    def left_out(self) -> list[str]:
        """Return what could not be written."""
        return [f"{self._entities} entities that the file does not define"] if self._entities else []

    def write(self, element: Any) -> None:
        """Write an element with all that is in it. The parser bounds how deep they are nested."""
        name = _name(element)
        if not name or name in self._skipped:
            self._entities += element.tag is not None and not isinstance(element.tag, str)
            return
        if name == "math":
            self._writer.text(formula(_PREFIX.sub(r"<\1", _source(element))))
            return
        if name == "tex-math":
            self._writer.text(f"${' '.join(_tex(element).split())}$")
            return
        titled = any(_name(child) in _TITLES for child in element) and name not in (
            "table",
            "figure",
            "table-wrap",
            "fig",
        )
        self._level += titled
        is_note = name in _NOTES and _stands_in_words(element)
        if is_note:
            self._notes += 1
            self._writer.text(" (")
        self._write_as(self._tag(element, name), element)
        if name in _LINES:
            self._writer.start("br", {})
            self._writer.end()
        if is_note:
            self._writer.text(")")
            self._notes -= 1
        self._level -= titled

    def _tag(self, element: Any, name: str) -> str:
        """Return the element of HTML for an element."""
        parent = element.getparent()
        known = _TAGS.get(name)
        if self._notes:  # a note stays in its line
            return known if known in _IN_LINES else "span"
        if name in _TITLES and _name(parent) not in _WITH_CAPTIONS:
            return self._title(element, name)
        if special := _special(element, name, parent):
            return special
        return known or ("span" if _stands_in_words(element) or _is_line(parent) else "div")

    def _title(self, element: Any, name: str) -> str:
        if name == "article-title" and _stands_in_words(element):  # in a bibliography
            return "span"
        self.title = self.title or " ".join("".join(element.itertext()).split())
        return "h1" if name == "article-title" else f"h{max(1, min(6, self._level))}"

    def _write_as(self, tag: str, element: Any) -> None:
        attributes = {key: str(value) for key, value in element.attrib.items()}
        if tag == "a":  # the mark of a note or reference
            attributes |= {"href": "", "class": "reference"}
        if tag in ("td", "th") and "morerows" in attributes:
            attributes["rowspan"] = str(int(re.sub(r"\D", "", attributes["morerows"])[:4] or 0) + 1)
        if tag in ("td", "th") and (columns := _columns(element)) > 1:
            attributes["colspan"] = str(columns)
        if not self._writer.start(tag, attributes):
            return
        if element.text:
            self._writer.text(element.text)
        apart = _is_line(element)
        for child in element:
            self.write(child)
            self._writer.text((child.tail or "") + (" " if apart else ""))
        self._writer.end()


def _special(element: Any, name: str, parent: Any) -> str:
    """Return the element of HTML where it depends on more than the name, else an empty text."""
    above = _name(parent)
    kind = element.get("list-type") or element.get("type") or element.get("role") or ""
    if name in _LINES:
        return "span"
    if name in _TITLES:
        return "caption" if above in ("table", "informaltable") else ""
    if name == "listitem" and above == "varlistentry":
        return "dd"
    if name == "list" and kind.startswith(("order", "num")):
        return "ol"
    if name == "emphasis" and kind in ("bold", "strong"):
        return "strong"
    if name in ("entry", "td") and _name(parent.getparent() if parent is not None else None) == "thead":
        return "th"
    return "a" if name == "xref" and element.get("ref-type") in ("bibr", "fn", "table-fn") else ""


def _name(element: Any) -> str:
    if element is None or not isinstance(element.tag, str):
        return ""
    name: str = element.tag.rpartition("}")[2]
    return name


def _stands_in_words(element: Any) -> bool:
    """Return whether words stand directly beside an element."""
    parent = element.getparent()
    if parent is None:
        return False
    before = element.getprevious()
    beside = (element.tail, parent.text if before is None else before.tail, parent.text)
    return any(text and text.strip() for text in beside)


def _is_line(element: Any) -> bool:
    """Return whether an element holds only short elements without further ones, such as the parts of a name."""
    if element is None or _name(element) in _TAGS:
        return False
    children = list(islice(element, _MOST_PARTS + 1))  # `len(element)` counts them all, for each of them
    return 0 < len(children) <= _MOST_PARTS and all(
        next(iter(child), None) is None and _name(child) not in _TAGS and _name(child) not in _TITLES
        for child in children
    )


def _columns(element: Any) -> int:
    """Return how many columns a cell of a CALS table spans."""
    first, last = element.get("namest"), element.get("nameend")
    if not first or not last:
        return 1
    group = element.getparent().getparent().getparent()
    specifications = () if group is None else islice(group.iterfind("{*}colspec"), _MAX_COLUMNS)
    names = [specification.get("colname") for specification in specifications]
    return names.index(last) - names.index(first) + 1 if first in names and last in names else 1


def _source(element: Any) -> str:
    etree = require("lxml.etree", extra="files")
    source: str = etree.tostring(element, encoding="unicode", with_tail=False)
    return source


def _tex(element: Any) -> str:
    text = "".join(element.itertext())
    body = re.search(r"\\begin\{document\}(.*)\\end\{document\}", text, re.DOTALL)
    return (body[1] if body else text).strip().strip("$")
