"""The order in which the shapes of a slide are read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

_MOST = 300
"""The most shapes that are put in order. More, as in drawings, are read as they lie in the file."""


class Box(NamedTuple):
    """A shape's place on the slide, and its number in the file."""

    left: float
    top: float
    right: float
    bottom: float
    number: int


def reading_order(boxes: Sequence[Box]) -> list[int]:
    """Return the numbers of the shapes in reading order.

    The slide is cut into rows and columns wherever a straight line crosses no shape, again and again (XY cut). Where
    both are possible, the order in the file decides which. Shapes that overlap are read in the order of the file.
    """
    if len(boxes) > _MOST:
        return [box.number for box in boxes]
    return [box.number for box in _cut(sorted(boxes, key=lambda box: box.number))]


def _cut(boxes: list[Box]) -> list[Box]:
    if len(boxes) < 2:
        return boxes
    rows = _groups([(box.top, box.bottom) for box in boxes])
    columns = _groups([(box.left, box.right) for box in boxes])
    chosen = rows
    if max(rows) == 0 or (max(columns) > 0 and _switches(columns) < _switches(rows)):
        chosen = columns
    if max(chosen) == 0:
        return boxes
    parts: list[list[Box]] = [[] for _ in range(max(chosen) + 1)]
    for box, group in zip(boxes, chosen, strict=True):
        parts[group].append(box)
    return [box for part in parts for box in _cut(part)]


def _groups(spans: list[tuple[float, float]]) -> list[int]:
    """Return the group of each span: spans that overlap are of one group. Groups are numbered in their order.

    A tenth of a span at each end may overlap: text boxes are larger than their text.
    """
    inner = [(start + (end - start) / 10, end - (end - start) / 10) for start, end in spans]
    groups = [0] * len(spans)
    group, reached = -1, float("-inf")
    for place in sorted(range(len(spans)), key=lambda place: inner[place]):
        start, end = inner[place]
        if start >= reached:
            group += 1
        reached = max(reached, end)
        groups[place] = group
    return groups


def _switches(groups: list[int]) -> int:
    """Return how often the file's order goes from one group to another."""
    return sum(one != following for one, following in pairwise(groups))
