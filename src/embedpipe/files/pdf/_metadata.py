"""Read what a PDF says of itself: its title, author, dates, the labels of its pages and its outline."""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import islice
from typing import Any, NamedTuple

_NO_NAME = ("", "anonymous", "untitled", "unspecified")
_DATE = re.compile(r"(?:D:)?(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:(Z)|([+-]\d\d)'?(\d\d)?)?")
_LABELLED_PAGES = 10_000
"""The most pages whose labels are read: PDFium goes through all labels for each page."""
_ENTRIES = 5_000
"""The most entries of an outline that are read."""


class Heading(NamedTuple):
    """An entry of the outline. Level 1 is the highest."""

    title: str
    level: int


def describe(document: Any) -> dict[str, Any]:
    """Return the title, author and dates (ISO 8601) that the file states."""
    found: dict[str, Any] = {}
    for name, key in (("title", "Title"), ("author", "Author")):
        words = " ".join(document.get_metadata_value(key).split())
        if words.strip("()").lower() not in _NO_NAME:
            found[name] = words
    for name, key in (("created", "CreationDate"), ("modified", "ModDate")):
        date = _iso_date(document.get_metadata_value(key))
        if date:
            found[name] = date
    return found


def _iso_date(stated: str) -> str:
    """Return "2024-05-01T12:00:00+02:00" for "D:20240501120000+02'00'". "" for what is no date."""
    match = _DATE.match(stated)
    if not match:
        return ""
    year, month, day, hour, minute, second, utc, zone, zone_minutes = match.groups()
    date = "-".join(part for part in (year, month, day) if part)
    if not hour:
        return date
    zone = "Z" if utc else f"{zone}:{zone_minutes or '00'}" if zone else ""
    return f"{date}T{hour}:{minute or '00'}:{second or '00'}{zone}"


def page_labels(document: Any) -> list[str]:
    """Return the labels of all pages, such as "iv", or none if pages are labelled by their numbers or not at all."""
    count = len(document)
    if count > _LABELLED_PAGES:
        return []
    labels = [document.get_page_label(index) for index in range(count)]
    return labels if any(label and label != str(number) for number, label in enumerate(labels, 1)) else []


def outline(document: Any) -> dict[int, list[Heading]]:
    """Return the outline's entries by the number of the page to which they lead."""
    found = defaultdict(list)
    for bookmark in islice(document.get_toc(max_depth=6), _ENTRIES):
        destination = bookmark.get_dest()
        index = destination.get_index() if destination else None
        title = " ".join(bookmark.get_title().split())
        if index is not None and title:
            found[index + 1].append(Heading(title, bookmark.level + 1))
    return found


def mark_headings(text: str, headings: list[Heading]) -> str:
    """Make Markdown headings of the lines that an outline names. A title that two lines repeat stays as it is."""
    if not headings:
        return text
    lines = text.split("\n")
    places = defaultdict(list)
    for place, line in enumerate(lines):
        places[" ".join(line.split()).casefold()].append(place)
    for title, level in headings:
        found = places.get(title.casefold(), [])
        if len(found) == 1:
            lines[found[0]] = f"{'#' * level} {title}"
            places[title.casefold()] = []
    return "\n".join(lines)
