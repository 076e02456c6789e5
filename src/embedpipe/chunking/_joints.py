"""Stretches of a text that are not cut: a heading with the first words behind it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from embedpipe.chunking._measure import Measure


class Joint(NamedTuple):
    """A stretch that is not cut if it fits a chunk.

    Args:
        starts: Where it may begin, best first.
        last: The last place at which a cut would divide it.
        end: What must fit: up to here, with the first word of what follows a heading.
    """

    starts: Sequence[int]
    last: int
    end: int


class Joints:
    """The stretches that are not cut, for one measure."""

    def __init__(self, joints: Iterable[Joint], measure: Measure) -> None:
        self._starts: list[int] = []
        self._lasts: list[int] = []
        for joint in joints:
            touched = self._lasts[-1] if self._lasts else -1
            for begun in joint.starts:
                start = self._starts[-1] if begun <= touched else begun
                if measure.reach(start, joint.end) < joint.end:
                    continue
                if begun <= touched:
                    self._lasts[-1] = max(joint.last, touched)
                else:
                    self._starts.append(start)
                    self._lasts.append(joint.last)
                break

    def __bool__(self) -> bool:
        return bool(self._starts)

    def around(self, cut: int) -> tuple[int, int] | None:
        """Return the start and the last place of the stretch that the cut would divide."""
        place = bisect_left(self._starts, cut) - 1
        if place < 0 or cut > self._lasts[place]:
            return None
        return self._starts[place], self._lasts[place]
