"""Read the values of a PDF's form fields and the words of its annotations."""

from __future__ import annotations

import ctypes
import re
import time
from typing import Any

from embedpipe.files.pdf._page import Edit, PageText

_COMMENTED = {1: "Note", 3: "", 9: "Highlight", 10: "Underline", 11: "Underline", 12: "Strikeout", 13: "Stamp"}
"""What stands before an annotation's words, by FPDF_ANNOT_ type. Free text (3) is shown on the page as it is."""
_WITHOUT_WORDS = frozenset({0, 2, 16, 20})
"""Unknown ones, links, popups (which repeat their note) and fields."""
_HIDDEN = 2 | 32
"""The flags of annotations that are not shown: Hidden and NoView."""
_PASSWORD, _RADIO, _PUSH_BUTTON = 1 << 13, 1 << 15, 1 << 16
_KINDS = {1: "Btn", 2: "Btn", 3: "Btn", 4: "Ch", 5: "Ch", 6: "Tx"}
"""The /FT of each FPDF_FORMFIELD_ type."""
_INDEX = re.compile(r"\[\d+\]")
_LABEL_WIDTH, _LABEL_HEIGHT, _BOX_LABEL_WIDTH = 250.0, 12.0, 40.0
"""How far a label may be from its field, and from its check box, in points."""
_ASKED, _SECONDS, _LOOKUPS, _OPTIONS = 10_000, 5, 10**8, 10**5
"""In a document: how often PDFium is asked for a field's values, which takes it longer the more fields there are. How
many seconds all fields may take: of 9,000 fields within each other, each question takes PDFium 12 ms. How many
characters are looked at to find labels. How many options are looked at to find the chosen ones."""
_SIGNATURE = re.compile(rb"/ByteRange\b")
_SIGNED, _SIGNATURE_BYTES = 100, 2**18
"""How many signatures are read, and how far the parts of one may be apart."""
_HEX_CONTENTS = re.compile(rb"/Contents\s*<[0-9A-Fa-f\s]*>")
_INNER = re.compile(rb"<<[^<>]*>>")
_SIGNER = re.compile(rb"/Name\s*\(((?:[^\\()]|\\.)*)\)", re.DOTALL)
_ESCAPED = re.compile(rb"\\([0-7]{1,3}|.)", re.DOTALL)


