"""Pages of a text, with a form feed between them, as in plain text for printers and in the output of pdftotext."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable

from embedpipe._checks import checked_count, checked_items, checked_kind

PAGE_BREAK = "\f"


def page_at(text: str, offset: int) -> int:
    """Return the page of the character at that offset. Pages count from 1. Without form feeds, all is page 1.

    Raises:
        InputError: If the text is no str, or the offset no number from 0 on.
    """
    return checked_kind("text", text, str).count(PAGE_BREAK, 0, checked_count("offset", offset, least=0)) + 1


def pages_at(text: str, offsets: Iterable[int]) -> list[int]:
    """Do the same as `page_at` for many offsets."""
    breaks = [found.end() for found in re.finditer(PAGE_BREAK, checked_kind("text", text, str))]
    return [bisect_right(breaks, offset) + 1 for offset in checked_items("offsets", offsets, int)]
