"""The characters of symbol fonts. Their codes say nothing without the font."""

from __future__ import annotations

_SYMBOL = (
    "!∀#∃%&∍()*+,−./0123456789:;<=>?≅ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ[∴]⊥_‾αβχδεφγηιϕκλμνοπθρστυϖωξψζ{|}~"
    + " " * 33
    + "€ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓°±″≥×∝∂•÷≠≡≈…⏐⎯↵ℵℑℜ℘⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉∠∇®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓◊〈®©™∑⎛⎜⎝⎡⎢⎣⎧⎨⎩⎪〉∫⌠⎮⌡⎞⎟⎠⎤⎥⎦⎫⎬⎭"
)
"""The characters of the font Symbol, from code 33 on."""

_WINGDINGS = {
    0x22: "✂",
    0x28: "☎",
    0x2A: "✉",
    0x36: "⌛",
    0x41: "✌",
    0x46: "☞",
    0x4A: "☺",
    0x4C: "☹",
    0x51: "✈",
    0x6C: "●",
    0x6E: "■",
    0x6F: "☐",
    0x71: "☐",
    0x72: "☐",
    0x75: "◆",
    0x76: "❖",
    0x77: "◆",
    0x78: "☒",
    0x9E: "·",
    0x9F: "•",
    0xA1: "○",
    0xA4: "◉",
    0xA7: "▪",
    0xA8: "☐",
    0xAB: "★",
    0xD8: "➢",
    0xDF: "←",
    0xE0: "→",
    0xE1: "↑",
    0xE2: "↓",
    0xE7: "←",
    0xE8: "→",
    0xE9: "↑",
    0xEA: "↓",
    0xEF: "⇦",
    0xF0: "⇨",
    0xF1: "⇧",
    0xF2: "⇩",
    0xF3: "⇔",
    0xFB: "✗",
    0xFC: "✓",
    0xFD: "☒",
    0xFE: "☑",
    **{0x80 + n: chr(0x245F + n) for n in range(1, 11)},  # ① to ⑩
    **{0x8B + n: chr(0x2775 + n) for n in range(1, 11)},  # ❶ to ❿
}
"""The characters of the font Wingdings that occur in text."""

FONTS = {"Symbol": {33 + place: symbol for place, symbol in enumerate(_SYMBOL)}, "Wingdings": _WINGDINGS}


def symbol(font: str, code: int) -> str | None:
    """Return a character of a font. None if the font is a symbol font whose character is not known."""
    code = code - 0xF000 if 0xF000 <= code <= 0xF0FF else code
    if code == 0x20:
        return " "
    if font in FONTS:
        return FONTS[font].get(code)
    if font.startswith(("Wingdings", "Webdings")) or not 0x20 < code < 0x110000:
        return None
    return None if 0xE000 <= code <= 0xF8FF else chr(code)
