"""Detect the language of a text."""

from __future__ import annotations

from functools import cache
from typing import Any

from embedpipe._checks import checked_kind
from embedpipe._optional import require

_READ = 2000
"""How many characters are read of a text. It takes 0.7 ms."""

_CONFIDENT = 0.5
_NO_LANGUAGE = "zxx"


def detect_language(text: str) -> str | None:
    """Return the language of a text as an ISO 639 code such as "de", None if it is not clear.

    It needs the extra `languages`. The first call takes a second.

    Raises:
        InputError: If the text is no str.
        MissingExtraError: If the extra is not installed.
    """
    code, confidence = _identifier().classify(checked_kind("text", text, str)[:_READ])
    return str(code) if confidence >= _CONFIDENT and code != _NO_LANGUAGE else None


@cache
def _identifier() -> Any:
    langid = require("py3langid.langid", extra="languages")
    return langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
