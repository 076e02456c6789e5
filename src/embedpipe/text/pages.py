"""Pages: a form feed stands between them, as in plain text for printers and in what pdftotext writes."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable

PAGE_BREAK = "\f"


def page_at(text: str, offset: int) -> int:
    """The page that the character at that offset stands on, from 1; 1 all over a text without form feeds."""
    return text.count(PAGE_BREAK, 0, offset) + 1


def pages_at(text: str, offsets: Iterable[int]) -> list[int]:
    """As `page_at`, for many offsets."""
    breaks = [found.end() for found in re.finditer(PAGE_BREAK, text)]
    return [bisect_right(breaks, offset) + 1 for offset in offsets]