class Forms:
    """The form fields and annotations of a document.

    A value goes to the place of its field, beside the text that is nearest to it. Values without text beside them, and
    annotations, come behind the page's text.
    """

    def __init__(self, document: Any, raw: Any) -> None:
        self._raw = raw
        self._lookups, self._options = _LOOKUPS, _OPTIONS
        self.fields = self._asked = 0
        self._spent = 0.0
        # Not `document.init_forms()`: PDFium would then draw each field of a page, which a hundred lists of a hundred
        # options make take minutes.
        self._config, self._form = raw.FPDF_FORMFILLINFO(version=2), None
        if document.get_formtype() != raw.FORMTYPE_NONE:
            self._form = raw.FPDFDOC_InitFormFillEnvironment(document, self._config)

    def close(self) -> None:
        """Free the form. Do so before the document is closed."""
        if self._form:
            self._raw.FPDFDOC_ExitFormFillEnvironment(self._form)
            self._form = None

    @property
    def left_out(self) -> list[str]:
        """What the text may leave out."""
        return [f"form fields: there are {self.fields}"] if self._is_exhausted else []

    def edits(self, page: PageText) -> tuple[list[Edit], list[str]]:
        """Return what to add within the page's text, and the lines to add behind it."""
        raw, edits, lines = self._raw, [], []
        for index in range(raw.FPDFPage_GetAnnotCount(page.page)):
            annotation = raw.FPDFPage_GetAnnot(page.page, index)
            if not annotation:
                continue
            kind = raw.FPDFAnnot_GetSubtype(annotation)
            if kind == raw.FPDF_ANNOT_WIDGET and self._form:
                self.fields += 1
                begun = time.process_time()
                edit, line = self._field(annotation, page)
                self._spent += time.process_time() - begun
                edits += [edit] if edit else []
                lines += [line] if line else []
            elif kind not in _WITHOUT_WORDS and not raw.FPDFAnnot_GetFlags(annotation) & _HIDDEN:
                words = _words(raw.FPDFAnnot_GetStringValue, annotation, b"Contents")
                before = _COMMENTED.get(kind, "Comment")
                lines += [f"{before}: {words}" if before else words] if words else []
            raw.FPDFPage_CloseAnnot(annotation)
        return edits, lines

    def _field(self, widget: Any, page: PageText) -> tuple[Edit | None, str]:
        """Return what a field adds within the text, or else the line behind it."""
        if self._raw.FPDFAnnot_GetFlags(widget) & _HIDDEN:
            return None, ""
        kind, flags = self._kind(widget)
        if kind == "Btn":
            return (None, "") if flags & _PUSH_BUTTON else self._box(widget, page, is_radio=bool(flags & _RADIO))
        value = ""
        if kind == "Tx" and not flags & _PASSWORD:
            value = self._entry(widget, b"V") or self._answer(self._raw.FPDFAnnot_GetFormFieldValue, widget)
        elif kind == "Ch":
            value = self._chosen(widget) or self._answer(self._raw.FPDFAnnot_GetFormFieldValue, widget)
        if not value:
            return None, ""
        at_label = self._beside(widget, page, value)
        return at_label, "" if at_label else f"{self._name(widget)}: {value}"

    def _box(self, widget: Any, page: PageText, *, is_radio: bool) -> tuple[Edit | None, str]:
        """Return `[x] label` for a ticked box, and `[ ] label` for another that has a label on the page."""
        state = self._entry(widget, b"AS")
        mark = "[ ]" if state in ("", "Off") else "[x]"
        at_label = self._beside(widget, page, mark, is_box=True)
        if at_label or mark == "[ ]":
            return at_label, ""
        return None, f"{mark} {self._name(widget)}" + (f": {state}" if is_radio else "")

    def _kind(self, widget: Any) -> tuple[str, int]:
        """Return the /FT and /Ff of a field.

        PDFium looks for a field's name among all fields. It is asked only for what a field has from its parent.
        """
        raw, number = self._raw, ctypes.c_float()
        kind = self._entry(widget, b"FT")
        # One of several boxes has its flags from their field, and no name of its own.
        if kind and (raw.FPDFAnnot_GetNumberValue(widget, b"Ff", number) or self._entry(widget, b"T")):
            return kind, int(number.value)
        if not self._may_ask():
            return "", 0
        kind = _KINDS.get(raw.FPDFAnnot_GetFormFieldType(self._form, widget), "")
        return kind, raw.FPDFAnnot_GetFormFieldFlags(self._form, widget) if kind else 0

    def _entry(self, widget: Any, key: bytes) -> str:
        return _words(self._raw.FPDFAnnot_GetStringValue, widget, key)

    @property
    def _is_exhausted(self) -> bool:
        return self._asked > _ASKED or self._spent > _SECONDS

    def _may_ask(self) -> bool:
        """Count a question to PDFium. Return whether it may be asked."""
        self._asked += 1
        return not self._is_exhausted

    def _answer(self, get: Any, widget: Any) -> str:
        return _words(get, self._form, widget) if self._may_ask() else ""

    def _chosen(self, widget: Any) -> str:
        raw, form = self._raw, self._form
        count = raw.FPDFAnnot_GetOptionCount(form, widget) if self._may_ask() else 0
        self._options -= max(0, count)
        if self._options < 0:
            return self._entry(widget, b"V")
        chosen = (place for place in range(count) if raw.FPDFAnnot_IsOptionSelected(form, widget, place))
        return ", ".join(_words(raw.FPDFAnnot_GetOptionLabel, form, widget, place) for place in chosen)

    def _name(self, widget: Any) -> str:
        """Return the name that a field shows, or else the last part of its own, such as "city" of "form.city[0]"."""
        name = self._entry(widget, b"TU") or self._entry(widget, b"T")
        name = name or self._answer(self._raw.FPDFAnnot_GetFormFieldAlternateName, widget)
        name = name or self._answer(self._raw.FPDFAnnot_GetFormFieldName, widget).rpartition(".")[2]
        return _INDEX.sub("", name)

    def _beside(self, widget: Any, page: PageText, words: str, *, is_box: bool = False) -> Edit | None:
        """Return the edit that adds words beside their label, or None if there is no label.

        A label stands left of a field, or directly above it. A check box has it on its right, or on its left.
        """
        self._lookups -= 2 * len(page.text)
        rect = self._raw.FS_RECTF()
        if self._lookups < 0 or page.turned or not self._raw.FPDFAnnot_GetRect(widget, rect):
            return None
        middle, reach = (rect.bottom + rect.top) / 2, (rect.top - rect.bottom) / 4
        if is_box:
            label = page.nearest(rect.right, middle, width=_BOX_LABEL_WIDTH, height=reach)
            if label is None:
                label = page.nearest(rect.left, middle, width=2 * _BOX_LABEL_WIDTH, height=reach)
        else:
            label = page.nearest(rect.left, middle, width=_LABEL_WIDTH, height=reach)
            above = page.nearest(rect.left + 2, rect.top, width=15, height=_LABEL_HEIGHT)
            if above is not None and (label is None or rect.left - page.box(label).right > _BOX_LABEL_WIDTH):
                return _added(page, page.end_of_run(above), words)
        if label is None:
            return None
        box = page.box(label)
        if box.left + box.right > rect.left + rect.right and box.left > rect.left:
            return Edit(label, label, f"{words} ")
        while label > 0 and page.text[label].isspace():
            label -= 1
        return _added(page, page.end_of_run(label), words)


