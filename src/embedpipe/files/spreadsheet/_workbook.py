"""What the XML of a workbook (.xlsx) says beside the values: forms of numbers and texts, errors, comments, boxes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from embedpipe.files._blocks import Span, inline, left_out
from embedpipe.files._office import Archive, xml

MAX_BYTES = 128 * 2**20
"""How large the parts of a workbook may be when they are unpacked: about three million cells."""

_CELL = re.compile(rb"<(?:\w+:)?c(?=[\s>])")
_REFERENCE = re.compile(rb"""\sr=["']([A-Z]{1,3})([0-9]{1,7})["']""")
_STYLE = re.compile(rb"""\ss=["']([0-9]+)["']""")
_VALUE = re.compile(rb"<(?:\w+:)?v>([^<]*)<")
_FORMULA = re.compile(rb"<(?:\w+:)?f[\s/>]")
_OWN_TEXT = re.compile(rb"<is>.*?</is>", re.DOTALL)
_PLACEHOLDER = "[Threaded comment]"

_CURRENCY = re.compile(r"\[\$([^\]-]*)[^\]]*\]")
_NO_LITERAL = re.compile(r"\[[^\]]*\]|[_*].")
_LITERAL = r'(?:"[^"]*"|\\.|[$€£¥% +()-])*'
_FORM = re.compile(rf"({_LITERAL})([#0?,]+)(?:\.([#0?]+))?,*({_LITERAL})")
_QUOTES = re.compile(r'"([^"]*)"|\\(.)')
_PERCENTS = {9: "0%", 10: "0.00%"}
"""The forms that a workbook names without saying what they are."""


class Form(NamedTuple):
    """How a number is shown: in percent, with a currency or unit, or with zeros before it."""

    before: str
    after: str
    least: int
    most: int
    digits: int = 1

    def shown(self, value: Any) -> Any:
        """Return a number as a person sees it, and anything else unchanged. Thousands are not grouped."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return value
        number = f"{value * 100 if '%' in self.before + self.after else value:.{self.most}f}"
        for _ in range(self.most - self.least):
            number = number.removesuffix("0")
        whole, point, decimals = number.removesuffix(".").partition(".")
        width = self.digits + whole.startswith("-")
        return f"{self.before}{whole.zfill(width)}{point}{decimals}{self.after}".strip()


def form_of(code: str) -> Form | None:
    """Return the form that Excel writes as '0.0%' or '#,##0.00 "€"'. None for dates, and for plain numbers."""
    positive = _NO_LITERAL.sub("", _CURRENCY.sub(r'"\1"', code.partition(";")[0]))
    found = _FORM.fullmatch(positive)
    if found is None:
        return None
    before, after = (_QUOTES.sub(r"\1\2", found[part]) for part in (1, 4))
    digits, decimals = found[2].count("0"), found[3] or ""
    if digits < 2 and not (before + after).strip(" +-()"):
        return None
    return Form(before, after, decimals.count("0"), len(decimals), digits)


@dataclass(slots=True)
class SheetDetails:
    """What a sheet holds beside its values. Rows and columns are counted from 0, the rows of notes from 1."""

    forms: dict[tuple[int, int], Form] = field(default_factory=dict)
    errors: dict[tuple[int, int], str] = field(default_factory=dict)
    marked: dict[tuple[int, int], str] = field(default_factory=dict)
    notes: dict[int, list[str]] = field(default_factory=dict)
    uncomputed: int = 0


class Workbook:
    """The XML of a workbook.

    Raises:
        InputError: If the file is broken, no workbook, or larger unpacked than can be read.
    """

    def __init__(self, data: bytes, name: str) -> None:
        self._archive = Archive(data, name, suffix="xlsx", max_bytes=MAX_BYTES)
        main = self._archive.main_part("xl/workbook.xml")
        relations = self._archive.relations(main)
        self._sheets: dict[str, str] = {}
        for element in _all(self._archive.xml(main), "sheet"):
            ids = [value for key, value in element.attrib.items() if key.endswith("}id")]
            if ids and ids[0] in relations:
                self._sheets[element.get("name", "")] = relations[ids[0]].path
        styles = [relation.path for relation in relations.values() if relation.kind == "styles"]
        self._forms = _forms(self._archive.xml(styles[0])) if styles else {}
        texts = [relation.path for relation in relations.values() if relation.kind == "sharedStrings"]
        self._marked = self._marked_texts(texts[0]) if texts and texts[0] in self._archive else {}

    def _marked_texts(self, path: str) -> dict[bytes, str]:
        """Return the texts with raised or lowered parts, by their number among those that cells share."""
        if b"vertAlign" not in self._archive.read(path):
            return {}
        texts = enumerate(_all(self._archive.xml(path), "si"))
        return {
            b"%d" % number: _marked(text) for number, text in texts if next(_all(text, "vertAlign"), None) is not None
        }

    def metadata(self) -> dict[str, Any]:
        """Return the title, author and dates of the file."""
        return self._archive.core_metadata()

    def left_out(self) -> list[str]:
        """Count the charts and pictures."""
        paths = self._archive.paths()
        charts = sum(path.startswith("xl/charts/chart") for path in paths)
        pictures = sum(path.startswith("xl/media/") for path in paths)
        return left_out({"chart": charts, "picture": pictures})

    def sheet(self, name: str) -> SheetDetails:
        """Return what the sheet holds beside its values."""
        path = self._sheets.get(name, "")
        details = SheetDetails()
        if path not in self._archive:
            return details
        self._read_cells(self._archive.read(path), details)
        comments: dict[str, str] = {}
        for relation in sorted(self._archive.relations(path).values()):  # "threadedComment" after "comments"
            if relation.kind in ("comments", "threadedComment"):
                root = self._archive.xml(relation.path)
                for comment in (*_all(root, "comment"), *_all(root, "threadedComment")):
                    text = _text(comment)
                    if not text.startswith(_PLACEHOLDER):
                        cell = comment.get("ref", "")
                        comments[cell] = f"{comments[cell]}\n{text}" if cell in comments else text
            elif relation.kind == "drawing":
                boxes = filter(None, map(_text, _all(self._archive.xml(relation.path), "txBody")))
                if found := [f"text box: {text}" for text in boxes]:
                    details.notes[0] = [*details.notes.get(0, []), *found]
        for cell, text in comments.items():
            row = int("".join(filter(str.isdigit, cell)) or 0)
            details.notes.setdefault(row, []).append(f"comment on {cell}: {text}")
        return details

    def _read_cells(self, sheet: bytes, details: SheetDetails) -> None:
        """Find the cells of which calamine does not say all, by patterns that take linear time."""
        wanted = self._forms or self._marked or b'"e"' in sheet or b"vertAlign" in sheet
        if not wanted and not _FORMULA.search(sheet):
            return
        for cell in _CELL.split(sheet)[1:]:
            head, _, rest = cell.partition(b">")
            style = _STYLE.search(head)
            form = self._forms.get(int(style[1])) if style else None
            error = b't="e"' in head
            if _FORMULA.search(rest):
                value = _VALUE.search(rest)
                details.uncomputed += value is None or not value[1]
            marked = self._marked_text(head, rest)
            if (form or error or marked) and (reference := _REFERENCE.search(head)):
                place = int(reference[2]) - 1, _column(reference[1])
                if form:
                    details.forms[place] = form
                if marked:
                    details.marked[place] = marked
                if error and (value := _VALUE.search(rest)):
                    details.errors[place] = value[1].decode("ascii", "replace")

    def _marked_text(self, head: bytes, rest: bytes) -> str:
        """Return the text of a cell if it has raised or lowered parts."""
        if b't="s"' in head and self._marked and (value := _VALUE.search(rest)):
            return self._marked.get(value[1], "")
        if b"vertAlign" in rest and (own := _OWN_TEXT.search(rest)):
            return _marked(xml(own[0]))
        return ""


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number - 1


def _forms(styles: Any) -> dict[int, Form]:
    """Return the forms of the cells' styles, by the number of the style."""
    codes = dict(_PERCENTS)
    codes |= {int(form.get("numFmtId", 0)): form.get("formatCode", "") for form in _all(styles, "numFmt")}
    cells = next(_all(styles, "cellXfs"), ())
    found = [form_of(codes.get(int(style.get("numFmtId", 0)), "")) for style in cells]
    return {number: form for number, form in enumerate(found) if form}


def _marked(element: Any) -> str:
    """Return a text with its raised and lowered parts marked, such as "10^6"."""
    spans = []
    for run in _all(element, "r"):
        kind = next((part.get("val") for part in _all(run, "vertAlign")), "")
        script = {"superscript": 1, "subscript": -1}.get(kind, 0)
        spans.append(Span("".join(part.text or "" for part in _all(run, "t")), script=script))
    return inline(spans)


def _all(root: Any, tag: str) -> Any:
    return iter(()) if root is None else root.iter(f"{{*}}{tag}")


def _text(element: Any) -> str:
    """Return the text of a comment or box, a line for each paragraph."""
    paragraphs = list(_all(element, "p")) or [element]
    lines = ("".join(part.text or "" for part in (*_all(lines, "t"), *_all(lines, "text"))) for lines in paragraphs)
    return "\n".join(line.strip() for line in lines if line.strip())
