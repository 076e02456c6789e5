"""Where the sentences of a text lie. Hard-wrapped lines are one paragraph; headings and list items end at theirs."""

from __future__ import annotations

import re

# A blank line, or a line break before a list item or after a line that ends a heading.
_BLOCK_BREAK = re.compile(
    r"\n[^\S\n]*(?=\n)|\n(?=[^\S\n]*(?:[-*+•#>|]|\d{1,3}[.)]|[*=\-~^]{3,})\s)|\n(?=\S*[*=\-~^]{3,}\s*(?:\n|$))"
)
_SPACED_END = re.compile(r"[.!?…؟۔]+[\"'”’»)\]]*(?=\s)")
_UNSPACED_END = re.compile(r"[。！？।॥]+[」』”’）]*")
_ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|vs|cf|e\.g|i\.e|etc|al|Fig|Eq|No|Vol|pp|approx|ca|z\.B|bzw|ggf|[A-Z](?:\.[A-Z])*))\.$"
)


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """(start, end) of each sentence in order, without the space around it: `text[start:end]`.

    Every non-space character lies in exactly one span.
    """
    spans: list[tuple[int, int]] = []
    start = 0
    for match in _BLOCK_BREAK.finditer(text):
        spans.extend(_block_sentences(text, start, match.start()))
        start = match.end()
    spans.extend(_block_sentences(text, start, len(text)))
    return spans


def _block_sentences(text: str, start: int, end: int) -> list[tuple[int, int]]:
    ends = {m.end() for m in _UNSPACED_END.finditer(text, start, end)}
    ends |= {m.end() for m in _SPACED_END.finditer(text, start, end) if _is_boundary(text, m, end)}
    spans = []
    for cut in [*sorted(ends), end]:
        piece = text[start:cut]
        left = start + len(piece) - len(piece.lstrip())
        right = start + len(piece.rstrip())
        if left < right:
            spans.append((left, right))
        start = cut
    return spans


def _is_boundary(text: str, match: re.Match[str], end: int) -> bool:
    following = text[match.end() : end].lstrip()[:1]
    if not following:
        return True
    if following.islower():
        return False
    before = text[max(match.start() - 12, 0) : match.start() + 1]
    return match.group()[0] != "." or not _ABBREVIATION.search(before)
