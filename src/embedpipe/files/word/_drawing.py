"""What is in a drawing or an object of Word: text boxes, pictures, charts, diagrams, objects of other programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from embedpipe.files import _drawings
from embedpipe.files.word._numbering import W

MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_WP = "{http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing}"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_DGM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
_V = "{urn:schemas-microsoft-com:vml}"
_O = "{urn:schemas-microsoft-com:office:office}"

_SAYING = (f"{W}t", f"{_A}t", f"{W}sym", f"{_C}chart", f"{_DGM}relIds", f"{_V}textpath", "{*}oMath")
_DESCRIBED = (f"{_WP}docPr", f"{_V}shape", f"{_V}rect", f"{_V}group")


def chosen(element: Any) -> Any:
    """Return one of the alternatives of mc:AlternateContent. They say the same for newer and older programs.

    The first one counts that is read. One of an unknown kind holds nothing but pictures.
    """
    found = (*element.iterfind(f"{MC}Choice"), *element.iterfind(f"{MC}Fallback"))
    return next((one for one in found if _says_something(one)), found[0] if found else ())


def _says_something(element: Any) -> bool:
    return next(element.iter(*_SAYING), None) is not None


@dataclass(slots=True)
class Drawing:
    """A drawing.

    Args:
        descriptions: The alternative texts.
        texts: Other text in it.
        boxes: The w:txbxContent of each text box.
        related: The elements that refer to charts and diagrams.
        left_out: What cannot be read.
    """

    descriptions: dict[str, None] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    boxes: list[Any] = field(default_factory=list)
    related: list[Any] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, element: Any) -> Drawing:
        """Return what is in a w:drawing, w:pict or w:object."""
        drawing = cls()
        pictures = 0
        for part in _outermost(element):
            tag = part.tag
            if tag == f"{W}txbxContent":
                drawing.boxes.append(part)
            elif tag in (f"{_C}chart", f"{_DGM}relIds"):
                drawing.related.append(part)
            elif tag in (f"{_A}blip", f"{_V}imagedata"):
                pictures += 1
            else:
                drawing._add(part)
        told = drawing.description or drawing.texts or drawing.boxes or drawing.related or drawing.left_out
        if pictures and not told:
            drawing.left_out["picture without a description"] = pictures
        return drawing

    @property
    def description(self) -> str:
        """The alternative texts in one line."""
        return " ".join(" ".join(self.descriptions).split())

    def _add(self, part: Any) -> None:
        tag = part.tag
        if tag in _DESCRIBED or tag.endswith("}cNvPr"):
            words = part.get("descr") or part.get("title") or part.get("alt")
            if words:
                self.descriptions[words] = None
        elif tag == f"{_A}txBody":
            self.texts.append(_drawings.text_of(part))
        elif tag == f"{_V}textpath":  # WordArt, watermarks
            self.texts.append(" ".join(part.get("string", "").split()))
        elif tag == f"{W}control":
            self.left_out["form control (ActiveX)"] += 1
        elif tag == f"{_O}OLEObject":
            kind = part.get("ProgID", "")
            equation = "quation" in kind or "MathType" in kind
            self.left_out[("equation" if equation else "embedded object") + (f" ({kind})" if kind else "")] += 1


def _outermost(element: Any) -> Iterator[Any]:
    """Yield the elements of a drawing in order, one alternative of each, and nothing within its text boxes."""
    for child in chosen(element) if element.tag == f"{MC}AlternateContent" else element:
        yield child
        if child.tag != f"{W}txbxContent":
            yield from _outermost(child)
