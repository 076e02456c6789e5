"""Exponents, indices and marks of notes as text: 10 to the 6th must not become 106."""

from __future__ import annotations

import re

SUP, SUB, NOTE = "sup", "sub", "note"

_NUMBER = re.compile(r"\d{1,3}(?:\s?[,;–-]\s?\d{1,3})*")
_SIGNS = re.compile(r"[*†‡§¶#‖⁂]+|\[[^\]]*\]|\(\d{1,3}\)")
_SIMPLE = re.compile(r"[+\-−–±]?(?:\w+(?:[.,]\d+)?|∞|′|″|\*)[+\-−]?|[+\-−]")
_ABBREVIATED = re.compile(
    r"(?:st|nd|rd|th|er|ers|re|res|ère|ères|ème|èmes|eme|de|nde|me|mes|lle|lles|gr|ve|os|as|es|tm|sm|™|®|©|℠|º|ª|°)\.?",
    re.IGNORECASE,
)
_ORDINAL = re.compile(r"(?:e|o|a|d)\.?")
_NUMERAL = re.compile(r"(?:\d|\b[IVXLCDM]+|\b[nN]|\.)$")
_WORD = re.compile(
    r"(?:[^\W\d_]{4,}|(?<![^\W\d_])(?!(?:sin|cos|tan|cot|sec|csc|log|exp|det|mol|rad|yds)$)[^\W\d_]{3})$"
)
"""A word, in place of a unit, a variable or a function."""
_UNIT = re.compile(
    r"""(?:\d|\b(?:per|pro|par|por|in|en)\b|[/·×*([]|^)[\s-]*
    (?:(?:kilo|hecto|deca|deci|centi|milli|micro|nano|hekto|deka|dezi|zenti|mikro|déca|déci|quilo|kiló|centí|milí)?
    (?:met(?:er|re)s?|m[èe]tres?|met(?:ro|ri|ros)|sec(?:ond)?s?|secondes?|sekunden?|segundos?)
    |feet|foot|inch(?:es)?|yards?|miles?|zoll|fu(?:ß|ss)|meilen?|pieds?|pouces?|pies?|pulgadas?|piedi|pixels?)\Z""",
    re.IGNORECASE | re.VERBOSE,
)
"""A unit whose square or cube is one, written out, and what may stand before it. "On my feet" ends in none."""
_IN_PARENTHESES = re.compile(r"\(([^()]*)\)$")
_ELEMENT = re.compile(r"_?[A-Z][a-z]?(?![a-z])|_\d")


def raised(kind: str, text: str, before: str, after: str) -> str:
    """Return an exponent as "^6", an index as "_2", a note's mark as "[1]". Ordinals and small print stay.

    Args:
        kind: SUP, SUB or NOTE.
        text: The raised or lowered words, without blanks around them.
        before: The end of the text before them.
        after: The beginning of the text after them.
    """
    if kind == NOTE or (kind == SUP and _is_note(text, before, after)):
        return text if _SIGNS.fullmatch(text) else f"[{text}]"
    if kind == SUP and (_ABBREVIATED.fullmatch(text) or (_ORDINAL.fullmatch(text) and _NUMERAL.search(before))):
        return text
    if len(re.findall(r"[^\W\d_]{2,}", text[:200])) > 1:  # small print
        return f" {text} " if before[-1:].isalnum() else text
    sign = "^" if kind == SUP else "_"
    simple = _SIMPLE.fullmatch(text) or (text.startswith("(") and text.endswith(")"))
    simple = simple and not (text[-1].isdigit() and after[:1].isdigit())
    return sign + text if simple else f"{sign}({text})"


def is_unit(before: str, number: str) -> bool:
    """Return whether a raised number behind this text makes a square or cube of a unit written out: "10 feet2"."""
    return number in ("2", "3") and _UNIT.search(before) is not None


def _is_note(text: str, before: str, after: str) -> bool:
    """Return whether raised signs without a link are a footnote's mark: that of "tea1", not "m2", "106", "(a+b)2"."""
    if _SIGNS.fullmatch(text):
        return not (text == "*" and re.search(r"\b[A-Za-z]$", before))  # a* is an optimum or a conjugate
    if len(text) == 1 and text.islower() and text != "n":
        return _WORD.search(before) is not None and not _NUMERAL.search(before)
    if not _NUMBER.fullmatch(text):
        return False
    if not before or before[-1].isspace():
        return not _ELEMENT.match(after)  # of isotopes, the number comes first
    if before.endswith(")"):
        enclosed = _IN_PARENTHESES.search(before)
        return enclosed is None or re.search(r"[^\W\d_]{4,}", enclosed[1]) is not None
    return before[-1] in ".,;:!?\"'”’»%" or (_WORD.search(before) is not None and not is_unit(before, text))
