"""The descent for sizes in characters without overlap: the same spans at several times the speed."""

from __future__ import annotations

from collections.abc import Sequence

from embedpipe.chunking._places import Places
from embedpipe.chunking._spans import Span
from embedpipe.chunking.clusters import cluster_ceiling, cluster_floor
from embedpipe.chunking.separators import Separator


class PlainDescent:
    """What `Descent` does with a `CharacterMeasure`, with its calls written out where every chunk passes."""

    def __init__(self, text: str, separators: Sequence[Separator], size: int) -> None:
        self._text = text
        self._size = size
        self._places = [Places(text, separator) for separator in separators if separator.text]
        self._clusters = len(self._places) == len(separators)
        self._spans: list[Span] = []

    def run(self) -> list[Span]:
        """The spans of the whole text, in order."""
        self._level(0, len(self._text), 0)
        return self._spans

    def _level(self, cursor: int, stop: int, level: int) -> None:
        if level == len(self._places):
            self._hard(cursor, stop)
            return
        text, places, size, add = self._text, self._places[level], self._size, self._spans.append
        separator, cut, overlaps = places.separator, places.cut, places.overlaps
        lowest = 0 if cut else 1
        highest = size - cut + len(separator)
        while stop - cursor > size:
            found = text.rfind(separator, cursor + lowest, min(cursor + highest, stop))
            if overlaps and found >= 0 and text[found - 1] in separator:
                found = places.aligned(found, cursor)
            if found >= 0:
                found += cut
                add((cursor, found))
                cursor = found
            else:
                piece = places.first(cursor, stop)
                self._level(cursor, piece, level + 1)
                cursor = piece
        if cursor < stop:
            add((cursor, stop))

    def _hard(self, cursor: int, stop: int) -> None:
        text, size, add = self._text, self._size, self._spans.append
        if not self._clusters:
            self._spans.extend((start, min(start + size, stop)) for start in range(cursor, stop, size))
            return
        while stop - cursor > size:
            cut = cluster_floor(text, cursor + size, cursor)
            if cut == cursor:
                cut = min(cluster_ceiling(text, cursor), stop)
            add((cursor, cut))
            cursor = cut
        if cursor < stop:
            add((cursor, stop))