def _added(page: PageText, place: int, words: str) -> Edit:
    return Edit(place, place, f" {words} " if page.text[place : place + 1].strip() else f" {words}")


def signatures(document: Any, raw: Any, data: bytes) -> tuple[list[str], int]:
    """Return a line for each signature: who signed and why, as far as the file says it outside the certificate.

    Only the first hundred are read: PDFium looks at all of them for each. The number of the others is returned, too.

    PDFium does not know the name. A signature is never packed, since it covers the bytes around it, so that the name is
    read from the file.
    """
    count = raw.FPDF_GetSignatureCount(document)
    read = min(max(count, 0), _SIGNED)
    is_encrypted = raw.FPDF_GetSecurityHandlerRevision(document) != -1
    found = [] if is_encrypted or not read else [match.start() for match in _SIGNATURE.finditer(data)]
    lines = []
    for index in range(read):
        signature = raw.FPDF_GetSignatureObject(document, index)
        name = _signer(data, found[index]) if len(found) == count else ""
        reason = _words(raw.FPDFSignatureObj_GetReason, signature)
        lines.append("Signed" + (f" by {name}" if name else "") + (f": {reason}" if reason else ""))
    return lines, max(count, 0) - read


def _signer(data: bytes, place: int) -> str:
    """Return the name in the signature that has its /ByteRange at this place of the file."""
    start = data.rfind(b" obj", max(0, place - _SIGNATURE_BYTES), place)
    end = data.find(b"endobj", place, place + _SIGNATURE_BYTES)
    if start < 0 or end < 0:
        return ""
    entries = _HEX_CONTENTS.sub(b"", data[start:end]).partition(b"<<")[2]
    for _ in range(4):  # the name of the program that signed stands in dictionaries within
        entries = _INNER.sub(b"", entries)
    name = _SIGNER.search(entries)
    text = _ESCAPED.sub(_unescaped, name[1]) if name else b""
    return text[2:].decode("utf-16-be", "ignore") if text.startswith(b"\xfe\xff") else text.decode("latin-1")


def _unescaped(escaped: re.Match[bytes]) -> bytes:
    return bytes([int(escaped[1], 8) & 255]) if escaped[1].isdigit() else escaped[1]


def _words(get: Any, *arguments: Any) -> str:
    """Call one of PDFium's functions that fill a buffer with UTF-16."""
    size = get(*arguments, None, 0)
    if size <= 2:  # only the end of the text
        return ""
    buffer = (ctypes.c_ushort * (size // 2))()
    get(*arguments, buffer, size)
    text = bytes(buffer).decode("utf-16-le", "ignore").partition("\0")[0]
    return "\n".join(text.splitlines()).strip()
