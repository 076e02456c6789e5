"""Grapheme clusters: the characters as a reader sees them."""

from __future__ import annotations

import regex

# Between two of these there is always a boundary, except in CR LF. Elsewhere the neighbors decide.
_PLAIN = r"[\p{GCB=Other}\p{GCB=Control}\p{GCB=CR}\p{GCB=LF}\p{GCB=LV}\p{GCB=LVT}]"
_PLAIN_PAIR = regex.compile(rf"(?<={_PLAIN}){_PLAIN}")
_CLUSTER = regex.compile(r"\X")


def cluster_floor(text: str, position: int, start: int) -> int:
    """Return the last cluster boundary in [start, position]. `start` is one."""
    near = position
    while near > start and not _is_plain_boundary(text, near):
        near -= 1
    if near == position:
        return position
    for match in _CLUSTER.finditer(text, near):
        if match.end() > position:
            return int(match.start())
    return position


def cluster_ceiling(text: str, start: int) -> int:
    """Return the end of the cluster that begins at `start`."""
    match = _CLUSTER.match(text, start)
    return int(match.end()) if match else start


def _is_plain_boundary(text: str, position: int) -> bool:
    pair = text[position - 1 : position + 1]
    if pair == "\r\n":
        return False
    return pair.isascii() or position >= len(text) or _PLAIN_PAIR.match(text, position) is not None
