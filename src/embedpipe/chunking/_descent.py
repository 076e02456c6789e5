"""The walk of the recursive chunker: cut at the best separator that keeps a chunk within its size, without a copy."""

from __future__ import annotations

from collections.abc import Sequence

from embedpipe.chunking._measure import Measure
from embedpipe.chunking._spans import Span
from embedpipe.chunking.clusters import cluster_ceiling, cluster_floor
from embedpipe.chunking.separators import Separator


class _Places:
    """Where one separator lets a text be cut. Its occurrences are read from left to right and do not overlap."""

    def __init__(self, text: str, separator: Separator) -> None:
        self._text = text
        self._separator, self._cut = separator
        self._size = len(separator.text)
        self._overlaps = any(separator.text.startswith(separator.text[k:]) for k in range(1, self._size))

    def last(self, cursor: int, limit: int, stop: int) -> int:
        """The last place in (cursor, limit], at most `stop`; -1 for none."""
        lowest = cursor if self._cut else cursor + 1
        highest = min(limit - self._cut + self._size, stop)
        found = self._text.rfind(self._separator, lowest, highest)
        if (
            found >= 0
            and self._overlaps
            and self._text.find(self._separator, max(found - self._size + 1, cursor), found + self._size - 1) >= 0
        ):
            found = self._aligned(cursor, highest)
        return found + self._cut if found >= 0 else -1

    def first(self, cursor: int, stop: int) -> int:
        """The first place behind the cursor; `stop` for none."""
        lowest = cursor if self._cut else cursor + 1
        if self._overlaps and not self._cut and self._text.startswith(self._separator, cursor):
            lowest = cursor + self._size
        found = self._text.find(self._separator, lowest, stop)
        return found + self._cut if found >= 0 else stop

    def _aligned(self, cursor: int, highest: int) -> int:
        """The last occurrence behind the cursor, counted from there, in a run such as "\n\n\n\n\n"."""
        last = -1
        found = self._text.find(self._separator, cursor, highest)
        while found >= 0:
            if found + self._cut > cursor:
                last = found
            found = self._text.find(self._separator, found + self._size, highest)
        return last


class Descent:
    """Spans of a text in order, each within the measure, cut at the first separator that has a place for it.

    At each level the text is cut at that separator alone and neighbouring pieces are joined while they fit; a piece
    too long by itself goes down a level and is joined to nothing. Behind the last separator the cut lies between two
    grapheme clusters, for the separator "" between two code points.
    """

    def __init__(self, text: str, separators: Sequence[Separator], measure: Measure, *, overlap: bool) -> None:
        self.spans: list[Span] = []
        self._text = text
        self._separators = separators
        self._measure = measure
        self._overlap = overlap
        self._start = 0  # of the open chunk: before the cursor by the overlap

    def run(self) -> list[Span]:
        self._level(0, len(self._text), 0)
        return self.spans

    def _level(self, cursor: int, stop: int, level: int) -> None:
        if level == len(self._separators) or not self._separators[level].text:
            self._hard(cursor, stop, clusters=level == len(self._separators))
            return
        places = _Places(self._text, self._separators[level])
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
        """Ends the open chunk, unless it would add nothing but space, and opens the next."""
        start = self._start
        if self._overlap:
            if not self._text[cursor:end].isspace():
                self.spans.append((start, end))
                self._start = self._overlap_start(start, end)
            return
        self.spans.append((start, end))
        self._start = end

    def _overlap_start(self, start: int, end: int) -> int:
        """A boundary in the first half of the overlap, of the best separator that has one there, else its start."""
        text = self._text
        while start < end and text[start].isspace():
            start += 1
        back = max(self._measure.back(end), start + 1)
        half = back + (end - back + 1) // 2
        for separator, cut in self._separators:
            found = text.find(separator, back, half) if separator else -1
            if found >= 0:
                return found + cut
        return max(cluster_floor(text, back, start), start + 1) if back < end else end
