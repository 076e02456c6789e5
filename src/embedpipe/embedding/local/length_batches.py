"""Choose which texts go through a model on a processor together."""

from __future__ import annotations

from collections.abc import Sequence

_ROOM = 2048
"""Most tokens in one pass, padding included: measured as the fastest of 512 to 8192 on two cores."""


def length_batches(lengths: Sequence[int], *, overhead: int, most: int | None = None) -> list[list[int]]:
    """Group texts of like length, the longest first.

    A pass takes as long as if all its texts were as long as its longest, and as `overhead` tokens more. So a group ends
    when its padding would cost more than another pass. This is within a few percent of the best division.

    Args:
        lengths: The texts' numbers of tokens.
        overhead: The cost of a pass beside that of its tokens, counted in tokens.
        most: Most texts in a group; None for no limit.

    Returns:
        Groups of places in `lengths`, the longest text of each first.
    """
    groups: list[list[int]] = []
    longest = padding = 0
    for place in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        length = lengths[place]
        padding += longest - length
        group = groups[-1] if groups else []
        full = len(group) == most or (len(group) + 1) * longest > _ROOM
        if group and not full and padding <= overhead:
            group.append(place)
        else:
            groups.append([place])
            longest, padding = length, 0
    return groups
