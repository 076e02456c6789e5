"""The recursive chunker's search for cuts: the best separator that keeps a chunk within its size, without a copy."""

from __future__ import annotations

import re
from collections.abc import Sequence

from embedpipe.chunking._cut_points import cut_points_of
from embedpipe.chunking._graphemes import cluster_ceiling, cluster_floor
from embedpipe.chunking._joints import Joints
from embedpipe.chunking._measure import Measure
from embedpipe.chunking._spans import Span
from embedpipe.chunking.separators import Separator


class RecursiveSplit:
    """Splits a text into spans within the measure, each cut at the first separator that occurs in reach.

    At each level the text is cut at one separator, and neighboring pieces are joined while they fit. A piece that is
    too long by itself is split at the next level, and is not joined to others. Behind the last separator, cuts lie
    between two grapheme clusters. For the separator "" they lie between two code points. `joints` are not cut at a
    separator.
    """

    def __init__(
        self,
        text: str,
        separators: Sequence[Separator],
        measure: Measure,
        *,
        overlap: bool,
        joints: Joints | None = None,
    ) -> None:
        self.spans: list[Span] = []
        self._text = text
        self._separators = separators
        self._measure = measure
        self._overlap = overlap
        self._joints = joints
        self._start = 0  # of the open chunk: before the cursor by the overlap

    def run(self, start: int = 0, stop: int | None = None) -> list[Span]:
        """Return the spans of `text[start:stop]`, in order."""
        self._start = start
        self._level(start, len(self._text) if stop is None else stop, 0)
        return self.spans

    def _level(self, cursor: int, stop: int, level: int) -> None:
        while (
            not self._overlap and level < len(self._separators) and self._lacks(self._separators[level], cursor, stop)
        ):
            level += 1  # with an overlap, a level without a cut may still leave the overlap out
        if level == len(self._separators) or not self._separators[level].text:
            self._hard(cursor, stop, clusters=level == len(self._separators))
            return
        places = cut_points_of(self._text, self._separators[level], cursor, stop, self._joints)
        reach, fits = self._measure.reach, self._measure.fits
        while (limit := reach(self._start, stop)) < stop:
            cut = places.last(cursor, limit, stop)
            while cut > cursor and not fits(self._start, cut):
                cut = places.last(cursor, cut - 1, stop)
            if cut > cursor:
                self._close(cursor, cut)
            else:
                cut = places.first(cursor, stop)
                if self._start < cursor and reach(cursor, stop) >= cut:
                    self._start = cursor  # the piece fits, though not beside the overlap
                    continue
                self._level(cursor, cut, level + 1)
            cursor = cut
        if cursor < stop:
            self._close(cursor, stop)

    def _lacks(self, separator: Separator, start: int, stop: int) -> bool:
        return bool(separator.text) and not separator.regex and self._text.find(separator.text, start, stop) < 0

    def _hard(self, cursor: int, stop: int, *, clusters: bool) -> None:
        text = self._text
        while (limit := self._measure.reach(self._start, stop)) < stop:
            cut = cluster_floor(text, limit, cursor) if clusters and limit > cursor else limit
            while cut > cursor and not self._measure.fits(self._start, cut):
                cut = cluster_floor(text, cut - 1, cursor) if clusters else cut - 1
            if cut <= cursor:
                if self._start < cursor:
                    self._start = cursor
                    continue
                cut = min(cluster_ceiling(text, cursor) if clusters else cursor + 1, stop)
            self._close(cursor, cut)
            cursor = cut
        if cursor < stop:
            self._close(cursor, stop)

    def _close(self, cursor: int, end: int) -> None:
        """End the open chunk, unless it would only add space, and open the next."""
        start = self._start
        if not self._overlap:
            self.spans.append((start, end))
            self._start = end
        elif not self._text[cursor:end].isspace():
            self.spans.append((start, end))
            self._start = self._overlap_start(start, end)

    def _overlap_start(self, start: int, end: int) -> int:
        """Return the next chunk's start: the best separator in the overlap's first half, else the overlap's start."""
        text = self._text
        while start < end and text[start].isspace():
            start += 1
        back = max(self._measure.back(end), start + 1)
        half = back + (end - back + 1) // 2
        for separator in self._separators:
            found = _first_in(text, separator, back, half) if separator.text else -1
            if found >= 0:
                return found + separator.cut
        floor = cluster_floor(text, back, start) if back < end else back
        return back if floor == back else min(cluster_ceiling(text, floor), end)


def _first_in(text: str, separator: Separator, start: int, stop: int) -> int:
    if not separator.regex:
        return text.find(separator.text, start, stop)
    match = re.compile(separator.text).search(text, start, stop)
    return match.start() if match else -1
