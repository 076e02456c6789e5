"""Equations of Office files (OMML) as linear text, such as "x = (-b ± √(b^2-4ac))/(2a)"."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_ATOM = re.compile(r"(?:\d+(?:[.,]\d+)*|[^\W\d_]|[^\W\d_]{3,}|∞)?[′'!]*")
"""A number, a letter or a name: what needs no brackets as a part of a fraction or power."""

_LETTERS = re.compile("[\U0001d400-\U0001d7ff]")
"""Letters of their own for italics in equations. No search would find them as the letters that they look like."""
_ROOTS = {"": "√", "2": "√", "3": "∛", "4": "∜"}


def linear(element: Any) -> str:
    """Return an equation, or a part of one, as text in one line."""
    tag = element.tag
    if not isinstance(tag, str) or tag.endswith("Pr"):
        return ""
    if tag == f"{_M}t":
        return _LETTERS.sub(lambda letter: unicodedata.normalize("NFKC", letter[0]), element.text or "")
    if tag == f"{_W}t":
        return element.text or ""
    if tag in (f"{_W}del", f"{_W}moveFrom"):
        return ""
    write = _WRITERS.get(tag.removeprefix(_M))
    return write(element) if write else "".join(map(linear, element))


def _part(element: Any, name: str) -> str:
    found = element.find(_M + name)
    return "" if found is None else linear(found).strip()


def _property(element: Any, name: str, default: str = "") -> str:
    """Return a value among the properties of an element, such as the character of a sum. It may be empty."""
    found = element.find(f"{_M}{element.tag.removeprefix(_M)}Pr/{_M}{name}")
    return default if found is None else found.get(f"{_M}val", "")


def _grouped(text: str) -> str:
    return text if _ATOM.fullmatch(text) or _bracketed(text) else f"({text})"


def _bracketed(text: str) -> bool:
    """Return whether the bracket at the text's start is closed at its end."""
    depth = 0
    for place, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return place > 0 and place == len(text) - 1
    return False


def _fraction(element: Any) -> str:
    upper, lower = _part(element, "num"), _part(element, "den")
    if _property(element, "type") == "noBar":
        return f"{upper}¦{lower}"  # a binomial coefficient in brackets, or two lines
    return f"{_grouped(upper)}/{_grouped(lower)}"


def _scripts(element: Any) -> str:
    lower, upper = _part(element, "sub"), _part(element, "sup")
    scripts = (f"_{_grouped(lower)}" if lower else "") + (f"^{_grouped(upper)}" if upper else "")
    base = _part(element, "e")
    return f"{scripts} {base}" if element.tag == f"{_M}sPre" else _grouped(base) + scripts


def _root(element: Any) -> str:
    degree, base = _part(element, "deg"), _grouped(_part(element, "e"))
    return f"{_ROOTS[degree]}{base}" if degree in _ROOTS else f"root({degree}, {base})"


def _sum(element: Any) -> str:
    lower, upper = _part(element, "sub"), _part(element, "sup")
    limits = (f"_{_grouped(lower)}" if lower else "") + (f"^{_grouped(upper)}" if upper else "")
    return f"{_property(element, 'chr', '∫')}{limits} {_part(element, 'e')}"


def _function(element: Any) -> str:
    argument = _part(element, "e")
    return f"{_part(element, 'fName')}{'' if argument.startswith('(') else ' '}{argument}"


def _brackets(element: Any) -> str:
    inner = _property(element, "sepChr", "|").join(linear(part) for part in element.findall(f"{_M}e"))
    return f"{_property(element, 'begChr', '(')}{inner}{_property(element, 'endChr', ')')}"


def _limit(element: Any) -> str:
    sign = "_" if element.tag == f"{_M}limLow" else "^"
    return f"{_part(element, 'e')}{sign}{_grouped(_part(element, 'lim'))}"


def _accent(element: Any) -> str:
    sign = "\u0304" if element.tag == f"{_M}bar" else _property(element, "chr", "\u0302")
    return unicodedata.normalize("NFC", _grouped(_part(element, "e")) + sign)


def _matrix(element: Any) -> str:
    rows = (", ".join(linear(cell) for cell in row.findall(f"{_M}e")) for row in element.findall(f"{_M}mr"))
    parent = element.getparent().getparent()
    inner = "; ".join(rows)
    return inner if parent is not None and parent.tag == f"{_M}d" else f"[{inner}]"


def _lines(element: Any) -> str:
    return "; ".join(linear(line).replace("&", "") for line in element.findall(f"{_M}e"))


def linear_mathml(element: Any) -> str:
    """Return an equation in MathML, or a part of one, as text in one line."""
    if not isinstance(element.tag, str):
        return ""
    name = element.tag.rpartition("}")[2]
    if name.startswith("annotation"):
        return ""
    if name in ("mi", "mn", "mo", "mtext", "ms"):
        return " ".join("".join(element.itertext()).split())
    parts = [linear_mathml(part).strip() for part in element]
    if name in _SCRIPTS and len(parts) == len(_SCRIPTS[name]) + 1:
        signs = zip(_SCRIPTS[name], parts[1:], strict=True)
        return _grouped(parts[0]) + "".join(sign + _grouped(part) for sign, part in signs)
    if name == "mfrac" and len(parts) == 2:
        return f"{_grouped(parts[0])}/{_grouped(parts[1])}"
    if name == "mroot" and len(parts) == 2:
        return f"{_ROOTS[parts[1]]}{_grouped(parts[0])}" if parts[1] in _ROOTS else f"root({parts[1]}, {parts[0]})"
    if name == "msqrt":
        return f"√{_grouped(''.join(parts))}"
    if name in ("mtable", "mtr"):
        return (", " if name == "mtr" else "; ").join(parts)
    return "".join(parts)


_SCRIPTS = {"msup": "^", "msub": "_", "msubsup": "_^", "munder": "_", "mover": "^", "munderover": "_^"}
_WRITERS = {
    "f": _fraction,
    "sSup": _scripts,
    "sSub": _scripts,
    "sSubSup": _scripts,
    "sPre": _scripts,
    "rad": _root,
    "nary": _sum,
    "func": _function,
    "d": _brackets,
    "limLow": _limit,
    "limUpp": _limit,
    "acc": _accent,
    "bar": _accent,
    "m": _matrix,
    "eqArr": _lines,
}
