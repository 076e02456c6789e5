"""Shorten texts that have more tokens than the model takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from embedpipe.errors import TokenLimitError
from embedpipe.text import TokenCounter

OnTooLong: TypeAlias = Literal["split", "error", "truncate"]


def split(text: str, *, counter: TokenCounter, room: int) -> list[str]:
    """Return the text in parts of at most `room` tokens each, which together are the text.

    A cut moves back to a space if there is one in the part's last quarter. A part that has more tokens by itself than
    within the text is cut again. Parts of white space are left out.
    """
    ends = counter.ends(text)
    parts: list[str] = []
    start = 0
    while start < len(text):
        first = int(ends.searchsorted(start, side="right"))
        last = first + room - 1
        if last >= len(ends):
            end = len(text)
        else:
            end = max(int(ends[last]), start + 1)
            space = text.rfind(" ", start + (end - start) * 3 // 4, end)
            end = space + 1 if space > start else end
        end = _fitting(text, start, end, counter=counter, room=room)
        parts.append(text[start:end])
        start = end
    return [part for part in parts if not part.isspace()]


def truncate(text: str, *, counter: TokenCounter, room: int) -> str:
    """Return as much of the text's beginning as `room` tokens hold."""
    end = int(counter.ends(text)[room - 1])
    return text[: _fitting(text, 0, end, counter=counter, room=room)]


def _fitting(text: str, start: int, end: int, *, counter: TokenCounter, room: int) -> int:
    """Move `end` back until the part fits: tokens at a cut differ from those within the text."""
    while end - start > 1 and counter.count(text[start:end]) > room:
        end -= max(1, (end - start) // 16)
    return end


def too_long(counts: Sequence[int], *, room: int, model: str, positions: Sequence[int] = ()) -> TokenLimitError:
    """Return the error for texts that are too long where they may not be shortened."""
    return TokenLimitError(
        f"{len(counts)} texts have more than the {room} tokens that {model} takes (the longest {max(counts)}). "
        "Cut them into chunks, or pass on_too_long='split' or 'truncate'.",
        inputs=positions,
        token_counts=counts,
        max_tokens=room,
    )
