"""Charts and SmartArt of Office files: their words and figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from embedpipe.files._blocks import Block

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_D = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
_MAX_CELLS = 10_000


def text_of(element: Any) -> str:
    """Return the text of the paragraphs below an element of DrawingML, in one line."""
    paragraphs = ("".join(part.text or "" for part in paragraph.iter(f"{_A}t")) for paragraph in element.iter(f"{_A}p"))
    return " ".join(" ".join(paragraphs).split())


def chart(root: Any) -> list[Block]:
    """Return a chart's title, and its figures as a table. A chart of over 10,000 cells has only its title."""
    titles = [text_of(title) for title in root.iter(f"{_C}title")]
    blocks = [Block(f"Chart: {', '.join(filter(None, titles))}" if any(titles) else "Chart")]
    names: list[str] = []
    figures: list[dict[int, str]] = []
    categories: dict[int, str] = {}
    for series in root.iter(f"{_C}ser"):
        tx = series.find(f"{_C}tx")
        names.append("" if tx is None else " ".join(value.text or "" for value in tx.iter(f"{_C}v")))
        for place, label in _points(series, "cat", "xVal").items():
            categories.setdefault(place, label)
        figures.append(_points(series, "val", "yVal"))
    places = sorted({place for values in figures for place in values} | set(categories))
    if figures and len(places) * len(figures) <= _MAX_CELLS:
        rows = [[categories.get(place, ""), *(values.get(place, "") for values in figures)] for place in places]
        blocks.append(Block(rows=[["", *names], *rows]))
    return blocks


def _points(series: Any, *names: str) -> dict[int, str]:
    """Return the labels or figures of a series by their place. Labels of several levels are joined."""
    found: dict[int, str] = {}
    for element in (child for name in names for child in series.findall(_C + name)):
        for point in element.iter(f"{_C}pt"):
            place, text = point.get("idx", ""), " ".join((point.findtext(f"{_C}v") or "").split())
            if place.isascii() and place.isdecimal() and len(place) < 9:
                at = int(place)
                found[at] = f"{text} {found[at]}" if at in found else _figure(text)
    return found


def _figure(text: str) -> str:
    """Return a number without the digits that a computer adds, such as 4.4 for 4.4000000000000004."""
    try:
        return f"{float(text):.15g}" if len(text) > 15 else text
    except ValueError:
        return text


def diagram(root: Any) -> Sequence[Block]:
    """Return the words of SmartArt as list items, in the order in which they were entered."""
    points = (point for point in root.iter(f"{_D}pt") if point.get("type", "node") in ("node", "asst"))
    return [Block(text, label="-") for text in map(text_of, points) if text]
