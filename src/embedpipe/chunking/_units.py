"""Make chunks of whole units: as many neighboring sentences, paragraphs or blocks as fit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from embedpipe.chunking._measure import Measure
from embedpipe.chunking._recursive_split import RecursiveSplit
from embedpipe.chunking._spans import Span
from embedpipe.chunking.separators import Separator


def cut_units(text: str, units: Iterable[Span], measure: Measure | None, separators: Sequence[Separator]) -> list[Span]:
    """Cut each unit that is too long for the measure at the separators. Without a measure, all stay as they are."""
    if measure is None:
        return list(units)
    cut: list[Span] = []
    for start, end in units:
        if measure.reach(start, end) >= end:
            cut.append((start, end))
        else:
            cut.extend(RecursiveSplit(text, separators, measure, overlap=False).run(start, end))
    return cut


def join_units(
    units: Sequence[Span], measure: Measure | None, *, most: int | None = None, overlap: int = 0
) -> list[Span]:
    """Join neighboring units into runs of at most `most` units, each within the measure.

    A run begins with up to `overlap` of the last units of the run before, as far as there is room.
    """

    def has_room(first: int, last: int) -> bool:
        if most is not None and last - first >= most:
            return False
        return measure is None or first == last or measure.reach(units[first][0], units[last][1]) >= units[last][1]

    runs: list[Span] = []
    first = fresh = 0  # where the open run begins, and its first unit that is in no run before
    for number in range(len(units)):
        if has_room(first, number):
            continue
        if number > fresh:
            runs.append((units[first][0], units[number - 1][1]))
            first, fresh = max(number - overlap, first + 1), number
        while not has_room(first, number):
            first += 1
    if units:
        runs.append((units[first][0], units[-1][1]))
    return runs
