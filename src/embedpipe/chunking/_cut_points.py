"""Find the places where one separator lets a text be cut."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import lru_cache

from embedpipe.chunking._joints import Joints
from embedpipe.chunking.separators import Separator


class PatternCutPoints:
    """The cuts where a regular expression matches, read from left to right within one stretch of the text.

    The text around the stretch is not looked at, so that the cuts depend on the stretch alone.
    """

    def __init__(self, text: str, separator: Separator, start: int, stop: int) -> None:
        found = re.compile(separator.text).finditer(text[start:stop])
        self._starts = [start + match.start() for match in found]

    def last(self, cursor: int, limit: int, stop: int) -> int:
        """Return the last place in (cursor, limit], below `stop`; -1 for none."""
        place = bisect_right(self._starts, min(limit, stop - 1)) - 1
        return self._starts[place] if place >= 0 and self._starts[place] > cursor else -1

    def first(self, cursor: int, stop: int) -> int:
        """Return the first place behind the cursor, `stop` for none."""
        place = bisect_right(self._starts, cursor)
        return self._starts[place] if place < len(self._starts) else stop


class AllowedCutPoints:
    """The cuts that divide no joint."""

    def __init__(self, places: CutPoints | PatternCutPoints, joints: Joints) -> None:
        self._places = places
        self._joints = joints

    def last(self, cursor: int, limit: int, stop: int) -> int:
        """Return the last place in (cursor, limit], at most `stop`; -1 for none."""
        cut = self._places.last(cursor, limit, stop)
        while cut > cursor and (joint := self._joints.around(cut)):
            cut = self._places.last(cursor, joint[0], stop) if joint[0] > cursor else -1
        return cut

    def first(self, cursor: int, stop: int) -> int:
        """Return the first place behind the cursor, `stop` for none."""
        cut = self._places.first(cursor, stop)
        while cut < stop and (joint := self._joints.around(cut)):
            cut = self._places.first(min(joint[1], stop), stop)
        return cut


def cut_points_of(
    text: str, separator: Separator, start: int, stop: int, joints: Joints | None = None
) -> CutPoints | PatternCutPoints | AllowedCutPoints:
    """Return the cuts at the separator in that stretch of the text, without those that divide a joint."""
    places = PatternCutPoints(text, separator, start, stop) if separator.regex else CutPoints(text, separator)
    return AllowedCutPoints(places, joints) if joints else places


@lru_cache(maxsize=256)
def _overlaps(text: str) -> bool:
    """Return whether two occurrences of the text may overlap."""
    return any(text.startswith(text[k:]) for k in range(1, len(text)))


class CutPoints:
    """The cuts at a separator. Its occurrences are read from left to right and do not overlap."""

    def __init__(self, text: str, separator: Separator) -> None:
        self._text = text
        self.separator, self.cut = separator.text, separator.cut
        self._size = len(separator.text)
        self._first, self._last = separator.text[:1], separator.text[-1:]
        self.overlaps = _overlaps(separator.text)

    def possible(self, start: int, stop: int) -> bool:
        """Return False only if the stretch has no separator. One character is found ten times as fast as several."""
        find = self._text.find
        return find(self._last, start, stop) >= 0 and (self._size == 1 or find(self._first, start, stop) >= 0)

    def last(self, cursor: int, limit: int, stop: int) -> int:
        """Return the last place in (cursor, limit], at most `stop`; -1 for none."""
        lowest = cursor if self.cut else cursor + 1
        found = self._text.rfind(self.separator, lowest, min(limit - self.cut + self._size, stop))
        if self.overlaps and found >= 0:
            found = self.aligned(found, cursor)
        return found + self.cut if found >= 0 else -1

    def first(self, cursor: int, stop: int) -> int:
        """Return the first place behind the cursor, `stop` for none."""
        lowest = cursor if self.cut else cursor + 1
        if self.overlaps and not self.cut and self._text.startswith(self.separator, cursor):
            lowest = cursor + self._size
        lowest = self._text.find(self._first, lowest, stop)
        found = self._text.find(self.separator, lowest, stop) if lowest >= 0 else -1
        return found + self.cut if found >= 0 else stop

    def aligned(self, found: int, cursor: int) -> int:
        """Return the last occurrence up to `found`, -1 for none. In a run ("\\n\\n\\n"), count from the cursor."""
        text, size = self._text, self._size
        if text.find(self.separator, max(found - size + 1, cursor), found + size - 1) < 0:
            return found
        last = -1
        begun = text.find(self.separator, cursor, found + size)
        while begun >= 0:
            if begun + self.cut > cursor:
                last = begun
            begun = text.find(self.separator, begun + size, found + size)
        return last
