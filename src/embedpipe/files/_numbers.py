"""Numbers as lists write them: letters, Roman numerals, and the like."""

from __future__ import annotations

import re

_ROMAN = (
    *((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl")),
    *((10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i")),
)
_ALPHABETS = {
    "Letter": "abcdefghijklmnopqrstuvwxyz",
    "russianLower": "абвгдежзиклмнопрстуфхцчшщыэюя",
    "russianUpper": "АБВГДЕЖЗИКЛМНОПРСТУФХЦЧШЩЫЭЮЯ",
    "hebrew2": "אבגדהוזחטיכלמנסעפצקרשת",
    "arabicAlpha": "أبتثجحخدذرزسشصضطظعغفقكلمنهوي",
    "ganada": "가나다라마바사아자차카타파하",
    "aiueoFullWidth": "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲン",
    "iroha": "イロハニホヘトチリヌルヲワカヨタレソツネナラムウヰノオクヤマケフコエテアサキユメミシヱヒモセスン",
    "decimalEnclosedCircle": "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳",
}
_CHINESE = re.compile("chinese|japanese|taiwanese|ideograph")


def formatted(value: int, kind: str) -> str:
    """Return a number as Word writes it in a format such as "lowerRoman". Unknown formats are decimal."""
    written = ""
    if kind.endswith("Roman") and 0 < value < 4000:
        written = roman(value)
    elif kind.endswith("Letter"):
        written = _lettered(value, _ALPHABETS["Letter"])
    elif kind in _ALPHABETS:
        written = _lettered(value, _ALPHABETS[kind])
    elif kind == "decimalZero":
        written = f"{value:02}"
    elif kind == "ordinal":
        written = str(value) + ("th" if 10 < value % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th"))
    elif _CHINESE.match(kind) and 0 < value < 100:
        tens, ones = divmod(value, 10)
        digits = " 一二三四五六七八九"
        written = (digits[tens] * (tens > 1) + "十") * (tens > 0) + digits[ones] * (ones > 0)
    written = written or str(value)
    return written.upper() if kind.startswith("upper") else written


def roman(value: int) -> str:
    """Return a number from 1 to 3999 in small Roman numerals."""
    written = ""
    for worth, letters in _ROMAN:
        count, value = divmod(value, worth)
        written += letters * count
    return written


def _lettered(value: int, alphabet: str) -> str:
    """Return a, b, ... z, aa, bb, ... as Word does, up to thirty letters."""
    rounds, place = divmod(value - 1, len(alphabet))
    return alphabet[place] * (rounds + 1) if 0 <= rounds < 30 else ""
