"""The container of .xls: a file system of sectors, each of which names the one that follows it."""

from __future__ import annotations

import struct
from array import array

_TABLES_IN_HEADER = 109
_MINI_TABLE, _MORE_TABLES = 60, 68
"""Where the header names the first sector of the table of small sectors, and of the list of further tables."""


def has_loop(data: bytes) -> bool:
    """Return whether a sector leads back to itself. calamine follows such a loop until there is no memory left."""
    if len(data) < 512:
        return False
    size = 1 << min(struct.unpack_from("<H", data, 30)[0], 16)

    def sector(number: int) -> array[int]:
        content = data[(number + 1) * size : (number + 2) * size]
        return array("I", content[: len(content) // 4 * 4])

    listed = array("I", data[76 : 76 + 4 * _TABLES_IN_HEADER])
    (more,) = struct.unpack_from("<I", data, _MORE_TABLES)
    for _ in range(len(data) // size):
        if not (found := sector(more)):
            break
        listed += found[:-1]
        more = found[-1]
    following = array("I")
    for number in listed:
        following += sector(number)
    if _loops(following):
        return True
    (number,) = struct.unpack_from("<I", data, _MINI_TABLE)
    small = array("I")
    while number < len(following):
        small += sector(number)
        number = following[number]
    return _loops(small)


def _loops(following: array[int]) -> bool:
    seen = array("I", bytes(4 * len(following)))
    for start in range(len(following)):
        place = start
        while place < len(following) and not seen[place]:
            seen[place] = start + 1
            place = following[place]
        if place < len(following) and seen[place] == start + 1:
            return True
    return False
