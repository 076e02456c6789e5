"""RTF cut into groups, control words and text, and the encodings of its fonts."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import NamedTuple

_TOKEN = re.compile(
    r"\\([a-zA-Z]{1,32})(-?[0-9]{1,9})? ?"  # \word, \word12
    r"|\\'([0-9a-fA-F]{2})"  # \'e4
    r"|\\([^a-zA-Z])"  # \~
    r"|([{}])"
    r"|([^\\{}\r\n\x00]+)",
    re.DOTALL,
)
_CHARSETS = {
    77: "mac_roman",
    128: "cp932",
    129: "cp949",
    130: "johab",
    134: "gbk",
    136: "cp950",
    161: "cp1253",
    162: "cp1254",
    163: "cp1258",
    177: "cp1255",
    178: "cp1256",
    186: "cp1257",
    204: "cp1251",
    222: "cp874",
    238: "cp1250",
    254: "cp437",
    255: "cp850",
}
"""The encodings of fonts, by \\fcharset. Others have the encoding of the file."""

SYMBOL_CHARSET = 2


class Token(NamedTuple):
    """A part of a file. `kind` is "{", "}", "word", "byte", "sign" or "text".

    Args:
        kind: The kind.
        text: A word, a sign, or text whose characters stand for bytes.
        number: A word's number. None without one.
    """

    kind: str
    text: str
    number: int | None = None


def tokens(data: str) -> Iterator[Token]:
    """Yield the parts of a file, without binary data.

    Args:
        data: The file's bytes, decoded as latin-1.
    """
    place, end = 0, len(data)
    while place < end:
        found = _TOKEN.match(data, place)
        if found is None:  # line ends say nothing
            place += 1
            continue
        place = found.end()
        word, number, byte, sign, brace, text = found.groups()
        if text is not None:
            yield Token("text", text)
        elif word is not None:
            value = None if number is None else int(number)
            if word == "bin":
                place += max(value or 0, 0)
            else:
                yield Token("word", word, value)
        elif brace is not None:
            yield Token(brace, brace)
        elif byte is not None:
            yield Token("byte", chr(int(byte, 16)))
        else:
            yield Token("sign", sign)


def encoding_of(charset: int, default: str) -> str:
    """Return the encoding of a font."""
    return _CHARSETS.get(charset, default)


def code_page(number: int) -> str:
    """Return the encoding of a code page, windows-1252 if it is not known."""
    name = {65001: "utf-8", 10000: "mac_roman", 1361: "johab", 936: "gbk"}.get(number, f"cp{number}")
    try:
        return codecs.lookup(name).name
    except LookupError:
        return "cp1252"
