"""Take out the reasoning that local models write before an answer, between tags such as <think> and </think>."""

from __future__ import annotations

import re

_TAGS = ("think", "thinking", "thought", "reasoning")
_OPENING = re.compile(rf"<({'|'.join(_TAGS)})>", re.IGNORECASE)
_CLOSING = re.compile(rf"</(?:{'|'.join(_TAGS)})>\s*", re.IGNORECASE)
_OPENINGS = tuple(f"<{tag}>" for tag in _TAGS)


class ThoughtFilter:
    """Passes on what is no reasoning, piece by piece. It holds back no more than the beginning of a tag."""

    def __init__(self) -> None:
        self._held = ""
        self._closing: str | None = None
        self._is_leading = False
        """Whether white space at the beginning is that behind a thought."""
        self._has_begun = False

    def feed(self, piece: str) -> str:
        """Return what may be shown after this piece."""
        self._held += piece
        shown = []
        while True:
            if self._closing is None:
                opening = _OPENING.search(self._held)
                if opening is None:
                    kept = _begun_tag(self._held)
                    shown.append(self._held[: len(self._held) - kept])
                    self._held = self._held[len(self._held) - kept :]
                    break
                shown.append(self._held[: opening.start()])
                self._held, self._closing = self._held[opening.end() :], f"</{opening[1].lower()}>"
            else:
                end = self._held.lower().find(self._closing)
                if end < 0:
                    self._held = self._held[-len(self._closing) + 1 :]
                    break
                self._held, self._closing, self._is_leading = self._held[end + len(self._closing) :], None, True
        return self._without_leading_space("".join(shown))

    def rest(self) -> str:
        """Return what was held back, at the end of the answer. A thought that was not ended is left out."""
        held, self._held = self._held, ""
        return "" if self._closing is not None else self._without_leading_space(held)

    def _without_leading_space(self, text: str) -> str:
        if self._is_leading and not self._has_begun:
            text = text.lstrip()
        self._has_begun = self._has_begun or bool(text.strip())
        return text


def without_thoughts(answer: str) -> str:
    """Return the answer without its reasoning, also where the opening tag is missing.

    Some servers put the opening tag into the prompt. A stream has shown that reasoning before it can be known as such.
    """
    thoughts = ThoughtFilter()
    shown = thoughts.feed(answer) + thoughts.rest()
    closing = _CLOSING.search(shown)
    return shown if closing is None else shown[closing.end() :]


def _begun_tag(text: str) -> int:
    """Return the length of the end of the text that may be the beginning of an opening tag."""
    place = text.rfind("<", -max(map(len, _OPENINGS)))
    if place < 0:
        return 0
    end = text[place:].lower()
    return len(end) if any(tag.startswith(end) for tag in _OPENINGS) else 0
