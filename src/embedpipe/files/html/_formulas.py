"""Write MathML as linear text: its TeX source if it has one, else `x^2`, `a_i`, `(a+b)/c`, `sqrt(x)`."""

from __future__ import annotations

import re
from typing import Any

_SIMPLE = re.compile(r"\w+|\S")
_FORMS = {
    ("msup", 2): "{0}^{3}",
    ("mover", 2): "{0}^{3}",
    ("msub", 2): "{0}_{3}",
    ("munder", 2): "{0}_{3}",
    ("msubsup", 3): "{0}_{4}^{5}",
    ("munderover", 3): "{0}_{4}^{5}",
    ("mfrac", 2): "{2}/{3}",
    ("mroot", 2): "root({0}, {1})",
}
"""By element and number of parts: the parts, followed by the same in parentheses where they need them."""
_INVISIBLE = dict.fromkeys(map(ord, "\u2061\u2062\u2063\u2064"))


def linear(math: Any) -> str:
    """Return a formula as text.

    Args:
        math: Its `<math>` element, of selectolax.

    Raises:
        RecursionError: If it is nested too deep.
    """
    source = math.css_first('annotation[encoding="application/x-tex"], annotation[encoding="TeX"]')
    tex = source.text() if source else math.attributes.get("alttext")
    if tex and tex.strip():
        tex = re.sub(r"\A\{\\(?:display|text)style\s*(.*?)\s*\}\Z", r"\1", " ".join(tex.split()))
        return f"${tex}$"
    return " ".join(_text(math).translate(_INVISIBLE).split())


def _text(node: Any) -> str:
    tag = node.tag
    if tag == "-text":
        return str(node.text_content).strip()
    if tag.startswith("annotation"):
        return ""
    if tag == "mtext":
        return f" {node.text()} "
    parts = [_text(child) for child in _children(node)]
    form = _FORMS.get((tag, len(parts)))
    if form is not None:
        return form.format(*parts, *map(_enclosed, parts))
    if tag == "msqrt":
        return f"sqrt({''.join(parts)})"
    if tag == "mtable":
        return f"[{'; '.join(parts)}]"
    return (", " if tag == "mtr" else "").join(parts)


def _children(node: Any) -> list[Any]:
    found = []
    child = node.first_child
    while child is not None:
        if child.tag != "-text" or str(child.text_content).strip():
            found.append(child)
        child = child.next
    return found


def _enclosed(text: str) -> str:
    return text if _SIMPLE.fullmatch(text) else f"({text})"
