"""Find lowered numbers and letters on a PDF's page, such as those of H2O, by their baseline and size."""

from __future__ import annotations

import re
from collections.abc import Iterator

from embedpipe.files._scripts import SUB, raised
from embedpipe.files.pdf._page import Edit, PageText

_NUMBER = re.compile(r"[0-9](?<=[^\W\d_][0-9]|[)\]][0-9])")
_WORD = re.compile(
    r"(?<![^\W\d_])(?!(?:the|and|of|to|for|that|with|this|from|are|was|not|has|have|which|der|die|und|des|les)\b)"
    r"[^\W\d_]{2,5}(?![^\W\d_])"
)
"""What may be a name with an index. PDFium takes a microsecond for each question, so common words are left out."""
_LONGEST = 12
"""How many characters a lowered number or word has at most. What is longer is a smaller line of text."""
_CLOSING = ".,;:!?"
_INDICES = frozenset("ijkmn")
"""What stands as an index behind names of several small letters, as in `key_i`."""
_SUMS = frozenset("PXQZ")
_LIMIT = re.compile(r"\s*\w ?[=∈]")
"""What PDFium reads for the signs of sums, products and integrals in TeX's fonts, and what stands below them."""
_LOWERED_END = re.compile(r"\r\n(?<=[A-Za-z0-9)][A-Za-z0-9]\r\n)")


def lowered_numbers(page: PageText) -> list[Edit]:
    """Return the edits that mark numbers and letters in small lowered type, as in `H_2O`, `x_i` and `a_(n+1)`.

    They stand directly behind a letter or a bracket. Limits of sums and parts of fractions do not.
    """
    edits: list[Edit] = []
    done = 0
    for place in sorted(_candidates(page)):
        if place > done and _is_lowered(page, place):
            end = _end(page, place)
            before, words = page.text[max(0, place - 40) : place], page.text[place:end]
            if _is_index(before, words, page.text[end : end + 5]):
                edits.append(Edit(place, end, raised(SUB, words, before, page.text[end : end + 1])))
                done = end
    return edits


def _candidates(page: PageText) -> Iterator[int]:
    """Yield the places of numbers behind letters, and where the baseline drops within words.

    Most words end on the baseline of the word before. So PDFium is asked about their last letter only.
    """
    for match in _NUMBER.finditer(page.text):
        yield match.start()
    last = 0.0
    for match in _WORD.finditer(page.text):
        before, last = last, page.baseline(match.end() - 1)
        if last != before:
            first = page.baseline(match.start())
            if last < first:
                yield next(place for place in range(match.start(), match.end()) if page.baseline(place) < first)


def _is_lowered(page: PageText, place: int) -> bool:
    """Return whether a character is smaller and lower than the one before it, and directly beside it."""
    size, base, origin = page.size(place - 1), page.origin(place - 1), page.origin(place)
    return (
        0.4 * size < page.size(place) < 0.88 * size
        and 0.06 * size < base.baseline - origin.baseline < 0.5 * size
        and 0 < origin.x - base.x < 1.3 * size
    )


def _end(page: PageText, place: int) -> int:
    """Return where a lowered number or word ends. It is `place` if it goes on over a space or is too long."""
    text, baseline, end = page.text, page.baseline(place), place + 1
    last = min(len(text), place + _LONGEST + 1)
    while end < last and not text[end].isspace() and abs(page.baseline(end) - baseline) < 0.01:
        end += 1
    following = end
    while text[following : following + 1] == " ":
        following += 1
    goes_on = following < len(text) and not text[following].isspace() and page.baseline(following) == baseline
    if (goes_on and following > end) or end - place > _LONGEST:
        return place
    return place + len(text[place:end].rstrip(_CLOSING))


def _is_index(before: str, words: str, behind: str) -> bool:
    """Return whether lowered words can be an index, and are no part of a word or limit of a sum."""
    if not words or (before[-1] in _SUMS and _LIMIT.match(behind)):
        return False
    if not (before[-2:].isalpha() and words.isalpha()):
        return True
    # Logos, badly kerned words and letters of several fonts lower parts of words.
    return not behind[:1].islower() and (not before[-1].islower() or words[0].isupper() or words in _INDICES)


def lowered_ends(page: PageText) -> list[Edit]:
    """Return the edits that remove the line breaks that PDFium writes behind lowered numbers and letters."""
    edits = []
    for match in _LOWERED_END.finditer(page.text):
        place, following = match.start() - 1, match.end()
        while following < len(page.text) and page.text[following] in "\r\n ":
            following += 1
        if following == len(page.text):
            break
        rise = page.baseline(following) - page.baseline(place)
        if rise <= 0:  # on the next line, as for most
            continue
        size = page.size(following)
        is_beside = 0 < page.origin(following).x - page.origin(place).x < 2 * size
        if is_beside and page.size(place) < 0.88 * size and 0.05 * size < rise < 0.6 * size:
            gap = page.text[match.start() : following].strip("\r\n")
            edits.append(Edit(match.start(), following, gap))
    return edits
