"""Clean text. Nothing in the package does so unless it is asked to."""

from __future__ import annotations

import re
import unicodedata

from embedpipe._checks import checked_kind

_UNWANTED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\ufffe\uffff\ud800-\udfff]")
_BLANKS = re.compile(r"[^\S\n]+")
_EMPTY_LINES = re.compile(r" ?\n ?(?:\n ?)+")


def clean_text(text: str) -> str:
    """Normalise a text to NFC, without control characters and lone surrogates, and with plain white space.

    Runs of blanks become one space, runs of empty lines become one empty line, and both ends are stripped. Line breaks
    stay. Joiners and direction marks stay too, since scripts and emoji need them.
    """
    text = checked_kind("text", text, str).replace("\r\n", "\n").replace("\r", "\n")
    text = unicodedata.normalize("NFC", _UNWANTED.sub("", text))
    text = _EMPTY_LINES.sub("\n\n", _BLANKS.sub(" ", text))
    return text.strip()
